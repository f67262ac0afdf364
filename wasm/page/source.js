// The lines of a function with their costs, and the values of labels.

// Texts of source files that were opened, by path.
const sources = new Map();

const EDITORS = {
  "VS Code": "vscode://file{path}:{line}",
  "Zed": "zed://file{path}:{line}",
  "Cursor": "cursor://file{path}:{line}",
  "IntelliJ": "idea://open?file={path}&line={line}",
};

function editorLink(file, line, text) {
  const template = EDITORS[remembered.get("editor")] ?? EDITORS["VS Code"];
  const path = file.startsWith("/") ? file : "/" + file;
  return make("a", { href: template.replace("{path}", encodeURI(path)).replace("{line}", line || 1), title: "Open in the editor" }, text);
}

// The opened text of a file: the one whose path ends most alike.
function sourceOf(file) {
  if (sources.has(file)) return sources.get(file);
  const name = file.split(/[\\/]/).pop();
  const candidates = [...sources.keys()].filter(path => path.split(/[\\/]/).pop() === name && (file.endsWith(path) || path.endsWith(file)));
  const best = candidates.sort((a, b) => b.length - a.length)[0] ?? (
    [...sources.keys()].filter(path => path === name)[0]);
  return best && sources.get(best);
}

async function showSource() {
  const box = $("lines");
  const { function: name, lines = [] } = await app.client.call("source", false);
  if (!name || !app.scene.selected) {
    box.replaceChildren(make("p", { class: "faint" }, "Select a function in another view: its lines come here."));
    return;
  }
  const files = new Map();
  for (const line of lines) {
    const key = line.file ?? "";
    if (!files.has(key)) files.set(key, []);
    files.get(key).push(line);
  }
  const editor = make("select", { onchange: event => { remembered.set("editor", event.target.value); showSource(); } },
    ...Object.keys(EDITORS).map(key => make("option", { selected: key === (remembered.get("editor") ?? "VS Code") }, key)));
  const pick = make("input", { type: "file", multiple: true, hidden: true, onchange: async event => {
    for (const file of event.target.files) sources.set(file.webkitRelativePath || file.name, await file.text());
    showSource();
  } });
  const parts = [...files].map(([file, lines]) => fileLines(file, lines));
  box.replaceChildren(make("h2", { class: "name" }, name),
    make("p", {}, make("label", { class: "faint" }, "Editor ", editor), " ", pick,
      make("button", { onclick: () => pick.click(), title: "Shows the text beside the costs; nothing leaves this computer" }, "Open source files…")),
    ...(parts.length ? parts : [make("p", { class: "faint" }, "The profile knows no lines of this function.")]));
}

function fileLines(file, lines) {
  const text = file && sourceOf(file)?.split("\n");
  const known = lines.filter(line => line.line);
  const most = Math.max(...lines.map(line => line.total.share), 1e-12);
  const byLine = new Map(known.map(line => [line.line, line]));
  let shown = lines.map(line => [line.line, line]);
  if (text && known.length) {
    const from = Math.max(1, Math.min(...byLine.keys()) - 6), to = Math.min(text.length, Math.max(...byLine.keys()) + 6);
    shown = Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => [from + at, byLine.get(from + at)]);
  }
  const diff = app.scene.diff;
  const rows = shown.map(([number, line]) => make("tr", line ? { class: "hot", "--heat": (0.75 * line.total.share / most).toFixed(3) } : {},
    make("td", { class: "number" }, line ? `${line.self.text}  ${line.self.percent}` : ""),
    diff && make("td", { class: "number" }, line ? change(line.self) : ""),
    make("td", { class: "number" }, line ? `${line.total.text}  ${line.total.percent}` : ""),
    diff && make("td", { class: "number" }, line ? change(line.total) : ""),
    make("td", { class: "number" }, number && file ? editorLink(file, number, String(number)) : number ? String(number) : "?"),
    text && make("td", {}, text[number - 1] ?? "")));
  const first = known.reduce((best, line) => line.self.share > (best?.self.share ?? -1) ? line : best, null);
  const head = ["Self", diff && "Change", "Total", diff && "Change", "Line", text && "Source"].filter(Boolean);
  return make("section", {},
    make("h2", {}, file ? editorLink(file, first?.line ?? 1, lines[0].shortFile || file) : "(unknown file)"),
    make("div", { class: "lines" }, make("table", {},
      make("thead", {}, make("tr", {}, ...head.map(name => make("th", { class: name === "Source" ? "" : "number", style: "padding:3px 10px" }, name)))),
      make("tbody", {}, ...rows))));
}

async function showLabels() {
  const { keys = [] } = await app.client.call("labels");
  const active = new Set(app.params.getAll("f").filter(step => step.startsWith("label:")).map(step => step.slice(6)));
  const parts = keys.map(({ key, count: total, rows }) => make("section", { class: "values" },
    make("h2", {}, key, " ", make("span", { class: "faint" }, plural(total, "value")), " ",
      make("button", { "aria-pressed": String(app.params.get("group") === key), onclick: () => app.update({ group: app.params.get("group") === key ? null : key }) }, "Group by it")),
    make("table", {}, make("tbody", {}, ...rows.map(row => {
      const step = `${key}=${row.has ? row.value : ""}`, on = active.has(step);
      return make("tr", {}, make("td", {}, make("button", { "aria-pressed": String(on), onclick: () => app.toggleStep("label", step) }, on ? "only this" : "only")),
        make("td", { class: "name" }, row.value),
        make("td", { class: "number", "--share": Math.max(0, row.share) }, make("span", { class: "faint" }, row.text + "  "), row.percent));
    })))));
  $("values").replaceChildren(...(parts.length ? parts : [make("p", { class: "faint" }, "The samples of this profile have no labels: no threads, routes or spans.")]));
}

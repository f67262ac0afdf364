// The lines of a function with their costs, and the values of labels.

// Texts of source files by path: opened by hand, or in the page (there as the element that has it).
const sources = new Map();

// How many lines around one that costs something are shown.
const CONTEXT = 6;

// What is a source file and no profile, by its name.
const IS_SOURCE = /\.(rs|c|cc|cpp|cxx|h|hh|hpp|s|asm|go|py|m?js|tsx?|java|kt|swift|zig|rb|cs|php|lua)$/i;

const EDITORS = {
  "VS Code": "vscode://file{path}:{line}",
  "Zed": "zed://file{path}:{line}",
  "Cursor": "cursor://file{path}:{line}",
  "IntelliJ": "idea://open?file={path}&line={line}",
};

// How links to the editor are made: one of these, or the user's own way.
const editorTemplate = () => EDITORS[remembered.get("editor") ?? "VS Code"] ?? remembered.get("editor");

function editorLink(file, line, text) {
  const path = encodeURI(file.startsWith("/") ? file : "/" + file).replace(/[?#]/g, encodeURIComponent);
  return make("a", { href: editorTemplate().replace("{path}", path).replace("{line}", line || 1), title: "Open in the editor" }, text);
}

function chooseEditor(value) {
  if (value === "") value = prompt("The link to a line of a file: {path} begins with a slash, and a folder may stand before it", editorTemplate());
  if (value && !/^\s*javascript:/i.test(value)) remembered.set("editor", value);
  app.show();
}

// The text of a file: of those that were opened by hand, the one whose path ends most alike.
async function sourceOf(file) {
  const name = path => path.split(/[\\/]/).pop();
  const alike = path => path === file || (name(path) === name(file) && (file.endsWith(path) || path.endsWith(file)));
  const best = [...sources.keys()].filter(alike).sort((a, b) => (b === file) - (a === file) || b.length - a.length)[0];
  const found = sources.get(best);
  if (!found || typeof found === "string") return found;
  const text = await new Response((await decoded(found.textContent)).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  sources.set(best, text);
  return text;
}

async function addSources(files) {
  for (const file of files) sources.set(file.webkitRelativePath || file.name, await file.text());
  if (app.view() === "source") showSource();
}

async function showSource() {
  const box = $("lines"), whole = app.wholeFile === true;
  const { function: name, lines = [] } = await app.client.call("source", whole);
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
  const chosen = remembered.get("editor") ?? "VS Code";
  const editor = make("select", { onchange: event => chooseEditor(event.target.value) },
    ...Object.keys(EDITORS).map(key => make("option", { selected: key === chosen }, key)),
    EDITORS[chosen] ? "" : make("option", { selected: true, value: chosen }, chosen.split(":")[0]), make("option", { value: "" }, "Other…"));
  const pick = make("input", { type: "file", multiple: true, hidden: true, "aria-label": "Source files", onchange: event => addSources(event.target.files) });
  const parts = await Promise.all([...files].map(async ([file, lines]) => fileLines(file, lines, file && (await sourceOf(file))?.replace(/\n$/, "").split("\n"))));
  box.replaceChildren(make("h2", { class: "name" }, name),
    make("p", {}, make("label", { class: "faint" }, "Editor ", editor), " ", pick,
      make("button", { onclick: () => pick.click(), title: "Shows the text beside the costs; nothing leaves this computer. Files may be dropped, too" }, "Open source files…"), " ",
      make("button", { "aria-pressed": String(whole), title: "The lines of all functions of the file", onclick: () => { app.wholeFile = !whole; showSource(); } }, "Whole file")),
    ...(parts.length ? parts : [make("p", { class: "faint" }, "The profile knows no lines of this function.")]));
}

function fileLines(file, lines, text) {
  const known = lines.filter(line => line.line);
  const most = Math.max(...lines.map(line => line.total.share), 1e-12);
  let shown = lines.map(line => [line.line, line]);
  if (text && known.length) shown = inContext(known, text.length);
  const diff = app.scene.diff;
  const rows = shown.map(([number, line]) => !number && !line ? make("tr", {}, make("td", { colspan: 9, class: "faint" }, "⋯")) : make("tr", line ? { class: "hot", "--heat": (0.75 * line.total.share / most).toFixed(3) } : {},
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

// Lines that cost something, with those around them; of what lies further off, an empty entry.
function inContext(known, count) {
  const shown = [], sorted = [...known].sort((a, b) => a.line - b.line);
  let next = 1;
  sorted.forEach((line, at) => {
    const from = Math.max(next, line.line - CONTEXT), to = Math.min(count, (sorted[at + 1]?.line ?? Infinity) - 1, line.line + CONTEXT);
    if (from > next && shown.length) shown.push([]);
    for (let number = from; number < line.line; number++) shown.push([number]);
    shown.push([line.line, line]);
    next = line.line + 1;
    for (; next <= to; next++) shown.push([next]);
  });
  return shown;
}

async function showLabels() {
  const { keys = [] } = await app.client.call("labels");
  const active = new Set(app.params.getAll("f").filter(step => step.startsWith("label:")).map(step => step.slice(6)));
  const parts = keys.map(({ key, count: total, rows }) => make("section", { class: "values" },
    make("h2", {}, key, " ", make("span", { class: "faint" }, plural(total, "value")), " ",
      make("button", { "aria-pressed": String(app.params.get("group") === key), "aria-label": `Group by ${key}`, onclick: () => app.update({ group: app.params.get("group") === key ? null : key }) }, "Group by it")),
    make("table", {}, make("tbody", {}, ...rows.map(row => {
      const step = `${key}=${row.has ? row.value : ""}`, on = active.has(step);
      return make("tr", {}, make("td", {}, make("button", { "aria-pressed": String(on), "aria-label": `Only ${key} ${row.value}`, onclick: () => app.toggleStep("label", step) }, on ? "only this" : "only")),
        make("td", { class: "name" }, row.value),
        make("td", { class: "number", "--share": Math.max(0, row.share) }, make("span", { class: "faint" }, row.text + "  "), row.percent),
        app.scene.diff && make("td", { class: "number" }, change(row)));
    })))));
  $("values").replaceChildren(...(parts.length ? parts : [make("p", { class: "faint" }, "The samples of this profile have no labels: no threads, routes or spans.")]));
}

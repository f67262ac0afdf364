// What is above and below the views: choices, filters, search, the selection, the menu of a function.

const VIEWS = [
  ["flame", "Flame", "Callees above their callers, the heaviest first"],
  ["icicle", "Icicle", "Callees below their callers, the heaviest first"],
  ["time", "Time", "In the order of time"],
  ["sandwich", "Sandwich", "Callers and callees of the selected function"],
  ["table", "Functions", "Self and total of every function"],
  ["tree", "Tree", "The call tree as rows"],
  ["source", "Source", "The lines of the selected function"],
  ["labels", "Labels", "Threads, routes, spans"],
];

const STEPS = { focus: "focus", ignore: "without", hide: "merge", from: "from", collapse: "collapse", label: "" };

const toolbar = {
  setUp() {
    const change = (id, key, none) => $(id).addEventListener("change", event => app.update({ [key]: event.target.value === none ? null : event.target.value }));
    change("profile", "p", "0");
    change("baseline", "base", "");
    change("normalize", "norm", "share");
    change("type", "type", "");
    change("by", "by", "function");
    change("group", "group", "");
    for (const key of ["mine", "flat", "full"]) $(key).addEventListener("click", () => app.flip(key));
    $("views").append(...VIEWS.map(([view, name, title], at) => make("button", {
      role: "tab", id: "view-" + view, title: `${title} (${at + 1})`, "aria-controls": "main", onclick: () => app.update({ view: view === "flame" ? null : view }),
    }, name)));
    $("views").addEventListener("keydown", event => this.tabs(event));
    $("query").addEventListener("input", () => this.search());
    $("query").addEventListener("keydown", event => this.queryKey(event));
    $("next").addEventListener("click", () => app.nextHit(1));
    $("previous").addEventListener("click", () => app.nextHit(-1));
    $("focus-query").addEventListener("click", () => this.focusQuery());
    $("open").addEventListener("click", () => $("file").click());
    $("file").addEventListener("change", event => { app.open([...event.target.files]); event.target.value = ""; });
    $("save").addEventListener("click", () => save.menu());
    $("copy").addEventListener("click", () => this.copy());
    $("theme").addEventListener("click", () => theme.next());
    $("help").addEventListener("click", () => help.show());
    $("menu").addEventListener("keydown", event => menuKey(event));
    addEventListener("pointerdown", event => { if (!$("menu").contains(event.target)) closeMenu(); });
  },

  // Only the chosen tab is in the order of Tab; arrows go between tabs.
  tabs(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const usable = [...$("views").children].filter(button => !button.disabled);
    const next = usable[(usable.indexOf(document.activeElement) + step + usable.length) % usable.length];
    next.focus();
    next.click();
  },

  show(scene, params) {
    const options = (id, values, chosen) => $(id).replaceChildren(...values.map(([value, text]) => make("option", { value, selected: String(value) === String(chosen) }, text)));
    const profiles = scene.profiles;
    options("profile", profiles.map((profile, at) => [at, profile.name]), params.get("p") ?? 0);
    options("baseline", [["", "nothing"], ...profiles.map((profile, at) => [at, profile.name]).filter(([at]) => String(at) !== (params.get("p") ?? "0"))], params.get("base") ?? "");
    $("against").hidden = profiles.length < 2;
    $("comparing").hidden = !scene.diff;
    $("normalize").value = params.get("norm") ?? "share";
    $("normalize").querySelector("[value=rate]").disabled = scene.diff && !scene.canRate;
    options("type", (scene.types ?? []).map(type => [type.kind, `${type.kind} · ${type.total}`]), scene.type);
    $("by").value = params.get("by") ?? "function";
    options("group", [["", "nothing"], ...(scene.labels ?? []).map(key => [key, key])], params.get("group") ?? "");
    $("grouping").hidden = !scene.labels?.length;
    for (const key of ["mine", "flat", "full"]) $(key).setAttribute("aria-pressed", String(params.has(key)));
    for (const [view] of VIEWS) {
      const tab = $("view-" + view), on = view === app.view();
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      tab.disabled = !scene.type || (view === "time" && !scene.timed) || (view === "labels" && !scene.labels?.length);
    }
    for (const part of ["what", "find", "options", "views", "save", "copy"]) $(part).hidden = !profiles.length;
    $("save").disabled = !scene.type;
    if (document.activeElement !== $("query")) $("query").value = params.get("q") ?? "";
    this.steps(params);
    this.details(scene);
  },

  steps(params) {
    const items = [...params].filter(([key]) => key === "f" || key === "off").map(([key, value]) => {
      const [kind, ...rest] = value.split(":"), pattern = rest.join(":").replace(/^=/, "");
      const off = key === "off", text = STEPS[kind] ? STEPS[kind] + " " : "";
      return make("li", { class: off ? "off" : undefined },
        make("button", { "aria-pressed": String(!off), title: off ? "Apply again" : "Leave out for now", onclick: () => app.turnStep(key, value) }, text, make("b", {}, pattern)),
        make("button", { "aria-label": `Remove the filter ${text}${pattern}`, title: "Remove", onclick: () => app.removeStep(key, value) }, "×"));
    });
    if (items.length > 1) items.push(make("li", {}, make("button", { onclick: () => app.update({ f: null, off: null }) }, "Remove all")));
    $("steps").replaceChildren(...items);
  },

  details(scene) {
    const box = $("details");
    box.hidden = !scene.type;
    if (box.hidden) return;
    const { selected, diff } = scene;
    if (!selected) {
      const warnings = scene.profiles[Number(app.params.get("p") ?? 0)]?.warnings ?? [];
      box.replaceChildren(make("span", { class: "name" }, "all"), make("span", { class: "cost" }, `${scene.total} ${scene.type}`),
        diff ? make("span", { class: "cost faint" }, `was ${scene.baseTotal}`) : "",
        make("span", { class: "faint" }, plural(scene.nodes, "call path")),
        diff && !scene.knowsChance ? make("span", { class: "faint" }, "The profiles do not count samples: chance is not told from change.") : "",
        warnings.length ? make("details", {}, make("summary", {}, plural(warnings.length, "warning")), ...warnings.map(text => make("div", {}, text))) : "");
      return;
    }
    const cost = (what, value) => make("span", { class: "cost" }, make("span", { class: "faint" }, what + " "), `${value.text} · ${value.percent}`, diff ? " " : "", diff && change(value));
    const act = (text, kind, title) => make("button", { title, onclick: () => app.addStep(kind, "=" + selected.name) }, text);
    box.replaceChildren(
      make("span", { class: "name", title: selected.full }, selected.name),
      cost("self", selected.self), cost("total", selected.total),
      selected.file ? make("span", {}, editorLink(selected.file, 1, selected.shortFile)) : "",
      make("span", { class: "acts" },
        act("Focus", "focus", "Keep only stacks with it (f)"), act("Ignore", "ignore", "Drop stacks with it (i)"),
        act("Merge", "hide", "Merge it into its callers (h)"), act("From here", "from", "Begin stacks at it (b)"),
        act("Collapse", "collapse", "Merge what it called into it (c)"),
        make("button", { title: "Callers and callees (4)", onclick: () => app.update({ view: "sandwich" }) }, "Sandwich"),
        make("button", { title: "Lines (7)", onclick: () => app.update({ view: "source" }) }, "Lines")));
  },

  search() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => app.update({ q: $("query").value || null }, "quiet"), 60);
  },

  queryKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) this.focusQuery(); else app.nextHit(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      $("query").value = "";
      app.update({ q: null });
      app.focusView();
    }
  },

  focusQuery() {
    const query = $("query").value;
    if (query) app.update({ q: null, f: [...app.params.getAll("f"), "focus:" + query] });
  },

  found(summary) {
    const { active, functions, percent, done, at, hits } = summary;
    $("hits").textContent = !active ? "" : functions ? `${at ? `${at} of ${hits}${hits === 1000 ? "+" : ""} · ` : ""}${plural(functions, "function")} · ${percent}${done ? "" : " …"}` : done ? "no hit" : "…";
    for (const id of ["next", "previous", "focus-query"]) $(id).disabled = !active || !functions;
  },

  async copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      say("Link copied");
      $("copy").textContent = "Copied";
    } catch {
      prompt("The link to this view", location.href);
    }
    setTimeout(() => { $("copy").textContent = "Copy link"; }, 1500);
  },
};

// The menu of a function: everything that can be done with it.
function openMenu(node, x, y) {
  const isCode = node.node !== 0 && !node.label;
  const step = (text, kind, key) => isCode && [text, () => app.addStep(kind, "=" + node.name), key];
  const items = [
    node.node !== undefined && node.pane === 0 && ["Zoom to it", () => flame.zoomTo(0, node.node), "Enter"],
    step("Focus: only stacks with it", "focus", "f"),
    step("Ignore: no stacks with it", "ignore", "i"),
    step("Merge it into its callers", "hide", "h"),
    step("Begin stacks here", "from", "b"),
    step("Collapse what it calls", "collapse", "c"),
    isCode && ["Callers and callees", () => app.update({ view: "sandwich", fn: node.name, node: null }), "4"],
    isCode && ["Lines", () => app.update({ view: "source", fn: node.name, node: null }), "7"],
    isCode && ["Find all", () => app.update({ q: "=" + node.name }), ""],
    ["Copy name", () => navigator.clipboard?.writeText(node.full || node.name), ""],
  ].filter(Boolean);
  showMenu(node.name, items, x, y);
}

// A menu of [text, act, key], called `label`.
function showMenu(label, items, x, y) {
  const menu = $("menu");
  menu.setAttribute("aria-label", label);
  menu.replaceChildren(...items.map(([text, act, key]) => make("button", { role: "menuitem", tabindex: "-1", onclick: () => { closeMenu(); act(); } }, text, key ? make("kbd", {}, key) : "")));
  hideTip();
  menu.hidden = false;
  menu.style.left = Math.max(4, Math.min(x, innerWidth - menu.offsetWidth - 4)) + "px";
  menu.style.top = Math.max(4, Math.min(y, innerHeight - menu.offsetHeight - 4)) + "px";
  menu.firstChild.focus();
}

function closeMenu() {
  if ($("menu").hidden) return;
  const had = $("menu").contains(document.activeElement);
  $("menu").hidden = true;
  if (had) app.focusView();
}

function menuKey(event) {
  const items = [...$("menu").children], at = items.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) items[(at + step + items.length) % items.length].focus();
  else if (event.key === "Escape" || event.key === "Tab") closeMenu();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// Light, dark, or as the system.
const theme = {
  system: matchMedia("(prefers-color-scheme: dark)"),

  setUp() {
    this.system.addEventListener("change", () => this.apply());
    this.apply();
  },

  next() {
    const order = ["system", "light", "dark"], now = remembered.get("theme") ?? "system";
    const next = order[(order.indexOf(now) + 1) % 3];
    remembered.set("theme", next);
    this.apply();
    say("Theme: " + next);
  },

  apply() {
    const chosen = remembered.get("theme") ?? "system";
    const dark = chosen === "dark" || (chosen === "system" && this.system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    $("theme").textContent = { system: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[chosen];
    const style = getComputedStyle(document.documentElement), color = name => style.getPropertyValue("--" + name).trim();
    app.client.call("theme", dark, { ink: dark ? "#f4f4f4" : "#1a1a1a", paper: color("paper"), accent: color("accent"), line: color("line") });
    if (app.scene && rows.isShown()) rows.draw();
  },
};

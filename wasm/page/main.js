// The page as a whole: what is open, what is shown, and the address that says so.

const app = {
  client: new Client(),
  scene: null,
  params: new URLSearchParams(),

  view: () => app.params.get("view") ?? "flame",

  // Changes what is shown: { key: value, ... }; null takes a key out, an array gives it several times.
  async update(changes, how) {
    const params = new URLSearchParams(this.params);
    // Places in time are none in the tree.
    if ("view" in changes && (changes.view === "time") !== (this.view() === "time")) changes.zoom = null;
    for (const [key, value] of Object.entries(changes)) {
      params.delete(key);
      for (const one of Array.isArray(value) ? value : value === null ? [] : [value]) params.append(key, one);
    }
    return this.apply(params, how);
  },

  async apply(params, how) {
    const before = this.params.toString();
    this.params = params;
    this.newest = params;
    if (this.applying) { this.waiting = how ?? "loud"; return this.applying; }
    this.applying = (async () => {
      do {
        this.waiting = null;
        const shown = this.params;
        const scene = await this.client.call("apply", shown.toString());
        if (this.params === shown) this.params = new URLSearchParams(scene.state);
        this.scene = scene;
      } while (this.waiting);
    })();
    try {
      await this.applying;
    } catch (error) {
      this.fail("This view could not be made", error);
    } finally {
      this.applying = null;
      progress.hide();
    }
    this.scene.selectedNode = this.params.has("node") ? Number(this.params.get("node")) : null;
    this.address(how === "quiet" || before === this.params.toString());
    this.show();
  },

  // Puts what is shown into the address. Steps that one would want to take back are entries of the history.
  address(quiet) {
    const text = this.params.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%2F", "/").replaceAll("%3D", "=");
    const hash = "#" + [text, this.url && "url=" + encodeURIComponent(this.url)].filter(Boolean).join("&");
    if (hash === location.hash || (hash === "#" && !location.hash)) return;
    try { history[quiet ? "replaceState" : "pushState"](null, "", hash); } catch { /* too often, or refused */ }
  },

  // The same a little later, for what changes many times a second.
  remember(changes) {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      for (const [key, value] of Object.entries(changes)) {
        const now = value();
        if (now === null) this.params.delete(key); else this.params.set(key, now);
      }
      this.address(true);
    }, 250);
  },

  show() {
    const { scene, params } = this, view = this.view();
    hideTip();
    toolbar.show(scene, params);
    const nothing = !scene.profiles.length || scene.problem || scene.empty;
    const flames = ["flame", "icicle", "time", "sandwich"].includes(view);
    const lacks = !nothing && view === "sandwich" && !scene.selected;
    const shown = { nothing: nothing || lacks, flame: flames, rows: view === "table" || view === "tree", lines: view === "source", values: view === "labels" };
    for (const id of Object.keys(shown)) $(id).hidden = id === "nothing" ? !shown.nothing : shown.nothing || !shown[id];
    if (nothing) return this.showNothing();
    if (lacks) return showMessage("Select a function", "Choose one in another view, or search for one: its callers and callees come here.");
    const title = scene.profiles[Number(params.get("p") ?? 0)].name;
    document.title = `${title} · Perfwright`;
    $("main").setAttribute("aria-label", `${title}: ${scene.total} ${scene.type}`);
    if (flames) {
      const zoom = params.get("zoom")?.split(",").map(Number);
      const key = [view, scene.selected?.name, scene.nodes, scene.diff].join();
      if (view === "sandwich" && this.sandwiched !== key) flame.scroll[1] = flame.scroll[2] = 0;
      this.sandwiched = key;
      flame.run = null;
      if (!flame.width) flame.resize();
      flame.show(view === "sandwich" ? [0, 1] : zoom);
      flame.mirror();
    }
    if (shown.rows) rows.show().then(() => this.keepFocus());
    if (shown.lines) showSource();
    if (shown.values) showLabels();
    this.keepFocus();
  },

  // Keys go to the view when what had them is gone.
  keepFocus() {
    const focused = document.activeElement;
    if (!focused || focused === document.body || focused.closest("[hidden]")) this.focusView();
  },

  showNothing() {
    const { scene } = this;
    if (!scene.profiles.length) return welcome();
    if (scene.problem) return showMessage("Nothing to show", scene.problem, ["Compare with nothing", () => this.update({ base: null })]);
    const filtered = this.params.has("f") || this.params.has("mine");
    // Another sample type may have what this one lacks.
    const other = scene.types?.findLast(({ kind, total }) => kind !== scene.type && !/^0( |$)/.test(total));
    if (!filtered && other) return showMessage(`There is no ${scene.type}`, `The samples of this profile have other values: ${other.total} ${other.kind}.`, [`Show ${other.kind}`, () => this.update({ type: other.kind })]);
    showMessage(filtered ? "The filters leave nothing" : "The profile is empty",
      filtered ? "No stack passes all of them." : `It has no samples with ${scene.type}: nothing ran, or nothing was recorded.`,
      filtered ? ["Remove the filters", () => this.update({ f: null, off: null, mine: null })] : ["Open another…", () => $("file").click()]);
  },

  // Opens files, or texts in base64: [{ name, source }] or [File].
  async open(files) {
    let opened = false;
    const texts = files.filter(file => file.text && IS_SOURCE.test(file.name));
    if (texts.length) await addSources(texts);
    files = files.filter(file => !texts.includes(file));
    for (const file of files) {
      const name = file.name, source = file.source ?? file;
      try {
        const at = await this.client.call("open", name, source);
        if (!opened && this.scene?.profiles.length) this.params = new URLSearchParams([["p", at], ...this.kept()]);
        opened = true;
      } catch (error) {
        progress.hide();
        this.fail(`${name} could not be opened`, error);
        return;
      }
    }
    if (opened) await this.apply(new URLSearchParams(this.params), "quiet");
    this.focusView();
  },

  // What stays when another profile is opened.
  kept() {
    return [...this.params].filter(([key]) => ["view", "mine", "flat", "full", "by", "f", "off", "q", "sort", "rev"].includes(key));
  },

  async fetch(url) {
    // Its end would take the bar away.
    await this.applying;
    progress.show({ stage: "Fetching", name: url });
    try {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`the server says ${response.status} ${response.statusText}`);
      await this.open([{ name: new URL(url, location.href).pathname.split("/").pop() || url, source: await response.blob() }]);
      this.url = url;
      this.address(true);
    } catch (error) {
      progress.hide();
      this.fail(`${url} could not be fetched`, error);
    }
  },

  fail(title, error) {
    const again = this.scene?.profiles.length ? ["Back", () => this.show()] : ["Open another…", () => $("file").click()];
    for (const id of ["flame", "rows", "lines", "values"]) $(id).hidden = true;
    showMessage(title, make("p", { class: "error" }, error.message), again);
    $("nothing").hidden = false;
    say(`${title}: ${error.message}`);
  },

  // Selects a node of the main pane, or a function by its name; null selects nothing.
  async select(node) {
    if (!node || (node.node === 0 && node.pane === 0)) return this.update({ fn: null, node: null }, "quiet");
    const isMain = node.pane === 0 && node.node !== undefined && this.view() !== "time";
    if (node.pane > 0) return node.node ? this.update({ fn: node.name, node: null }) : undefined;
    return this.update({ fn: node.name, node: isMain ? String(node.node) : null }, "quiet");
  },

  flip(key) { this.update({ [key]: this.params.has(key) ? null : "1" }); },
  addStep(kind, pattern) { this.update({ f: [...this.params.getAll("f"), `${kind}:${pattern}`] }); },
  removeStep(key, value) { this.update({ [key]: this.params.getAll(key).filter(one => one !== value) }); },

  turnStep(key, value) {
    const other = key === "f" ? "off" : "f";
    this.update({ [key]: this.params.getAll(key).filter(one => one !== value), [other]: [...this.params.getAll(other), value] });
  },

  toggleStep(kind, pattern) {
    const step = `${kind}:${pattern}`;
    if (this.params.getAll("f").includes(step)) this.removeStep("f", step); else this.addStep(kind, pattern);
  },

  async nextHit(step) {
    const node = await this.client.call("foundNode", step);
    if (node === null) return;
    const found = await this.client.call("node", 0, node);
    await this.select({ ...found, pane: 0 });
    toolbar.found({ ...this.search, ...this.search });
    if (flame.isShown()) flame.reveal(node);
  },

  focusView() {
    const visible = ["flame", "rows", "lines", "values", "nothing"].find(id => !$(id).hidden);
    if (visible === "flame") $("tree").focus({ preventScroll: true });
    else if (visible === "rows") rows.focus(false) ?? $("rows").focus();
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open || event.target.closest("input, select, textarea, [role=menu]")) return;
    const selected = this.scene?.selected?.name;
    const step = kind => selected ? () => this.addStep(kind, "=" + selected) : null;
    const act = {
      "?": () => help.show(), "/": () => $("query").select(), o: () => $("file").click(),
      n: () => this.nextHit(1), N: () => this.nextHit(-1),
      e: () => this.scene.type && save.menu(), m: () => this.flip("mine"), r: () => this.flip("flat"), g: () => this.flip("full"),
      f: step("focus"), i: step("ignore"), h: step("hide"), b: step("from"), c: step("collapse"),
      z: () => this.update({ f: this.params.getAll("f").slice(0, -1) }),
      0: () => flame.isShown() && flame.glide([0, 1]),
      Escape: () => this.escape(),
    }[event.key] ?? (/^[1-8]$/.test(event.key) ? () => { const tab = $("views").children[event.key - 1]; if (!tab.disabled) tab.click(); } : null);
    if (!act || (!this.scene?.profiles.length && !"?o".includes(event.key))) return;
    event.preventDefault();
    act();
  },

  escape() {
    if (!$("menu").hidden) return closeMenu();
    if (flame.isShown() && flame.zoom[1] - flame.zoom[0] < 1) return flame.glide([0, 1]);
    if (this.params.has("q")) { $("query").value = ""; return this.update({ q: null }); }
    this.select(null);
  },
};

const progress = {
  show({ name, stage, share }) {
    const box = $("progress");
    if (!box.hidden || share !== undefined) return this.fill(name, stage, share);
    // What is quick needs no bar.
    this.soon ??= setTimeout(() => this.fill(name, stage, share), 120);
  },

  fill(name, stage, share) {
    const box = $("progress");
    box.hidden = false;
    box.classList.toggle("unsure", share === undefined);
    box.firstElementChild.style.width = share === undefined ? "" : `${100 * share}%`;
    box.lastElementChild.textContent = `${stage} ${name ?? ""}${share === undefined ? "" : ` · ${Math.round(100 * share)} %`}`;
    if (share === undefined) box.removeAttribute("aria-valuenow"); else box.setAttribute("aria-valuenow", Math.round(100 * share));
  },

  hide() {
    clearTimeout(this.soon);
    this.soon = null;
    $("progress").hidden = true;
  },
};

function showMessage(title, text, action) {
  $("nothing").hidden = false;
  $("nothing").replaceChildren(make("div", {}, make("h1", {}, title), typeof text === "string" ? make("p", {}, text) : text,
    action ? make("button", { class: "main", onclick: action[1] }, action[0]) : ""));
}

function welcome() {
  showMessage("Open a profile", "Drop files here, paste folded stacks, or choose files: pprof, folded stacks and others, gzipped or not. Several can be compared. Nothing leaves this computer.", ["Open…", () => $("file").click()]);
}

// Files that are dropped, texts and files that are pasted.
function setUpInput() {
  addEventListener("dragover", event => { event.preventDefault(); $("drop").hidden = false; });
  addEventListener("dragleave", event => { if (!event.relatedTarget) $("drop").hidden = true; });
  addEventListener("drop", event => {
    event.preventDefault();
    $("drop").hidden = true;
    app.open([...event.dataTransfer.files]);
  });
  addEventListener("paste", event => {
    if (event.target.closest?.("input")) return;
    const { files } = event.clipboardData, text = event.clipboardData.getData("text");
    if (files.length) app.open([...files]);
    else if (text) app.open([{ name: "pasted", source: new Blob([text]) }]);
  });
  // A ring around the flame view is for those who came by the keyboard.
  addEventListener("keydown", event => { document.documentElement.dataset.keys = ""; app.key(event); });
  addEventListener("pointerdown", () => { delete document.documentElement.dataset.keys; }, true);
  addEventListener("popstate", () => app.apply(new URLSearchParams(location.hash.slice(1)), "quiet"));
  addEventListener("hashchange", () => {
    const params = new URLSearchParams(location.hash.slice(1));
    if (params.has("url") && params.get("url") !== app.url) app.fetch(params.get("url"));
  });
}

async function main() {
  const embedded = [...document.querySelectorAll("script[data-profile]")].map(element => {
    // The text is of no use any more once the core has it.
    element.remove();
    return { name: element.dataset.profile, source: element.textContent };
  });
  save.source = "<!doctype html>\n" + document.documentElement.outerHTML;
  for (const element of document.querySelectorAll("script[data-source]")) sources.set(element.dataset.source, element);
  app.params = new URLSearchParams(location.hash.slice(1) || document.documentElement.dataset.state || "");
  const url = app.params.get("url");
  app.client.handlers = {
    progress: state => progress.show(state),
    search: summary => { app.search = summary; toolbar.found(summary); if (rows.isShown()) rows.draw(); },
  };
  try {
    await app.client.start();
  } catch (error) {
    return app.fail("This browser can't run the viewer", error);
  }
  toolbar.setUp();
  rows.setUp();
  setUpInput();
  await flame.setUp();
  theme.setUp();
  if (embedded.length) await app.open(embedded);
  else if (url) await app.fetch(url);
  else await app.apply(app.params, "quiet");
  document.documentElement.dataset.ready = "";
}

await main();

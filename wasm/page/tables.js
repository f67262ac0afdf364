// The function table and the tree table: only the rows that can be seen are there.

const TABLE_ROW = 26;

const rows = {
  first: 0,
  // The row that has the keys.
  at: 0,

  setUp() {
    const box = $("rows");
    box.addEventListener("scroll", () => this.draw());
    box.addEventListener("keydown", event => this.key(event));
    new ResizeObserver(() => this.draw()).observe(box);
  },

  isShown: () => !$("rows").hidden,
  isTree: () => app.view() === "tree",

  async show() {
    this.head();
    const at = this.isTree()
      ? app.scene.selectedNode !== null && await app.client.call("reveal", app.scene.selectedNode)
      : await app.client.call("tablePosition");
    if (typeof at === "number") {
      this.at = at;
      // What is not drawn yet has no height to scroll in.
      await this.draw();
      const top = at * TABLE_ROW, box = $("rows");
      if (top < box.scrollTop || top > box.scrollTop + box.clientHeight - 3 * TABLE_ROW) box.scrollTop = top - box.clientHeight / 2;
    } else {
      this.at = Math.ceil($("rows").scrollTop / TABLE_ROW);
    }
    await this.draw();
  },

  head() {
    const tree = this.isTree(), diff = app.scene.diff;
    const sort = app.params.get("sort") ?? "self", reversed = app.params.has("rev");
    const column = (key, name, title, kind) => {
      const sorted = !tree && key === sort;
      const order = !sorted ? "none" : (key === "name") !== reversed ? "ascending" : "descending";
      const text = sorted ? name + (order === "ascending" ? " ▲" : " ▼") : name;
      const onclick = () => app.update({ sort: key === "self" ? null : key, rev: sorted && !reversed ? "1" : null });
      return make("th", { class: kind, scope: "col", "aria-sort": tree ? undefined : order },
        make("button", { title, "aria-label": name === "Change" ? `Change of ${key.split("-")[0]}` : undefined, onclick, disabled: tree, tabindex: tree ? "-1" : undefined }, text));
    };
    const cells = [
      column("self", "Self", "What the function cost itself", "number"),
      diff && column("self-change", "Change", "By how much self changed", "number change"),
      column("total", "Total", "What it cost with all it called", "number"),
      diff && column("total-change", "Change", "By how much total changed", "number change"),
      column("name", tree ? "Calls" : "Function", "Name", ""),
    ];
    const table = $("rows").querySelector("table");
    table.setAttribute("role", tree ? "treegrid" : "grid");
    table.setAttribute("aria-label", tree ? "Call tree" : "Functions");
    table.tHead.replaceChildren(make("tr", {}, ...cells));
    this.columns = cells.filter(Boolean).length;
  },

  async draw() {
    if (!this.isShown() || !app.scene) return;
    if (this.busy) { this.again = true; return; }
    this.busy = true;
    const box = $("rows");
    const from = Math.max(0, Math.floor(box.scrollTop / TABLE_ROW) - 8);
    const wanted = Math.ceil(box.clientHeight / TABLE_ROW) + 18;
    const tree = this.isTree();
    const { count: total, rows: found } = await app.client.call(tree ? "tree" : "table", from, wanted);
    this.busy = false;
    if (tree !== this.isTree()) return this.draw();
    this.total = total;
    this.first = from;
    this.shown = found ?? [];
    const table = box.querySelector("table");
    const focused = table.contains(document.activeElement) && document.activeElement.tagName === "TR";
    table.setAttribute("aria-rowcount", total + 1);
    const space = height => make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: this.columns, "--h": "0", style: `height:${height}px` }));
    this.at = Math.min(this.at, Math.max(0, total - 1));
    const body = this.shown.map((row, index) => this.row(row, from + index, tree));
    const after = Math.max(0, total - from - this.shown.length) * TABLE_ROW;
    table.tBodies[0].replaceChildren(space(from * TABLE_ROW), ...body, space(after));
    if (!total) table.tBodies[0].replaceChildren(make("tr", {}, make("td", { colspan: this.columns, class: "faint" }, "No function matches.")));
    if (focused) this.focus(false);
    if (this.again) { this.again = false; this.draw(); }
  },

  row(row, at, tree) {
    const diff = app.scene.diff;
    const number = value => make("td", { class: "number", "--share": Math.max(0, Math.min(1, value.share)) },
      make("span", { class: "faint" }, value.text + "  "), value.percent);
    const name = make("td", { class: "name", title: row.full + (row.file ? "\n" + row.file : ""), style: tree ? `padding-left:${10 + Math.min(row.level - 1, 60) * 14}px` : "" });
    if (tree) {
      name.append(make("span", { class: "twist", "aria-hidden": "true", onclick: event => { event.stopPropagation(); this.toggle(at); } }, row.leaf ? "" : row.open ? "▾" : "▸"));
    }
    name.append(make("span", { class: "swatch", style: "background:" + hex(row.color) }), row.name);
    const pick = () => { this.at = at; return app.select(tree ? { node: row.node, pane: 0, name: row.name } : { name: row.name }); };
    return make("tr", {
      tabindex: at === this.at ? "0" : "-1", "data-at": at, class: row.found ? "found" : undefined,
      "aria-rowindex": at + 2, "aria-selected": String(row.selected), "aria-level": row.level,
      "aria-expanded": tree && !row.leaf ? String(row.open) : undefined,
      onclick: pick,
      ondblclick: () => tree ? this.toggle(at) : app.update({ view: "sandwich", fn: row.name, node: null }),
      oncontextmenu: async event => { event.preventDefault(); await pick(); openMenu({ ...row, pane: 0 }, event.clientX, event.clientY); },
    }, number(row.self), diff && make("td", { class: "number" }, change(row.self)),
      number(row.total), diff && make("td", { class: "number" }, change(row.total)), name);
  },

  async toggle(at) {
    await app.client.call("toggle", at);
    this.draw();
  },

  focus(scroll) {
    const box = $("rows");
    if (scroll) {
      const top = this.at * TABLE_ROW;
      if (top < box.scrollTop) box.scrollTop = top;
      if (top > box.scrollTop + box.clientHeight - 2.5 * TABLE_ROW) box.scrollTop = top - box.clientHeight + 2.5 * TABLE_ROW;
    }
    const row = box.querySelector(`tr[data-at="${this.at}"]`);
    row?.focus({ preventScroll: true });
    return row;
  },

  async key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "BUTTON") return;
    const page = Math.max(1, Math.floor($("rows").clientHeight / TABLE_ROW) - 2);
    const row = this.shown?.[this.at - this.first];
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.at, End: this.total };
    if (event.key in steps) {
      event.preventDefault();
      this.at = Math.min(Math.max(this.at + steps[event.key], 0), Math.max(0, this.total - 1));
      this.focus(true);
      await this.draw();
      this.focus(true);
      const now = this.shown[this.at - this.first];
      if (now) app.select(this.isTree() ? { node: now.node, pane: 0, name: now.name } : { name: now.name });
    } else if (this.isTree() && row && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      event.preventDefault();
      const opens = event.key === "ArrowRight";
      if (!row.leaf && row.open !== opens) return this.toggle(this.at);
      if (opens) return;
      const parent = this.shown.slice(0, this.at - this.first).findLastIndex(one => one.level < row.level);
      if (parent >= 0) { this.at = this.first + parent; this.focus(true); await this.draw(); this.focus(true); }
    } else if (event.key === "Enter" && row) {
      event.preventDefault();
      if (this.isTree()) this.toggle(this.at); else app.update({ view: "sandwich", fn: row.name, node: null });
    } else if (event.key === "ContextMenu" && row) {
      event.preventDefault();
      const box = this.focus(false)?.getBoundingClientRect();
      if (box) openMenu({ ...row, pane: 0 }, box.left + 60, box.bottom);
    }
  },
};

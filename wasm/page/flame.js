// The flame views: the canvas's size, zoom and scroll, mouse, touch and keys. What is drawn, the core draws.

const ROW_HEIGHT = 20;
const SANDWICH_GAP = 0;

const flame = {
  zoom: [0, 1],
  // By pane, in pixels from its root.
  scroll: [0, 0, 0],
  rows: [0, 0, 0],
  panes: [],
  pending: false,
  busy: false,
  hovered: null,
  pointers: new Map(),

  // Hands the canvas to the core. Once is enough.
  async setUp() {
    const canvas = $("canvas"), tree = $("tree");
    const apart = app.client.isApart ? canvas.transferControlToOffscreen() : canvas;
    await app.client.send("canvas", [apart], app.client.isApart ? [apart] : []);
    new ResizeObserver(() => this.resize()).observe($("flame"));
    tree.addEventListener("wheel", event => this.wheel(event), { passive: false });
    tree.addEventListener("pointerdown", event => this.down(event));
    tree.addEventListener("pointermove", event => this.move(event));
    for (const type of ["pointerup", "pointercancel"]) tree.addEventListener(type, event => this.up(event));
    tree.addEventListener("pointerleave", () => this.unhover());
    tree.addEventListener("dblclick", event => this.zoomAt(event));
    tree.addEventListener("contextmenu", event => this.context(event));
    tree.addEventListener("keydown", event => this.key(event));
    tree.addEventListener("focus", () => this.mirror());
  },

  isShown: () => !$("flame").hidden,
  isUp: () => app.view() === "flame",

  async resize() {
    const { clientWidth: width, clientHeight: height } = $("flame");
    if (!width || !height) return;
    this.width = width;
    this.height = height;
    await app.client.call("resize", width, height, devicePixelRatio || 1);
    this.draw();
  },

  // Which panes there are, and where.
  layout() {
    const { width, height } = this;
    if (app.view() !== "sandwich") {
      return [{ pane: 0, top: 0, height, up: this.isUp(), scroll: this.scroll[0] }];
    }
    // The function itself is there once: its callers begin with the second row.
    const callers = (this.rows[1] - 1) * ROW_HEIGHT, callees = this.rows[2] * ROW_HEIGHT;
    const half = (height - SANDWICH_GAP) / 2;
    const above = Math.max(Math.min(callers, height - SANDWICH_GAP - Math.min(callees, half)), 0);
    const below = height - above - SANDWICH_GAP;
    return [
      { pane: 1, top: 0, height: above, up: true, scroll: this.scroll[1] + ROW_HEIGHT },
      { pane: 2, top: above + SANDWICH_GAP, height: below, up: false, scroll: this.scroll[2] },
    ];
  },

  // Draws soon: at most one frame is under way, and the newest wish wins.
  draw() {
    if (!this.isShown() || this.pending || !app.scene || !this.width) return;
    this.pending = true;
    requestAnimationFrame(() => this.drawNow());
  },

  async drawNow() {
    this.pending = false;
    if (this.busy) { this.again = true; return; }
    this.busy = true;
    this.bound();
    this.panes = this.layout();
    const zoom = [...this.zoom];
    const rows = await app.client.call("frame", { zoom, panes: this.panes });
    this.busy = false;
    // For those who wait for a picture: tests and benches.
    $("flame").dataset.frames = Number($("flame").dataset.frames ?? 0) + 1;
    let changed = false;
    this.panes.forEach(({ pane }, at) => {
      changed ||= this.rows[pane] !== rows[at];
      this.rows[pane] = rows[at];
    });
    this.thumb();
    if (changed || this.again) { this.again = false; this.draw(); }
  },

  // Keeps zoom and scroll within what there is.
  bound() {
    let [start, end] = this.zoom;
    const span = Math.min(1, Math.max(end - start, 1e-9));
    start = Math.min(Math.max(start, 0), 1 - span);
    this.zoom = [start, start + span];
    for (const { pane, height } of this.layout()) {
      const most = Math.max(0, (this.rows[pane] - (pane === 1)) * ROW_HEIGHT - height);
      if (this.rows[pane]) this.scroll[pane] = Math.min(Math.max(this.scroll[pane], 0), most);
    }
  },

  thumb() {
    const { pane, height, up } = this.panes[0], all = this.rows[pane] * ROW_HEIGHT;
    const thumb = $("thumb");
    thumb.hidden = all <= height || pane !== 0;
    if (thumb.hidden) return;
    const size = Math.max(24, height * height / all);
    const at = this.scroll[0] / Math.max(1, all - height) * (height - size);
    thumb.style.height = size + "px";
    thumb.style.top = (up ? height - size - at : at) + "px";
  },

  // A new view or a new tree: the zoom of the address.
  show(zoom) {
    this.zoom = zoom ?? [0, 1];
    this.rows = [0, 0, 0];
    this.draw();
  },

  setZoom(zoom) {
    this.zoom = zoom;
    this.draw();
    app.client.call("zoom", ...zoom);
    app.remember({ zoom: () => this.zoom[1] - this.zoom[0] >= 1 ? null : this.zoom.join(",") });
  },

  // Glides to a part of the whole.
  glide(zoom) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.setZoom(zoom);
    const from = [...this.zoom], began = performance.now(), run = this.run = {};
    const step = () => {
      if (this.run !== run) return;
      const at = Math.min(1, (performance.now() - began) / 160), eased = 1 - (1 - at) ** 3;
      this.zoom = [0, 1].map(side => from[side] + (zoom[side] - from[side]) * eased);
      if (at >= 1) return this.setZoom(zoom);
      this.draw();
      requestAnimationFrame(step);
    };
    step();
  },

  // Where an event is: the pane, the share of the whole, the row.
  place(event) {
    const box = $("tree").getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const at = this.panes.find(({ top, height }) => y >= top && y < top + height);
    if (!at) return null;
    const inside = at.up ? at.top + at.height - y + at.scroll : y - at.top + at.scroll;
    const [start, end] = at.pane === 0 ? this.zoom : [0, 1];
    return { pane: at.pane, at: start + x / this.width * (end - start), row: Math.floor(inside / ROW_HEIGHT) };
  },

  async nodeAt(event) {
    const place = this.place(event);
    if (!place) return null;
    const node = await app.client.call("hit", place.pane, place.at, place.row);
    return node && { ...node, pane: place.pane };
  },

  wheel(event) {
    event.preventDefault();
    this.unhover();
    const scale = event.deltaMode === 1 ? ROW_HEIGHT : 1;
    const [dx, dy] = [event.deltaX * scale, event.deltaY * scale];
    if (event.ctrlKey || event.metaKey || event.altKey) return this.zoomBy(Math.exp(dy / 250), event);
    const sideways = event.shiftKey ? dx || dy : dx;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : dy)) return this.pan(sideways);
    const place = this.place(event), pane = place?.pane ?? 0;
    const at = this.panes.find(at => at.pane === pane);
    if (!at) return;
    const overflows = this.rows[pane] * ROW_HEIGHT > at.height;
    if (!overflows && pane === 0) return this.zoomBy(Math.exp(dy / 400), event);
    this.scroll[pane] += at.up ? -dy : dy;
    this.draw();
  },

  zoomBy(factor, event) {
    const box = $("tree").getBoundingClientRect(), [start, end] = this.zoom;
    const share = event ? (event.clientX - box.left) / this.width : 0.5;
    const at = start + share * (end - start), span = Math.min(1, Math.max((end - start) * factor, 1e-9));
    const from = Math.min(Math.max(at - share * span, 0), 1 - span);
    this.setZoom([from, from + span]);
  },

  pan(pixels) {
    const [start, end] = this.zoom, span = end - start;
    const from = Math.min(Math.max(start + pixels / this.width * span, 0), 1 - span);
    this.setZoom([from, from + span]);
  },

  down(event) {
    if (event.button > 0) return;
    this.run = null;
    this.moved = false;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    $("tree").setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") {
      clearTimeout(this.press);
      this.press = setTimeout(() => { if (!this.moved) { this.moved = true; this.context(event); } }, 550);
    }
  },

  move(event) {
    const old = this.pointers.get(event.pointerId);
    if (!old) return this.hover(event);
    const now = { x: event.clientX, y: event.clientY };
    if (!this.moved && Math.hypot(now.x - old.x, now.y - old.y) < 4) return;
    this.moved = true;
    this.unhover();
    $("tree").classList.add("grabbed");
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    this.pointers.set(event.pointerId, now);
    if (others.length) return this.pinch(old, now, others[0]);
    const place = this.place(event), pane = place?.pane ?? 0;
    const up = this.panes.find(at => at.pane === pane)?.up;
    this.scroll[pane] += up ? now.y - old.y : old.y - now.y;
    if (pane === 0) this.pan(old.x - now.x); else this.draw();
  },

  pinch(old, now, other) {
    const before = Math.max(24, Math.abs(old.x - other.x)), after = Math.max(24, Math.abs(now.x - other.x));
    this.zoomBy(before / after, { clientX: (now.x + other.x) / 2 });
  },

  async up(event) {
    clearTimeout(this.press);
    const was = this.pointers.delete(event.pointerId);
    $("tree").classList.remove("grabbed");
    if (!was || this.moved || event.type === "pointercancel") return;
    const node = await this.nodeAt(event);
    app.select(node);
  },

  async zoomAt(event) {
    const node = await this.nodeAt(event);
    if (node) this.zoomTo(node.pane, node.node);
  },

  async zoomTo(pane, node) {
    if (pane !== 0) {
      const { name } = await app.client.call("node", pane, node);
      return node ? app.update({ fn: name, node: null }) : undefined;
    }
    this.glide(await app.client.call("range", 0, node));
  },

  hover(event) {
    if (event.pointerType === "touch") return;
    this.last = event;
    if (this.asking) return;
    this.asking = true;
    this.nodeAt(event).then(node => {
      this.asking = false;
      const pending = this.last !== event && this.last;
      this.hovered = node;
      if (node && this.last) showTip(node, this.last); else hideTip();
      if (pending) this.hover(pending);
    });
  },

  unhover() {
    this.last = null;
    hideTip();
  },

  async context(event) {
    event.preventDefault?.();
    const node = await this.nodeAt(event);
    if (!node) return;
    await app.select(node);
    openMenu(node, event.clientX, event.clientY);
  },

  // Makes a node visible: up or down, and if it is out of the zoom, sideways.
  async reveal(node, pane = 0) {
    const [row, range] = await Promise.all([app.client.call("row", pane, node), app.client.call("range", pane, node)]);
    if (row === null || !range) return;
    const height = this.panes.find(at => at.pane === pane)?.height ?? this.height;
    const top = (row - (pane === 1)) * ROW_HEIGHT, bottom = top + ROW_HEIGHT;
    if (top < this.scroll[pane]) this.scroll[pane] = Math.max(0, top - 2 * ROW_HEIGHT);
    if (bottom > this.scroll[pane] + height) this.scroll[pane] = bottom - height + 2 * ROW_HEIGHT;
    const [start, end] = this.zoom, [from, to] = range, pixels = (to - from) / (end - start) * this.width;
    if (pane === 0 && (to <= start || from >= end || pixels < 2)) {
      const span = Math.min(1, Math.max((to - from) * 3, pixels < 2 ? 0 : end - start));
      const middle = (from + to) / 2, left = Math.min(Math.max(middle - span / 2, 0), 1 - span);
      this.glide([left, left + span]);
    } else {
      this.draw();
    }
  },

  // Which node has the keys: the selected one, but in the order of time and around a function one of its own.
  at() {
    if (!["time", "sandwich"].includes(app.view())) return { pane: 0, node: app.scene?.selectedNode ?? 0 };
    const key = [app.view(), app.view() === "sandwich" && app.scene.selected?.name, app.scene.nodes].join();
    if (this.cursor?.key !== key) this.cursor = { key, pane: app.view() === "sandwich" ? 2 : 0, node: 0 };
    return this.cursor;
  },

  async key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      Enter: () => this.zoomTo(this.at().pane, this.at().node),
      " ": () => this.zoomTo(this.at().pane, this.at().node),
      Home: () => this.goTo({ pane: this.at().pane, node: 0 }),
      PageDown: () => { this.scroll[this.at().pane] += this.height * 0.8; this.draw(); },
      PageUp: () => { this.scroll[this.at().pane] -= this.height * 0.8; this.draw(); },
      ContextMenu: () => this.keyMenu(),
      F10: event.shiftKey && (() => this.keyMenu()),
      w: () => this.zoomBy(1 / 1.4), s: () => this.zoomBy(1.4),
      a: () => this.pan(-this.width / 6), d: () => this.pan(this.width / 6),
      // One after the other, however fast they come.
      ...Object.fromEntries(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"].map(key => [key, () => {
        this.steps = (this.steps ?? Promise.resolve()).then(() => this.step(key));
      }])),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    return act();
  },

  async step(key) {
    let { pane, node } = this.at();
    const isUp = pane === 1 || (pane === 0 && this.isUp());
    const outwards = key === (isUp ? "ArrowUp" : "ArrowDown");
    const direction = { ArrowLeft: "previous", ArrowRight: "next" }[key] ?? (outwards ? "callee" : "caller");
    let next = await app.client.call("neighbour", pane, node, direction);
    // From the function to its other side.
    if (next === null && direction === "caller" && pane > 0) next = await app.client.call("neighbour", pane = 3 - pane, 0, "callee");
    if (next !== null) await this.goTo({ pane, node: next });
  },

  // Gives the keys to a node: selects it where that does not turn the view around.
  async goTo({ pane, node }) {
    const found = { ...await app.client.call("node", pane, node), pane };
    if (app.view() === "time" || pane > 0) {
      Object.assign(this.at(), { pane, node });
      await app.client.call("cursor", pane, node);
      say(`${found.name}, ${found.total.percent}`);
    }
    if (pane === 0) await app.select(found);
    await this.reveal(node, pane);
    await this.mirror();
    if (pane > 0) this.tipAt(found);
  },

  // What the tip says of the node that has the keys, below it.
  async tipAt(node) {
    const range = await app.client.call("range", node.pane, node.node), at = this.panes.find(at => at.pane === node.pane);
    if (!range || !at) return;
    const box = $("tree").getBoundingClientRect(), rows = (node.row + (at.up ? 0 : 1)) * ROW_HEIGHT - at.scroll;
    showTip(node, { clientX: box.left + range[0] * this.width, clientY: box.top + at.top + (at.up ? at.height - rows : rows) - 12 });
  },

  async keyMenu() {
    const { pane, node } = this.at(), box = $("tree").getBoundingClientRect();
    openMenu({ ...await app.client.call("node", pane, node), pane }, box.left + 40, box.top + 40);
  },

  // The selection as a tree for screen readers: its callers, itself, its callees.
  async mirror() {
    if (!this.isShown()) return;
    const { pane, node } = this.at();
    const around = await app.client.call("relatives", pane, node);
    if (!around) return;
    // The root of a sandwich is its function.
    const root = pane > 0 && app.scene.selected?.name;
    const item = ({ node, name, percent, of, position, callees }, level, selected) => make("div", {
      role: "treeitem", id: "item-" + node, "aria-level": level, "aria-setsize": of, "aria-posinset": position,
      "aria-selected": String(selected), "aria-expanded": callees ? String(selected || level <= around.path.length) : undefined,
    }, `${node === 0 && root || name}, ${percent}`);
    const items = around.path.map((one, at) => item(one, at + 1, at === around.path.length - 1));
    items.push(...around.callees.map(one => item(one, around.path.length + 1, false)));
    $("tree").replaceChildren(...items);
    $("tree").setAttribute("aria-activedescendant", "item-" + around.path.at(-1).node);
  },
};

function showTip(node, event) {
  const tip = $("tip"), diff = node.total.change !== undefined;
  const row = (what, value, extra) => make("tr", {}, make("td", { class: "faint" }, what), make("td", {}, value.text),
    make("td", {}, value.percent), diff && make("td", {}, "was " + value.basePercent), diff && make("td", {}, change(value)), extra);
  tip.replaceChildren(
    make("div", { class: "name" }, node.full || node.name),
    node.file ? make("div", { class: "faint" }, node.shortFile) : "",
    make("table", {}, row("total", node.total, node.node ? make("td", { class: "faint" }, node.ofParent + " of its caller") : null), row("self", node.self)));
  tip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tip;
  const x = Math.min(event.clientX + 14, innerWidth - width - 6);
  const below = event.clientY + 18 + height < innerHeight;
  tip.style.left = Math.max(4, x) + "px";
  tip.style.top = (below ? event.clientY + 18 : Math.max(4, event.clientY - height - 12)) + "px";
}

function hideTip() { $("tip").hidden = true; }

// Drawing boxes on a canvas: where the profile lives, so that the page's thread has nothing to do with it.

const ROW = 20;
const FONT = '12px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const FLAG = { small: 1, found: 2, same: 4, selected: 8, label: 16 };
const MAIN = 0, CALLERS = 1, CALLEES = 2;

// One canvas and what is on it. A pane is { pane, top, height, up, scroll }: up, its root is at the bottom.
class Painter {
  constructor(viewer, canvas) {
    this.viewer = viewer;
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.ratio = 1;
    this.colors = { ink: "#1a1c20", paper: "#fff", accent: "#1c5fd0", line: "#d9dde3" };
    this.context.font = FONT;
    this.charWidth = this.context.measureText("mmmmmmmmmm").width / 10 || 7.2;
  }

  resize(width, height, ratio) {
    this.width = width;
    this.height = height;
    this.ratio = ratio;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
  }

  draw(frame, searching) {
    const context = this.context;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    for (const pane of frame.panes) this.pane(pane, frame.zoom, searching);
  }

  pane({ pane, top, height, up, scroll }, [start, end], searching) {
    const context = this.context, first = Math.floor(scroll / ROW);
    const count = Math.ceil(height / ROW) + 1;
    const zoom = pane === MAIN ? [start, end] : [0, 1];
    this.viewer.draw(pane, zoom[0], zoom[1], this.width, first, count, this.charWidth);
    const places = this.viewer.places(), facts = this.viewer.facts();
    const texts = this.viewer.texts().split("\n");
    context.save();
    context.beginPath();
    context.rect(0, top, this.width, height);
    context.clip();
    const y = row => up ? top + height - (row + 1) * ROW + scroll : top + row * ROW - scroll;
    this.fills(places, facts, y, searching);
    this.texts(places, facts, texts, y, searching);
    this.marks(places, facts, y);
    context.restore();
  }

  fills(places, facts, y, searching) {
    const context = this.context;
    let color = -1, alpha = 1;
    for (let i = 0, n = facts.length / 4; i < n; i++) {
      const flags = facts[4 * i + 3];
      const wanted = searching && !(flags & FLAG.found) ? 0.28 : 1;
      if (wanted !== alpha) context.globalAlpha = alpha = wanted;
      if (facts[4 * i + 2] !== color) {
        color = facts[4 * i + 2];
        context.fillStyle = "#" + color.toString(16).padStart(6, "0");
      }
      const width = places[2 * i + 1];
      context.fillRect(places[2 * i], y(facts[4 * i + 1]), width > 3 ? width - 1 : Math.max(width - 0.3, 0.7), ROW - 1);
    }
    context.globalAlpha = 1;
  }

  texts(places, facts, texts, y, searching) {
    const context = this.context;
    context.font = FONT;
    context.textBaseline = "middle";
    context.fillStyle = this.colors.ink;
    let text = 0, alpha = 1;
    for (let i = 0, n = facts.length / 4; i < n; i++) {
      const flags = facts[4 * i + 3];
      if (!(flags & FLAG.label)) continue;
      const wanted = searching && !(flags & FLAG.found) ? 0.55 : 1;
      if (wanted !== alpha) context.globalAlpha = alpha = wanted;
      context.fillText(texts[text++], places[2 * i] + 3, y(facts[4 * i + 1]) + ROW / 2);
    }
    context.globalAlpha = 1;
  }

  marks(places, facts, y) {
    const context = this.context;
    context.strokeStyle = this.colors.accent;
    for (let i = 0, n = facts.length / 4; i < n; i++) {
      const flags = facts[4 * i + 3];
      if (!(flags & (FLAG.same | FLAG.selected))) continue;
      const inset = flags & FLAG.selected ? 1 : 0.5;
      context.lineWidth = 2 * inset;
      const width = Math.max(places[2 * i + 1] - 1, 1);
      context.strokeRect(places[2 * i] + inset, y(facts[4 * i + 1]) + inset, Math.max(width - 2 * inset, 0.5), ROW - 1 - 2 * inset);
    }
  }
}

const escaped = text => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

// The same boxes as SVG: panes as [which, whether its root is at the bottom], one below the other.
function pictureOf(viewer, panes, [start, end], width, title, paper, charWidth, searching) {
  const parts = [];
  let top = ROW + 8;
  for (const [pane, up] of panes) {
    viewer.draw(pane, start, end, width, 0, viewer.rows(pane), charWidth);
    const places = viewer.places(), facts = viewer.facts(), texts = viewer.texts().split("\n");
    let rows = 0, text = 0;
    for (let i = 1; i < facts.length; i += 4) rows = Math.max(rows, facts[i] + 1);
    for (let i = 0; i < facts.length / 4; i++) {
      const [node, row, color, flags] = facts.subarray(4 * i, 4 * i + 4);
      // The function of a sandwich is there once.
      if (pane === CALLERS && row === 0) { if (flags & FLAG.label) text++; continue; }
      const x = places[2 * i], y = top + ROW * (up ? rows - 1 - row : row), wide = places[2 * i + 1];
      const faint = searching && !(flags & FLAG.found) ? ' opacity=".35"' : "";
      const { name, total } = flags & FLAG.small ? { name: "several small ones" } : JSON.parse(viewer.node(pane, node));
      parts.push(`<g${faint}><title>${escaped(name)}${total ? `\n${total.text} · ${total.percent}${total.change ? ` · ${total.change} (${total.relative})` : ""}` : ""}</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(wide > 3 ? wide - 1 : wide - 0.3, 0.7).toFixed(1)}" height="${ROW - 1}" fill="#${color.toString(16).padStart(6, "0")}"/>${flags & FLAG.label ? `<text x="${(x + 3).toFixed(1)}" y="${y + 14}">${escaped(texts[text++])}</text>` : ""}</g>`);
    }
    top += ROW * (pane === CALLERS ? rows - 1 : rows);
  }
  const ink = parseInt(paper.slice(1, 2), 16) < 8 ? "#f4f4f4" : "#1a1a1a";
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}" font-family="monospace" font-size="12" fill="${ink}"><rect width="100%" height="100%" fill="${paper}"/><text x="3" y="16">${escaped(title)}</text>\n${parts.join("\n")}\n</svg>\n`;
}

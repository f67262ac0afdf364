// Elements and texts.

const $ = id => document.getElementById(id);

// An element: make("td", { class: "number", onclick }, "text", child, ...).
function make(tag, fields = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) element.style.setProperty(key, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

const count = number => number.toLocaleString("en");
const plural = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;
const hex = color => "#" + color.toString(16).padStart(6, "0");

// "+1.20 pp (+34 %)", in the colour of its meaning; grey where it may be chance.
function change(value) {
  const kind = !value.significant ? "chance" : value.direction > 0 ? "more" : value.direction < 0 ? "less" : "chance";
  const title = value.significant ? "" : "within what chance explains";
  return make("span", { class: kind, title }, `${value.change} `, make("span", {}, `(${value.relative})`));
}

// localStorage may be refused, on file:// by some browsers.
const remembered = {
  now: {},
  get(key) { try { return this.now[key] ?? localStorage.getItem("perfwright." + key); } catch { return null; } },
  set(key, value) { this.now[key] = value; try { localStorage.setItem("perfwright." + key, value); } catch { /* then until the page is left */ } },
};

function say(text) { $("status").textContent = text; }

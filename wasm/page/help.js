// The overlay that says which keys and gestures there are.

const KEYS = [
  ["Views", [["1 … 8", "flame, icicle, time, sandwich, functions, tree, source, labels"], ["?", "this help"], ["o", "open profiles"], ["e", "save what is shown"], ["Esc", "close, clear, or show all"]]],
  ["Flame views", [["arrows", "to caller, callee, neighbours"], ["Enter", "zoom to the selected call"], ["0", "show all"], ["w s a d", "zoom in, out, pan"], ["PgUp PgDn", "scroll"], ["wheel", "scroll, or zoom where all rows fit"], ["Ctrl+wheel", "zoom"], ["drag", "pan"], ["double click", "zoom to a call"], ["pinch", "zoom; long press opens the menu"]]],
  ["Find", [["/", "search"], ["Enter", "next hit"], ["Shift+Enter", "previous hit"], ["Ctrl+Enter", "keep only stacks with a hit"], ["n N", "next, previous hit"]]],
  ["The selected function", [["f", "focus: only stacks with it"], ["i", "ignore: no stacks with it"], ["h", "merge it into its callers"], ["b", "begin stacks at it"], ["c", "collapse what it calls"], ["z", "undo the last filter"]]],
  ["Names", [["m", "my code: merge std and async plumbing"], ["r", "merge recursion"], ["g", "generics, hashes, closures in full"]]],
];

const help = {
  show() {
    const dialog = $("keys");
    const parts = KEYS.map(([title, keys]) => make("section", {}, make("h3", {}, title),
      make("dl", {}, ...keys.flatMap(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)]))));
    dialog.replaceChildren(make("h2", {}, "Keys and gestures"), make("div", { class: "columns" }, ...parts),
      make("p", { class: "faint" }, "Search takes text or a regular expression; “=name” is that very function. Colours: orange is the program's own code, other hues are dependencies by crate, grey-blue is the standard library. Everything stays on this computer."),
      make("form", { method: "dialog" }, make("button", { autofocus: true }, "Close")));
    dialog.showModal();
  },
};

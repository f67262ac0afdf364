// What is shown, as a file: for other tools, or the page itself for a colleague.

const FORMATS = [
  ["pprof", "pprof", "pb.gz"],
  ["folded", "Folded stacks", "folded"],
  ["speedscope", "speedscope", "speedscope.json"],
  ["firefox", "Firefox Profiler", "firefox.json.gz"],
  ["svg", "Picture", "svg"],
  ["html", "This page, to send it", "html"],
];

const save = {
  menu() {
    const { left, bottom } = $("save").getBoundingClientRect();
    showMenu("Save what is shown as", FORMATS.map(([format, text, ending]) => [text, () => this.as(format, ending), "." + ending]), left, bottom + 4);
  },

  // The name of the profile without the endings of its format.
  stem: () => app.scene.profiles[Number(app.params.get("p") ?? 0)].name.replace(/(\.(pb|pprof|prof|folded|collapsed|txt|svg|html|json|speedscope|firefox|cpuprofile|heapprofile|gz|zst))+$/i, "") || "profile",

  async as(format, ending) {
    progress.show({ stage: "Saving", name: this.stem() });
    try {
      const make = { svg: () => this.picture(), html: () => this.page() }[format] ?? (() => app.client.call("save", format, false));
      this.download(`${this.stem()}.${ending}`, await make());
      say("Saved");
    } catch (error) {
      app.fail("This could not be saved", error);
    } finally {
      progress.hide();
    }
  },

  download(name, blob) {
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  },

  // The flame view as it is zoomed, with all its rows; for the tables the calls as they hang.
  picture() {
    const panes = app.view() === "sandwich" ? [[1, true], [2, false]] : [[0, app.view() === "flame"]];
    const style = getComputedStyle(document.documentElement);
    return app.client.call("picture", panes, flame.isShown() ? flame.zoom : [0, 1], Math.max(flame.width ?? 0, 800), document.title, style.getPropertyValue("--paper").trim());
  },

  // The page's own source with the filtered profiles in it, and the view in its root element.
  async page() {
    const sides = app.scene.diff ? [false, true] : [false];
    const names = [app.params.get("p") ?? "0", app.params.get("base")].map(at => app.scene.profiles[Number(at)]?.name);
    const elements = [];
    for (const ofBaseline of sides) {
      const text = await base64(await app.client.call("save", "pprof", ofBaseline));
      elements.push(`<script type="application/octet-stream;base64" data-profile="${escaped(names[Number(ofBaseline)])}">`, text, "</scr" + "ipt>\n");
    }
    const state = new URLSearchParams(app.params);
    // These are done to the profile itself.
    for (const key of ["p", "base", "f", "off", "mine", "flat"]) state.delete(key);
    if (app.scene.diff) state.set("base", "1");
    const root = document.createElement("html");
    root.lang = "en";
    root.dataset.state = state;
    const html = this.source.replace(/<html[^>]*>/, () => root.outerHTML.replace("</html>", ""));
    const at = html.indexOf('<script type="text/plain" id="wasm">');
    return new Blob([html.slice(0, at), ...elements, html.slice(at)], { type: "text/html" });
  },
};

// A blob's bytes in base64.
async function base64(blob) {
  const reader = new FileReader();
  await new Promise((done, failed) => {
    reader.onload = done;
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
  return reader.result.slice(reader.result.indexOf(",") + 1);
}

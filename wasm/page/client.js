// The page's end of the line to the core.

class Client {
  constructor() {
    this.next = 1;
    this.waiting = new Map();
    this.handlers = {};
  }

  // Starts the core in a worker; where that is refused, here.
  async start() {
    const source = $("core").textContent;
    this.post = await this.worker(source) ?? this.here(source);
    const bytes = await this.module();
    await this.call("start", bytes);
  }

  async worker(source) {
    if (!HTMLCanvasElement.prototype.transferControlToOffscreen) return null;
    if (location.hash.includes("worker=no")) return null;
    try {
      const start = "\nconst core = makeCore(message => postMessage(message)); onmessage = event => core(event.data); postMessage({ event: 'ready' });";
      const url = URL.createObjectURL(new Blob([source, start], { type: "text/javascript" }));
      const worker = new Worker(url);
      await new Promise((ready, refused) => {
        worker.onmessage = ready;
        worker.onerror = refused;
      });
      URL.revokeObjectURL(url);
      worker.onmessage = event => this.receive(event.data);
      worker.onerror = event => this.fail(event.message);
      this.isApart = true;
      return (message, transfer) => worker.postMessage(message, transfer);
    } catch {
      return null;
    }
  }

  here(source) {
    const script = document.createElement("script");
    script.textContent = source + "\nself.makePerfwrightCore = makeCore;";
    document.head.append(script);
    const core = self.makePerfwrightCore(message => this.receive(message));
    this.isApart = false;
    return message => core(message);
  }

  async module() {
    const text = $("wasm").textContent;
    $("wasm").remove();
    const packed = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), c => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  call(call, ...args) { return this.send(call, args, []); }

  send(call, args, transfer) {
    const id = this.next++;
    return new Promise((done, failed) => {
      this.waiting.set(id, [done, failed]);
      this.post({ id, call, args }, transfer);
    });
  }

  receive({ id, value, error, event, ...rest }) {
    if (event) return this.handlers[event]?.(rest);
    const [done, failed] = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) done(value); else failed(new Error(error));
  }

  fail(message) {
    for (const [, failed] of this.waiting.values()) failed(new Error(message || "the viewer's worker stopped, perhaps for lack of memory"));
    this.waiting.clear();
  }
}

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
    this.post = await this.worker(source) ?? this.here();
    // For those who want to know how it runs: tests, and reports of what goes wrong.
    document.documentElement.dataset.core = this.isApart ? "worker" : "page";
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

  // The core's script runs in the page too, where no policy can refuse it that lets the page run.
  here() {
    const core = makeCore(message => this.receive(message), true);
    this.isApart = false;
    return message => core(message);
  }

  async module() {
    const text = $("wasm").textContent;
    $("wasm").remove();
    // In base 85, as the packer writes it: see there.
    const digits = new Uint8Array(128), words = new DataView(new ArrayBuffer((text.length - 1) / 5 * 4));
    for (let code = 33, digit = 0; code < 126; code++) {
      if (!"\"$&'<>\\`".includes(String.fromCharCode(code))) digits[code] = digit++;
    }
    for (let to = 0; to < words.byteLength; to += 4) {
      let word = 0;
      for (let at = to / 4 * 5 + 1, end = at + 5; at < end; at++) word = word * 85 + digits[text.charCodeAt(at)];
      words.setUint32(to, word);
    }
    const packed = new Uint8Array(words.buffer, 0, words.byteLength - digits[text.charCodeAt(0)]);
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

// Where the profile lives: a worker, or where none is to be had the page's own thread. It takes
// { id, call, args } and posts { id, value } or { id, error }, and { event, ... } in between.

// How much of a search is done before other messages get their turn.
const SEARCH_SLICE = 400000;
// How long the page's thread works before the page gets its turn, in milliseconds.
const SLICE_MS = 12;
// The reader's own limit is lower; this one keeps a hostile gzip file from being unpacked for ever.
const MAX_BYTES = 2 ** 30;
// How much of a file is read at once, at most.
const PIECE = 2 ** 22;

// How a file begins that zstd packed.
const ZSTD = "40,181,47,253";

// A text in base64 as a Blob.
async function decoded(text) {
  if (Uint8Array.fromBase64) return new Blob([Uint8Array.fromBase64(text)]);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return new Blob([bytes]);
}

function makeCore(post, isPage) {
  let viewer, painter, frame, searching = false, search = 0, dark = false, taken = 0;
  const pause = (() => {
    const channel = new MessageChannel();
    const waiting = [];
    channel.port1.onmessage = () => waiting.shift()();
    return () => new Promise(done => { waiting.push(done); channel.port2.postMessage(0); });
  })();
  // Where the page's own thread does all the work, the page gets its turn between slices of it.
  let began = 0;
  const turn = async () => {
    if (!isPage || performance.now() - began < SLICE_MS) return;
    await pause();
    began = performance.now();
  };
  const describe = () => JSON.parse(viewer.description());
  const draw = () => { if (painter && frame) painter.draw(frame, searching); };

  const calls = {
    async start(module) {
      // A table of functions that grows would be the only reason to compile twice.
      wasm_bindgen.initSync({ module: await WebAssembly.compile(module) });
      viewer = new wasm_bindgen.Viewer();
    },

    // Opens a Blob, or a text in base64.
    async open(name, source) {
      const bytes = typeof source === "string" ? await decoded(source) : source;
      await pushed(name, bytes);
      post({ event: "progress", name, stage: "Reading" });
      await pause();
      return viewer.open(name);
    },

    async apply(state) {
      post({ event: "progress", stage: "Counting" });
      await pause();
      viewer.apply(state);
      await turn();
      viewer.prepare();
      await turn();
      const description = describe();
      searching = description.state.split("&").some(field => field.startsWith("q="));
      draw();
      look();
      return description;
    },

    zoom: (start, end) => viewer.set_zoom(start, end),
    canvas(canvas) { painter = new Painter(viewer, canvas); },

    resize(width, height, ratio) { painter.resize(width, height, ratio); draw(); },

    theme(isDark, colors) {
      if (isDark !== dark) viewer.set_dark(dark = isDark);
      painter.colors = colors;
      draw();
    },

    frame(next) {
      frame = next;
      draw();
      return frame.panes.map(({ pane }) => viewer.rows(pane));
    },

    // What is at a place: a share of the width, a row.
    hit(pane, at, row) {
      const node = viewer.hit(pane, at, row);
      return node === undefined ? null : JSON.parse(viewer.node(pane, node));
    },

    node: (pane, node) => JSON.parse(viewer.node(pane, node) ?? "null"),
    range: (pane, node) => { const range = viewer.range(pane, node); return range && Array.from(range); },
    row: (pane, node) => viewer.row(pane, node),
    relatives: (pane, node) => JSON.parse(viewer.relatives(pane, node) ?? "null"),
    neighbour: (pane, node, direction) => viewer.neighbour(pane, node, direction) ?? null,
    cursor(pane, node) { viewer.set_cursor(pane, node); draw(); },
    foundNode: step => viewer.found_node(step) ?? null,
    table: (from, count) => JSON.parse(viewer.table(from, count)),
    tablePosition: () => viewer.table_position() ?? null,
    tableName: row => viewer.table_name(row) ?? null,
    tree: (from, count) => JSON.parse(viewer.tree(from, count)),
    toggle: row => viewer.toggle(row),
    reveal: node => viewer.reveal(node) ?? null,
    source: wholeFile => JSON.parse(viewer.source(wholeFile)),
    labels: () => JSON.parse(viewer.labels()),

    // The filtered profile as a Blob, gzipped where its readers take that.
    save(format, ofBaseline) {
      const plain = new Blob([viewer.save(ofBaseline, format)]);
      if (format !== "pprof" && format !== "firefox") return plain;
      return new Response(plain.stream().pipeThrough(new CompressionStream("gzip"))).blob();
    },

    picture: (panes, zoom, width, title, paper) => new Blob([pictureOf(viewer, panes, zoom, width, title, paper, painter.charWidth, searching)], { type: "image/svg+xml" }),
  };

  // Searches in slices, and says how far it is; a newer search ends an older one.
  async function look() {
    const mine = ++search;
    let last = 0;
    for (;;) {
      const done = viewer.search(SEARCH_SLICE);
      const now = performance.now();
      if (done || now - last > 80) {
        last = now;
        draw();
        post({ event: "search", ...JSON.parse(viewer.search_summary()) });
      }
      if (done) return;
      await pause();
      if (mine !== search) return;
    }
  }

  // Gives the viewer the bytes of a file, unpacked on the way where it is gzipped.
  async function pushed(name, blob) {
    const head = new Uint8Array(await blob.slice(0, 4).arrayBuffer());
    try {
      viewer.expect(blob.size);
      // Few browsers know it. The reader says what to do.
      if (head.join() === ZSTD) return await unpacked(name, blob, "zstd");
    } catch (error) {
      if (error instanceof RangeError) throw error;
    }
    if (head[0] === 0x1f && head[1] === 0x8b) {
      const tail = new DataView(await blob.slice(-4).arrayBuffer());
      const stated = tail.byteLength === 4 ? tail.getUint32(0, true) : 0;
      try {
        viewer.expect(Math.min(stated, blob.size * 1032));
        return await unpacked(name, blob, "gzip");
      } catch (error) {
        if (error instanceof RangeError) throw error;
        blob = await members(name, blob);
      }
    }
    taken = 0;
    viewer.expect(blob.size);
    for await (const piece of pieces(name, blob)) await take(name, piece);
  }

  // A blob in pieces, each of which holds until the next is asked for; says how far it is.
  async function* pieces(name, blob) {
    const next = reader(blob);
    for (let at = 0, said = 0; ;) {
      const piece = await next();
      if (!piece?.length) return;
      if (at - said >= PIECE) post({ event: "progress", name, stage: "Loading", share: (said = at) / blob.size });
      at += piece.length;
      yield piece;
    }
  }

  // Into the same memory again and again, where the browser can: fresh memory for each piece takes longer than reading.
  function reader(blob) {
    try {
      const stream = blob.stream().getReader({ mode: "byob" });
      let buffer = new ArrayBuffer(PIECE / 16);
      return async () => {
        const { value } = await stream.read(new Uint8Array(buffer));
        buffer = value?.buffer;
        return value;
      };
    } catch {
      let at = 0;
      return async () => new Uint8Array(await blob.slice(at, at += PIECE).arrayBuffer());
    }
  }

  async function unpacked(name, blob, format) {
    const { readable, writable } = new DecompressionStream(format);
    const fill = async () => {
      const writer = writable.getWriter();
      for await (const piece of pieces(name, blob)) await writer.write(piece);
      await writer.close();
    };
    const drain = async () => {
      const reader = readable.getReader();
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) await take(name, value);
    };
    taken = 0;
    await Promise.all([fill(), drain()]);
  }

  // Unpacks several gzip members, of which browsers take one: it ends where a beginning stands and what is before
  // unpacks.
  async function members(name, blob) {
    const bytes = new Uint8Array(await blob.arrayBuffer()), parts = [];
    let size = 0;
    for (let from = 0, to = 0; from < bytes.length;) {
      do to = bytes.indexOf(0x1f, to + 1); while (to >= 0 && !(bytes[to + 1] === 0x8b && bytes[to + 2] === 8));
      const end = to < 0 ? bytes.length : to, part = [];
      try {
        const reader = new Blob([bytes.subarray(from, end)]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
        let unpacked = 0;
        for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
          part.push(value);
          unpacked += value.length;
          if (size + unpacked > MAX_BYTES) throw tooLarge(name);
        }
        parts.push(...part);
        size += unpacked;
        from = end;
      } catch (error) {
        if (error instanceof RangeError) throw error;
        if (end === bytes.length) throw new Error("The file is gzipped, and cut short or damaged: copy it again.");
      }
    }
    return new Blob(parts);
  }

  const tooLarge = name => new RangeError(`${name} holds more than 1 GiB: record less at a time`);

  async function take(name, piece) {
    taken += piece.length;
    if (taken > MAX_BYTES) throw tooLarge(name);
    viewer.push(piece);
    await turn();
  }

  // One call after the other, but those that are cheap do not wait for a file.
  let queue = Promise.resolve();
  return ({ id, call, args }) => {
    const run = async () => {
      try {
        post({ id, value: (await calls[call](...args)) ?? null });
      } catch (error) {
        // The module stops where it can't go on: then nothing that it holds can be relied on.
        const stopped = error instanceof WebAssembly.RuntimeError;
        post({ id, error: stopped ? `The viewer stopped (${error.message}): most likely the profile needs more memory than a page may have, 4 GiB. Reload the page to go on.` : String(error?.message ?? error) });
      }
    };
    queue = queue.then(run);
  };
}

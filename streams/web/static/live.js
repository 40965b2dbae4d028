// The event stream: read by hand, because a browser's own EventSource neither waits longer each time nor tells silence.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10000;
const SILENT_MS = 5000; // the server speaks every second

// Integers beyond 2^53 stay exact where the browser hands over their text, as BigInt.
function exactly(_, value, context) {
  const isLarge = typeof value === "number" && !Number.isSafeInteger(value) && Number.isInteger(value);
  return isLarge && context?.source && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

export class Live {
  // `hear(name, document)` gets each event, `change()` is told when the connection comes or goes.
  constructor(hear, change) {
    this.hear = hear;
    this.change = change;
    this.lostAt = null;
    this.run = 0;
    this.stopped = new AbortController();
  }

  // Listen to another address from now on; what was known of the one before is forgotten.
  open(address) {
    this.stopped.abort();
    this.stopped = new AbortController();
    this.lastId = "";
    this.run += 1;
    void this.keepOpen(address, this.run, this.stopped.signal);
  }

  async keepOpen(address, run, stopped) {
    let wait = FIRST_WAIT_MS;
    while (this.run === run) {
      const heard = await this.listen(address, run, stopped);
      if (this.run !== run) return;
      if (heard) wait = FIRST_WAIT_MS;
      if (this.lostAt === null) this.lostAt = performance.now();
      this.change();
      const jitter = 0.75 + Math.random() / 2;
      await new Promise((resolve) => { setTimeout(resolve, wait * jitter); });
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  // Returns whether anything was heard before the connection ended.
  async listen(address, run, stopped) {
    const ended = new AbortController();
    const end = () => ended.abort();
    stopped.addEventListener("abort", end);
    let silence = setTimeout(end, SILENT_MS);
    let hasHeard = false;
    try {
      const headers = { Accept: "text/event-stream", ...(this.lastId ? { "Last-Event-ID": this.lastId } : {}) };
      const answer = await fetch(address, { headers, signal: ended.signal, cache: "no-store" });
      if (!answer.ok) return false;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.run !== run) return hasHeard;
        clearTimeout(silence);
        silence = setTimeout(end, SILENT_MS);
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        for (const block of blocks) hasHeard = this.take(block) || hasHeard;
      }
    } catch {
      return hasHeard;
    } finally {
      clearTimeout(silence);
      stopped.removeEventListener("abort", end);
    }
  }

  take(block) {
    let name = "message";
    let id = null;
    const data = [];
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data.push(line.slice(6));
      else if (line.startsWith("id: ")) id = line.slice(4);
    }
    if (data.length === 0) return false;
    const document = JSON.parse(data.join("\n"), exactly);
    if (this.lostAt !== null) {
      this.lostAt = null;
      this.change();
    }
    this.hear(name, document);
    if (id !== null) this.lastId = id;
    return true;
  }
}

// The event stream: read by hand, because a browser's own EventSource neither waits longer each time nor tells silence.

import { parse } from "./exact.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10000;
const SILENT_MS = 5000; // the server speaks every second

// Why there is no stream: nothing was read yet, too many visitors, or something that only a status tells.
async function refusalOf(answer) {
  const told = await answer.json().catch(() => null);
  return { status: answer.status, isReading: told?.loaded === false, isBusy: answer.headers.has("Retry-After") };
}

export class Live {
  // `hear(name, document)` gets each event, null in place of a document that cannot be read; `change()` is told when the
  // connection comes or goes.
  constructor(address, hear, change) {
    this.address = address;
    this.hear = hear;
    this.change = change;
    this.lastId = "";
    this.lostAt = null;
    this.refusal = null; // of a server that answers, but not with a stream
    this.stopped = null;
  }

  get isOpen() {
    return this.stopped !== null;
  }

  // Listen until `close`; what was heard before is not sent again.
  open() {
    this.stopped = new AbortController();
    void this.keepOpen(this.stopped.signal);
  }

  close() {
    this.stopped.abort();
    this.stopped = null;
    this.lostAt = null;
    this.refusal = null;
  }

  async keepOpen(stopped) {
    let wait = FIRST_WAIT_MS;
    while (!stopped.aborted) {
      const heard = await this.listen(stopped);
      if (stopped.aborted) return;
      if (heard) wait = FIRST_WAIT_MS;
      if (this.lostAt === null) this.lostAt = performance.now();
      this.change();
      const jitter = 0.75 + Math.random() / 2;
      await new Promise((resolve) => { setTimeout(resolve, wait * jitter); });
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  // Returns whether anything was heard before the connection ended. Whatever ended it, it is closed then.
  async listen(stopped) {
    const ended = new AbortController();
    const end = () => ended.abort();
    stopped.addEventListener("abort", end);
    let silence = setTimeout(end, SILENT_MS);
    let hasHeard = false;
    try {
      const headers = { Accept: "text/event-stream", ...(this.lastId ? { "Last-Event-ID": this.lastId } : {}) };
      const answer = await fetch(this.address, { headers, signal: ended.signal, cache: "no-store" });
      this.refusal = answer.ok ? null : await refusalOf(answer);
      if (!answer.ok) return this.refusal.isReading;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done || stopped.aborted) return hasHeard;
        clearTimeout(silence);
        silence = setTimeout(end, SILENT_MS);
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        for (const block of blocks) hasHeard = this.take(block) || hasHeard;
      }
    } catch {
      this.refusal = null;
      return hasHeard;
    } finally {
      clearTimeout(silence);
      stopped.removeEventListener("abort", end);
      end();
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
    let document = null;
    try {
      document = parse(data.join("\n"));
    } catch (error) {
      console.error(`an event "${name}" cannot be read`, error);
    }
    if (this.lostAt !== null) {
      this.lostAt = null;
      this.change();
    }
    this.hear(name, document);
    if (id !== null) this.lastId = id;
    return true;
  }
}

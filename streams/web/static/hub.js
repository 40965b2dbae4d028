// One event stream for all tabs of a browser, which opens six connections to a host and no more.
//
// Runs as a shared worker, or within the page where the browser has none (`wire.js`). A page says every PING_MS what it
// wants, {address, isWanted}; a stream is open while a page wants it, and all pages with its address hear it. A page that
// leaves says {address: null}; one that ended without a word is forgotten.

import { Live } from "./live.js";

export const PING_MS = 2000;
const FORGET_MS = 10 * PING_MS;
const GRACE_MS = 3000; // one tab is hidden before another one has loaded

// The whole curve, where a part of it is news.
export function merged(curve, part) {
  if (curve === null || curve === undefined || part === null || part.from === 0) return part;
  const whole = { ...part, from: 0 };
  for (const name of ["values", "counts"]) whole[name] = curve[name].toSpliced(part.from, part[name].length, ...part[name]);
  return whole;
}

class Feed {
  constructor(address) {
    this.address = address;
    this.pages = new Map(); // port → when it last said that it wants the stream, null where it does not
    this.known = new Map(); // event → {document, at}: for who comes later
    this.live = new Live(address, (name, document) => this.hear(name, document), () => this.tell([...this.pages.keys()]));
    this.closing = null;
  }

  hear(name, document) {
    const whole = name === "curve" ? merged(this.known.get(name)?.document, document) : document;
    this.known.set(name, { document: whole, at: performance.now() });
    for (const port of this.pages.keys()) this.send(port, { name, document: whole, ageMs: 0 });
  }

  tell(ports) {
    const { lostAt, refusal } = this.live;
    const lostMs = lostAt === null ? null : performance.now() - lostAt;
    for (const port of ports) this.send(port, { name: "link", lostMs, refusal });
  }

  send(port, message) {
    port.postMessage({ address: this.address, ...message });
  }

  place(port, isWanted) {
    const isNew = !this.pages.has(port);
    this.pages.set(port, isWanted ? performance.now() : null);
    if (isNew) {
      for (const [name, { document, at }] of this.known) this.send(port, { name, document, ageMs: performance.now() - at });
    }
    this.tell([port]);
    this.settle();
  }

  settle() {
    const since = performance.now() - FORGET_MS;
    const isWanted = [...this.pages.values()].some((at) => at !== null && at > since);
    if (isWanted) {
      clearTimeout(this.closing);
      this.closing = null;
      if (!this.live.isOpen) this.live.open();
    } else if (this.live.isOpen && this.closing === null) {
      this.closing = setTimeout(() => {
        this.closing = null;
        this.live.close();
      }, GRACE_MS);
    }
  }
}

export class Hub {
  constructor() {
    this.feeds = new Map();
    setInterval(() => this.settle(), PING_MS);
  }

  join(port) {
    port.onmessage = ({ data }) => this.hear(port, data);
  }

  hear(port, { address, isWanted }) {
    for (const [known, feed] of this.feeds) if (known !== address) feed.pages.delete(port);
    if (address !== null) {
      if (!this.feeds.has(address)) this.feeds.set(address, new Feed(address));
      this.feeds.get(address).place(port, isWanted);
    }
    this.settle();
  }

  settle() {
    for (const [address, feed] of this.feeds) {
      feed.settle();
      if (feed.pages.size === 0 && !feed.live.isOpen) this.feeds.delete(address);
    }
  }
}

if ("onconnect" in globalThis) {
  const hub = new Hub();
  globalThis.onconnect = ({ ports }) => hub.join(ports[0]);
}

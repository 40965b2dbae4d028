// A page's side of the stream that it shares with the browser's other tabs.

import { Hub, PING_MS } from "./hub.js";

const DEAF_PINGS = 4;

export class Wire {
  // `hear(message)` gets {name, document, ageMs} of each event, and {name: "link", lostMs, refusal}. `hasAll()` tells
  // whether the page was sent what it shows: until then it wants the stream even while it is hidden.
  constructor(hear, hasAll) {
    this.hear = hear;
    this.hasAll = hasAll;
    this.address = null;
    this.port = null;
    this.unanswered = 0;
    this.connect(globalThis.SharedWorker !== undefined);
    setInterval(() => this.ping(), PING_MS);
    document.addEventListener("visibilitychange", () => this.say());
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", (event) => event.persisted && this.say());
  }

  connect(isShared) {
    this.leave();
    this.unanswered = 0;
    this.port = (isShared ? this.shared() : null) ?? this.ownHub();
    this.port.onmessage = ({ data }) => {
      this.unanswered = 0;
      if (data.address === this.address) this.hear(data); // not what was under way from the one before
    };
  }

  // The port of the worker that all tabs share; null where the reader has forbidden such.
  shared() {
    try {
      const worker = new SharedWorker(new URL("hub.js", import.meta.url), { type: "module", name: "festival" });
      worker.onerror = () => this.reconnect(false);
      return worker.port;
    } catch {
      return null;
    }
  }

  ownHub() {
    const { port1, port2 } = new MessageChannel();
    this.hub ??= new Hub();
    this.hub.join(port2);
    return port1;
  }

  reconnect(isShared) {
    this.connect(isShared);
    this.say();
  }

  open(address) {
    const wanted = new URL(address, document.baseURI).href;
    if (wanted === this.address) this.leave(); // and come anew, to be sent everything
    this.address = wanted;
    this.say();
  }

  say() {
    if (this.address === null) return;
    this.port.postMessage({ address: this.address, isWanted: !document.hidden || !this.hasAll() });
  }

  // A worker that answers no more, as one that a phone has ended, is left for a hub of the page's own.
  ping() {
    if (this.unanswered >= DEAF_PINGS && !document.hidden) this.reconnect(false);
    this.unanswered += 1;
    this.say();
  }

  close() {
    this.leave();
    this.address = null;
  }

  leave() {
    this.port?.postMessage({ address: null, isWanted: false });
  }
}

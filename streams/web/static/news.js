// What was just committed: how much each market gained from one message to the next. Differences of committed totals, as
// they are; no order is made up.

import { say } from "./panel.js";

const MOST = 12;
const DIMENSIONS = ["market", "method", "city", "carrier"]; // the first that there is
const WHOLE = ["market"]; // of which every value is sent: who was not there before had nothing

// Value → {count, minor}.
export const amountsOf = (rows) => new Map(rows.map((row) => [row.name, { count: BigInt(row.count), minor: row.minor === null ? null : BigInt(row.minor) }]));

// [{name, count, minor}] of each value that gained, the most first. `before` is a map as `amountsOf` makes it.
export function gains(before, rows, isWhole) {
  const found = [];
  for (const [name, { count, minor }] of amountsOf(rows)) {
    const old = before.get(name) ?? (isWhole ? { count: 0n, minor: minor === null ? null : 0n } : null);
    if (old === null || (old.minor === null) !== (minor === null)) continue;
    const gain = { name, count: count - old.count, minor: minor === null ? null : minor - old.minor };
    if (gain.count > 0n || (gain.minor ?? 0n) > 0n) found.push(gain);
  }
  const size = (gain) => gain.minor ?? gain.count;
  return found.sort((a, b) => (size(a) < size(b) ? 1 : -1));
}

export class News {
  constructor(section, list) {
    this.section = section;
    this.list = list;
    this.forget();
  }

  // Another festival, another ledger: nothing is a difference to it.
  forget() {
    this.before = null;
    this.clear();
  }

  // What was told is in another language now.
  clear() {
    this.items = [];
    this.list.replaceChildren();
    this.section.hidden = true;
  }

  // Take the newest ranks; `tell(dimension, gain)` → [time, name, amount]. Returns the gains of markets.
  take(ranks, tell) {
    const dimension = DIMENSIONS.find((one) => ranks[one] !== undefined && ranks[one].length > 0);
    if (dimension === undefined) return [];
    const rows = ranks[dimension];
    const isWhole = WHOLE.includes(dimension);
    const found = this.before?.dimension === dimension ? gains(this.before.amounts, rows, isWhole) : [];
    this.before = { dimension, amounts: amountsOf(rows) };
    for (const gain of found.toReversed()) this.items.unshift(tell(dimension, gain));
    this.items.length = Math.min(this.items.length, MOST);
    if (found.length > 0) this.show();
    return dimension === "market" ? found : [];
  }

  show() {
    this.section.hidden = this.items.length === 0;
    while (this.list.children.length < this.items.length) {
      const item = this.list.appendChild(document.createElement("li"));
      item.append(document.createElement("time"), document.createElement("span"), document.createElement("b"));
    }
    this.items.forEach((told, i) => told.forEach((text, part) => say(this.list.children[i].children[part], text)));
  }
}

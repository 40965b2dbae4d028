// The moments of the night, each celebrated once: the first orders, a milestone, all of last year passed.
//
// Only what happens while the page looks on is one. What was reached before it came is written in its place.

const SHOWN_MS = 9000;

// What moments are told from, of a totals document; null where nothing is counted.
export function landmarksOf(totals, count) {
  if (totals.counted === false) return null;
  const reached = totals.screen.milestones.filter((one) => one.time_ms !== null);
  return {
    hasBegun: count(totals) > 0,
    reached: new Map(reached.map(({ minor, time_ms: at }) => [String(minor), { name: `milestone ${minor}`, minor, at }])),
    passedMs: totals.pace?.passed_ms ?? null,
  };
}

// What has happened between two of them: [{name, ...}], the last is the greatest.
export function happened(before, now) {
  if (before === null || now === null) return [];
  const found = !before.hasBegun && now.hasBegun ? [{ name: "begun" }] : [];
  for (const [minor, milestone] of now.reached) if (!before.reached.has(minor)) found.push(milestone);
  if (before.passedMs === null && now.passedMs !== null) found.push({ name: "passed", at: now.passedMs });
  return found;
}

export class Moments {
  // `tell(moment)` → the sentence; "" where nobody can say it yet.
  constructor(place, tell) {
    this.place = place;
    this.tell = tell;
    this.celebrated = new Set();
    this.known = null;
    this.hiding = null;
  }

  forget() {
    this.celebrated.clear();
    this.known = null;
    this.hide();
  }

  // Take the newest totals; the first of a festival and ledger are no moment.
  take(totals, count) {
    const now = landmarksOf(totals, count);
    const fresh = happened(this.known, now).filter(({ name }) => !this.celebrated.has(name));
    this.known = now;
    for (const { name } of fresh) this.celebrated.add(name);
    const sentence = fresh.length > 0 ? this.tell(fresh[fresh.length - 1]) : "";
    if (sentence !== "") this.show(sentence);
  }

  show(sentence) {
    this.place.textContent = sentence;
    this.place.classList.add("is-shown");
    document.body.dataset.moment = "";
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => this.hide(), SHOWN_MS);
  }

  hide() {
    clearTimeout(this.hiding);
    this.place.classList.remove("is-shown");
    this.place.textContent = "";
    delete document.body.dataset.moment;
  }
}

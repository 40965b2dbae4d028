// The hero number: runs from what it shows up to what was committed, and never beyond.

const LONGEST_MS = 1200;
const PARTS = 1000000; // of the way, in integers

export class Hero {
  // `paint(value)` shows a whole number of major units (a BigInt), or null.
  constructor(paint) {
    this.paint = paint;
    this.shown = null;
    this.goal = null;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = null;
    this.toldAt = null;
    this.apartMs = 500;
  }

  // Show at once: another festival, another ledger.
  set(value) {
    this.stop();
    this.shown = value === null ? null : BigInt(value);
    this.goal = this.shown;
    this.paint(this.shown);
  }

  rise(value) {
    const now = performance.now();
    if (this.toldAt !== null) this.apartMs = Math.min(LONGEST_MS, 0.6 * this.apartMs + 0.4 * (now - this.toldAt));
    this.toldAt = now;
    const canRun = value !== null && this.shown !== null && value > this.shown;
    if (!canRun || this.calm.matches || document.hidden) {
      this.set(value);
      return;
    }
    this.goal = BigInt(value);
    this.from = this.shown;
    this.startedAt = now;
    if (this.frame === null) this.frame = requestAnimationFrame((at) => this.step(at));
  }

  step(at) {
    const share = Math.min(Math.max((at - this.startedAt) / this.apartMs, 0), 1);
    const way = (this.goal - this.from) * BigInt(Math.floor(share * PARTS)) / BigInt(PARTS);
    this.shown = this.from + way;
    this.paint(this.shown);
    this.frame = share === 1 ? null : requestAnimationFrame((next) => this.step(next));
  }

  stop() {
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
  }
}

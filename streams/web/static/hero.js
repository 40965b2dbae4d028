// The hero number: runs from what it shows up to what was committed, and never beyond.

const LONGEST_MS = 1200;

export class Hero {
  // `paint(value)` shows a whole number of major units.
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
    this.shown = value;
    this.goal = value;
    this.paint(value);
  }

  rise(value) {
    const now = performance.now();
    if (this.toldAt !== null) this.apartMs = Math.min(LONGEST_MS, 0.6 * this.apartMs + 0.4 * (now - this.toldAt));
    this.toldAt = now;
    const canRun = typeof value === "number" && typeof this.shown === "number" && value > this.shown;
    if (!canRun || this.calm.matches || document.hidden) {
      this.set(value);
      return;
    }
    this.goal = value;
    this.from = this.shown;
    this.startedAt = now;
    if (this.frame === null) this.frame = requestAnimationFrame((at) => this.step(at));
  }

  step(at) {
    const share = Math.min(Math.max((at - this.startedAt) / this.apartMs, 0), 1);
    this.shown = share === 1 ? this.goal : Math.floor(this.from + (this.goal - this.from) * share);
    this.paint(this.shown);
    this.frame = share === 1 ? null : requestAnimationFrame((next) => this.step(next));
  }

  stop() {
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
  }
}

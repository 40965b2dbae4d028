// What all charts of a day share: the axes, drawn as SVG at the size they have on the page, so that lines and letters
// stay sharp.

import { hoursOf } from "./axis.js";

const SVG = "http://www.w3.org/2000/svg";
const LABEL_ROOM = 5.5; // between two labels of the time axis, in units of the font's size
const TICKS = 4;
const APART = 0.17; // of the height, between two values of a square-root axis

export function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The even steps that a linear axis has up to `top` and just beyond: [0, step, …, ceiling].
export function evenTicks(top) {
  if (top <= 0) return [0];
  const power = 10 ** Math.floor(Math.log10(top / TICKS));
  const step = [1, 2, 2.5, 4, 5, 10].find((one) => one * power * TICKS >= top) * power;
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, i) => i * step);
}

// Round values for a square-root axis, as far apart as letters need: 0, then from the top down.
export function rootTicks(top) {
  if (top <= 0) return [0];
  const power = 10 ** Math.floor(Math.log10(top));
  const ceiling = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((one) => one * power >= top) * power;
  const ticks = [ceiling];
  for (let down = power; down > power / 1000; down /= 10) {
    for (const value of [5 * down, 2 * down, down]) {
      const place = Math.sqrt(value / ceiling);
      if (place > APART && Math.sqrt(ticks[0] / ceiling) - place > APART) ticks.unshift(value);
    }
  }
  return [0, ...ticks];
}

// Letters in units of the font's size, roughly, and rather too wide.
export function widthOf(text) {
  let width = 0;
  for (const letter of text) width += letter > "\u2fff" ? 1.05 : 0.66;
  return width;
}

const PAPER = { width: 700, height: 210, unit: 11 }; // no browser tells how large a place will be on paper

export class Chart {
  constructor(svg) {
    this.svg = svg;
    this.drawing = null;
    this.isPrinted = false;
    this.readMs = null; // where somebody reads
    new ResizeObserver(() => this.redraw()).observe(svg);
    for (const [event, isPrinted] of [["beforeprint", true], ["afterprint", false]]) {
      addEventListener(event, () => {
        this.isPrinted = isPrinted;
        this.redraw();
      });
    }
  }

  redraw() {
    if (this.drawing !== null) this.draw(this.drawing);
  }

  // `ticks` from the lowest to the highest.
  begin(ticks, { format, festival, label }, place = (share) => share) {
    const box = this.isPrinted ? PAPER : this.svg.getBoundingClientRect();
    this.unit = this.isPrinted ? PAPER.unit : parseFloat(getComputedStyle(this.svg).fontSize);
    const unit = this.unit;
    this.place = place;
    [this.floor, this.ceiling] = [ticks[0], ticks[ticks.length - 1] || 1];
    this.svg.dataset.ceiling = this.ceiling;
    this.left = unit * (1 + Math.max(...ticks.map((value) => widthOf(format(value)))));
    this.right = Math.max(box.width - unit * 1.5, this.left + 1);
    this.top = unit * 0.9;
    this.bottom = Math.max(box.height - unit * 1.6, this.top + 1);
    this.svg.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    this.festival = festival;
    this.parts = [];
    for (const value of ticks) {
      const y = this.y(value);
      this.add("line", { class: "grid", x1: this.left, x2: this.right, y1: y, y2: y });
      this.add("text", { class: "tick", x: this.left - unit * 0.5, y: y + unit * 0.3, "text-anchor": "end" }, format(value));
    }
    const most = Math.min(9, Math.max(2, Math.floor((this.right - this.left) / (unit * LABEL_ROOM)) + 1));
    for (const tick of hoursOf(festival, most)) {
      const x = this.x(tick.ms);
      this.add("text", { class: "tick hour", "data-ms": tick.ms, x, y: this.bottom + unit * 1.35, "text-anchor": "middle" }, label(tick));
    }
  }

  x(ms) {
    const { start_ms: start, end_ms: end } = this.festival;
    return this.left + (this.right - this.left) * (ms - start) / (end - start);
  }

  y(value) {
    return this.bottom - (this.bottom - this.top) * this.place(Math.min(Math.max((value - this.floor) / (this.ceiling - this.floor), 0), 1));
  }

  // Which instant of the festival is drawn at so many pixels from the left.
  msAt(x) {
    const { start_ms: start, end_ms: end } = this.festival;
    return start + (end - start) * Math.min(Math.max((x - this.left) / (this.right - this.left), 0), 1);
  }

  add(name, attributes, text) {
    this.parts.push(element(name, attributes, text));
  }

  // An empty chart says so, or it looks broken.
  hint(text) {
    const [x, y] = [(this.left + this.right) / 2, (this.top + this.bottom) / 2];
    this.add("text", { class: "hint", x, y, "text-anchor": "middle" }, text);
  }

  // What was drawn without a failure is drawn again where the place gets another size.
  end(drawing) {
    this.drawing = drawing;
    this.svg.replaceChildren(...this.parts, this.cursor());
  }

  // Up to where the day is: a line from the top to the floor.
  markNow(ms) {
    const x = this.x(ms);
    this.add("line", { class: "now-line", "data-ms": ms, x1: x, x2: x, y1: this.top, y2: this.bottom });
  }

  read(ms) {
    this.readMs = ms;
    if (this.drawing !== null) this.svg.replaceChild(this.cursor(), this.svg.lastChild);
  }

  cursor() {
    if (this.readMs === null) return element("g", {});
    const x = this.x(this.readMs);
    return element("line", { class: "cursor", "data-ms": this.readMs, x1: x, x2: x, y1: this.top, y2: this.bottom });
  }
}

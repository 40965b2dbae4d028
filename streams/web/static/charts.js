// The two charts, drawn as SVG at the size they have on the page, so that lines and letters stay sharp.

const SVG = "http://www.w3.org/2000/svg";
const HOURS_MS = 3600000;
const TICKS = 4;
const FORECAST_EVERY = 15; // minutes of the last edition per corner of the band
const APART = 0.17; // of the height, between two values of a square-root axis
const ROOT_FROM = 12; // a peak of so many times the middle value would flatten the rest of a linear chart

function element(name, attributes, text) {
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
function widthOf(text) {
  let width = 0;
  for (const letter of text) width += letter > "\u2fff" ? 1.05 : 0.66;
  return width;
}

const PAPER = { width: 700, height: 210, unit: 11 }; // no browser tells how large a place will be on paper

class Chart {
  constructor(svg) {
    this.svg = svg;
    this.drawing = null;
    this.isPrinted = false;
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

  begin(top, format, scale, festival, label) {
    const box = this.isPrinted ? PAPER : this.svg.getBoundingClientRect();
    this.unit = this.isPrinted ? PAPER.unit : parseFloat(getComputedStyle(this.svg).fontSize);
    const unit = this.unit;
    this.scale = scale;
    const ticks = scale.ticks(top);
    this.ceiling = ticks[ticks.length - 1] || 1;
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
    const hours = (festival.end_ms - festival.start_ms) / HOURS_MS;
    const step = hours <= 24 ? (box.width < unit * 32 ? 6 : 3) : Math.ceil(hours / 8);
    for (let hour = 0; hour <= hours; hour += step) {
      const x = this.x(festival.start_ms + hour * HOURS_MS);
      this.add("text", { class: "tick", x, y: this.bottom + unit * 1.35, "text-anchor": "middle" }, label(hour));
    }
  }

  x(ms) {
    const { start_ms: start, end_ms: end } = this.festival;
    return this.left + (this.right - this.left) * (ms - start) / (end - start);
  }

  y(value) {
    return this.bottom - (this.bottom - this.top) * this.scale.place(Math.min(Math.max(value / this.ceiling, 0), 1));
  }

  add(name, attributes, text) {
    this.parts.push(element(name, attributes, text));
  }

  // An empty chart says so, or it looks broken.
  hint(text) {
    const [x, y] = [(this.left + this.right) / 2, (this.top + this.bottom) / 2];
    this.add("text", { class: "hint", x, y, "text-anchor": "middle" }, text);
  }

  end() {
    this.svg.replaceChildren(...this.parts);
  }
}

const LINEAR = { place: (share) => share, ticks: evenTicks };
const ROOT = { place: Math.sqrt, ticks: rootTicks };

export class MinuteChart extends Chart {
  // drawing: {values, previous: [value], festival, stepMs, openMs|null, format, label, hint, peak: index|null}
  draw(drawing) {
    this.drawing = drawing;
    const { values, festival, stepMs, openMs } = drawing;
    const known = openMs === null ? 0 : Math.max(0, Math.floor((openMs - festival.start_ms) / stepMs));
    const own = values.reduce((a, b) => Math.max(a, b), 0);
    const top = drawing.previous.reduce((a, b) => Math.max(a, b), own);
    const present = (own > 0 ? values : drawing.previous).filter((value) => value > 0).sort((a, b) => a - b);
    const middle = present.length ? present[Math.floor(present.length / 2)] : 0;
    this.isRoot = middle > 0 && top / middle > ROOT_FROM;
    this.begin(top, drawing.format, this.isRoot ? ROOT : LINEAR, festival, drawing.label);
    const at = (i) => this.x(festival.start_ms + i * stepMs);
    if (drawing.previous.length > 0) {
      const line = drawing.previous.map((value, i) => `${at(i + 0.5).toFixed(1)},${this.y(value).toFixed(1)}`);
      this.add("polyline", { class: "previous", points: line.join(" ") });
    }
    if (known > 0) {
      const points = [];
      for (let i = 0; i < Math.min(known, values.length); i += 1) points.push(`${at(i + 0.5).toFixed(1)},${this.y(values[i]).toFixed(1)}`);
      const floor = this.bottom.toFixed(1);
      this.add("polygon", { class: "area", points: `${at(0.5).toFixed(1)},${floor} ${points.join(" ")} ${at(known - 0.5).toFixed(1)},${floor}` });
      this.add("polyline", { class: "line", points: points.join(" ") });
    }
    this.drawOpen(values, known, at);
    if (top === 0) this.hint(drawing.hint);
    if (drawing.peak !== null) {
      const i = drawing.peak;
      this.add("circle", { class: "peak", cx: at(i + 0.5), cy: this.y(values[i]), r: this.unit * 0.28 });
    }
    this.end();
  }

  // Minutes that may still grow: hollow, and wide enough to be seen whatever the scale.
  drawOpen(values, known, at) {
    const width = Math.max(at(1) - at(0), this.unit * 0.35);
    for (let i = known; i < values.length; i += 1) {
      if (values[i] > 0) {
        const y = this.y(values[i]);
        this.add("rect", { class: "open", x: at(i), y, width, height: Math.max(this.bottom - y, 1) });
      }
    }
  }
}

export class RunningChart extends Chart {
  // drawing: {values, previous: [[ms, value]], last: value|null, forecast: {low, high, along: [[ms, value]]}|null, ...}
  draw(drawing) {
    this.drawing = drawing;
    const { values, festival, stepMs, openMs, last, forecast } = drawing;
    const lastMs = openMs === null ? festival.start_ms : Math.min(openMs + stepMs, festival.end_ms);
    const running = [[festival.start_ms, 0]];
    let sum = 0;
    for (let i = 0; i < values.length; i += 1) {
      const ms = festival.start_ms + (i + 1) * stepMs;
      sum += values[i];
      if (ms <= lastMs) running.push([ms, sum]);
    }
    const now = running[running.length - 1];
    const top = Math.max(sum, last ?? 0, forecast ? forecast.high : 0);
    this.begin(top * 1.02, drawing.format, LINEAR, festival, drawing.label);
    const point = ([ms, value]) => `${this.x(ms).toFixed(1)},${this.y(value).toFixed(1)}`;
    const line = (name, points) => this.add("polyline", { class: name, points: points.map(point).join(" ") });
    if (drawing.previous.length > 1) line("previous", drawing.previous);
    else if (last !== null) line("previous", [[festival.start_ms, last], [festival.end_ms, last]]);
    if (forecast && now[0] < festival.end_ms) this.drawForecast(forecast, now, point, line);
    if (top === 0) this.hint(drawing.hint);
    const floor = this.bottom.toFixed(1);
    this.add("polygon", { class: "area", points: `${point(running[0])} ${running.map(point).join(" ")} ${this.x(now[0]).toFixed(1)},${floor}` });
    this.add("polyline", { class: "line", points: running.map(point).join(" ") });
    for (const [ms, value] of drawing.marks) {
      this.add("circle", { class: "mark", cx: this.x(ms), cy: this.y(value), r: this.unit * 0.28 });
    }
    if (now[0] < festival.end_ms && sum > 0) this.add("circle", { class: "now", cx: this.x(now[0]), cy: this.y(now[1]), r: this.unit * 0.35 });
    this.end();
  }

  // Both bounds go from the newest total to where they end, along the way that the last edition went on.
  drawForecast({ low, high, along }, now, point, line) {
    const end = this.festival.end_ms;
    const rest = along.filter(([ms], i) => ms > now[0] && (i % FORECAST_EVERY === 0 || ms === end));
    const [then, total] = [along.findLast(([ms]) => ms <= now[0]), along[along.length - 1]];
    const share = (value) => (total[1] > then[1] ? (value - then[1]) / (total[1] - then[1]) : 1);
    const bound = (goal) => [now, ...rest.map(([ms, value]) => [ms, now[1] + (goal - now[1]) * share(value)])];
    const [lower, upper] = [bound(low), bound(high)];
    this.add("polygon", { class: "band", points: [...upper, ...lower.toReversed()].map(point).join(" ") });
    line("bound", upper);
    line("bound", lower);
    const [x, top, bottom] = [this.x(end), this.y(high), this.y(low)];
    this.add("rect", { class: "final", x, y: top, width: this.unit * 0.3, height: Math.max(bottom - top, 1) });
  }
}

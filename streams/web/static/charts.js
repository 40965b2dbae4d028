// The two charts, drawn as SVG at the size they have on the page, so that lines and letters stay sharp.

const SVG = "http://www.w3.org/2000/svg";
const HOURS_MS = 3600000;
const TICKS = 4;
const ROOT_FROM = 12; // a peak of so many times the middle value would flatten the rest of a linear chart

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function niceCeiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 6, 8, 10].find((step) => step * power >= value) * power;
}

// Letters in units of the font's size, roughly, and rather too wide.
function widthOf(text) {
  let width = 0;
  for (const letter of text) width += letter > "\u2fff" ? 1.05 : 0.66;
  return width;
}

class Chart {
  constructor(svg) {
    this.svg = svg;
    this.drawing = null;
    new ResizeObserver(() => this.redraw()).observe(svg);
  }

  redraw() {
    if (this.drawing !== null) this.draw(this.drawing);
  }

  begin(top, format, scale, festival, label) {
    const box = this.svg.getBoundingClientRect();
    this.unit = parseFloat(getComputedStyle(this.svg).fontSize);
    const unit = this.unit;
    this.scale = scale;
    this.ceiling = niceCeiling(top);
    const ticks = Array.from({ length: TICKS + 1 }, (_, i) => this.ceiling * scale.inverse(i / TICKS));
    this.left = unit * (1 + Math.max(...ticks.map((value) => widthOf(format(value)))));
    this.right = Math.max(box.width - unit * 0.6, this.left + 1);
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
      const anchor = hour === 0 ? "start" : hour >= hours ? "end" : "middle";
      this.add("text", { class: "tick", x, y: this.bottom + unit * 1.25, "text-anchor": anchor }, label(hour));
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

  end() {
    this.svg.replaceChildren(...this.parts);
  }
}

const LINEAR = { place: (share) => share, inverse: (share) => share };
const ROOT = { place: Math.sqrt, inverse: (share) => share * share };

export class MinuteChart extends Chart {
  // drawing: {values, previous|null, festival, stepMs, openMs|null, format, label, peak: [index, text]|null}
  draw(drawing) {
    this.drawing = drawing;
    const { values, festival, stepMs, openMs } = drawing;
    const known = openMs === null ? 0 : Math.max(0, Math.floor((openMs - festival.start_ms) / stepMs));
    const top = values.reduce((a, b) => Math.max(a, b), 0);
    const present = values.filter((value) => value > 0).sort((a, b) => a - b);
    const middle = present.length ? present[Math.floor(present.length / 2)] : 0;
    this.isRoot = middle > 0 && top / middle > ROOT_FROM;
    this.begin(top, drawing.format, this.isRoot ? ROOT : LINEAR, festival, drawing.label);
    const at = (i) => this.x(festival.start_ms + i * stepMs);
    if (drawing.previous) {
      const line = drawing.previous.map((value, i) => `${at(i).toFixed(1)},${this.y(value).toFixed(1)}`);
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
    if (drawing.peak !== null && drawing.peak[0] < values.length) {
      const [i] = drawing.peak;
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
  // drawing: {values, previous: [[ms, value]], last: {value, text}|null, forecast: {low, high, text}|null, ...}
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
    const top = Math.max(sum, last ? last.value : 0, forecast ? forecast.high : 0);
    this.begin(top * 1.02, drawing.format, LINEAR, festival, drawing.label);
    const point = ([ms, value]) => `${this.x(ms).toFixed(1)},${this.y(value).toFixed(1)}`;
    if (forecast && now[0] < festival.end_ms) {
      const end = festival.end_ms;
      this.add("polygon", { class: "band", points: [now, [end, forecast.high], [end, forecast.low]].map(point).join(" ") });
      this.note("band-text", end, (forecast.high + forecast.low) / 2, forecast.text);
    }
    if (drawing.previous.length > 1) this.add("polyline", { class: "previous", points: drawing.previous.map(point).join(" ") });
    if (last) {
      const y = this.y(last.value);
      this.add("line", { class: "previous", x1: this.left, x2: this.right, y1: y, y2: y });
      this.add("text", { class: "tick", x: this.left + this.unit * 0.5, y: y - this.unit * 0.4 }, last.text);
    }
    const floor = this.bottom.toFixed(1);
    this.add("polygon", { class: "area", points: `${point(running[0])} ${running.map(point).join(" ")} ${this.x(now[0]).toFixed(1)},${floor}` });
    this.add("polyline", { class: "line", points: running.map(point).join(" ") });
    for (const [ms, value] of drawing.marks) {
      this.add("circle", { class: "mark", cx: this.x(ms), cy: this.y(value), r: this.unit * 0.28 });
    }
    if (now[0] < festival.end_ms && sum > 0) this.add("circle", { class: "now", cx: this.x(now[0]), cy: this.y(now[1]), r: this.unit * 0.35 });
    this.end();
  }

  note(name, ms, value, text) {
    this.add("text", { class: name, x: this.x(ms) - this.unit * 0.4, y: this.y(value), "text-anchor": "end" }, text);
  }
}

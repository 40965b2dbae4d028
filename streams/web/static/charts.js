// The two charts of a day: what each minute sold, and what all of it sold so far.

import { Chart, evenTicks, rootTicks } from "./chart.js";

const FORECAST_EVERY = 15; // minutes of the last edition per corner of the band
const ROOT_FROM = 12; // a peak of so many times the middle value would flatten the rest of a linear chart

export class MinuteChart extends Chart {
  // drawing: {values, previous: [value], festival, stepMs, openMs|null, format, label, hint, peak: index|null}
  draw(drawing) {
    const { values, festival, stepMs, openMs } = drawing;
    const known = openMs === null ? 0 : Math.max(0, Math.floor((openMs - festival.start_ms) / stepMs));
    const own = values.reduce((a, b) => Math.max(a, b), 0);
    const top = drawing.previous.reduce((a, b) => Math.max(a, b), own);
    const present = (own > 0 ? values : drawing.previous).filter((value) => value > 0).sort((a, b) => a - b);
    const middle = present.length ? present[Math.floor(present.length / 2)] : 0;
    this.isRoot = middle > 0 && top / middle > ROOT_FROM;
    if (this.isRoot) this.begin(rootTicks(top), drawing, Math.sqrt);
    else this.begin(evenTicks(top), drawing);
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
    if (openMs !== null && openMs > festival.start_ms && openMs < festival.end_ms) this.markNow(openMs);
    if (top === 0) this.hint(drawing.hint);
    if (drawing.peak !== null) {
      const i = drawing.peak;
      this.add("circle", { class: "peak", "data-ms": festival.start_ms + i * stepMs, cx: at(i + 0.5), cy: this.y(values[i]), r: this.unit * 0.28 });
    }
    this.end(drawing);
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
    this.begin(evenTicks(top * 1.02), drawing);
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
      this.add("circle", { class: "mark", "data-ms": ms, cx: this.x(ms), cy: this.y(value), r: this.unit * 0.28 });
    }
    if (now[0] < festival.end_ms && sum > 0) this.markNow(now[0]);
    if (now[0] < festival.end_ms && sum > 0) this.add("circle", { class: "now", cx: this.x(now[0]), cy: this.y(now[1]), r: this.unit * 0.35 });
    this.end(drawing);
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

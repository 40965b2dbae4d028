// How far the day is ahead of the last edition, minute by minute: a curve of its own, above and below a level line.

import { Chart, evenTicks } from "./chart.js";

// Even ticks around 0 that hold both ends, few of them.
export function aroundZero(low, high) {
  const ticks = evenTicks(Math.max(high, -low, 0));
  const step = ticks.length > 3 ? ticks[2] - ticks[0] : ticks[1] ?? 1;
  const count = (end) => Math.ceil(Math.max(end, 0) / step);
  const [below, above] = [count(-low), Math.max(count(high), low < 0 ? 0 : 1)];
  return Array.from({ length: below + above + 1 }, (_, i) => (i - below) * step);
}

// [[ms, value]]: what is sold so far less what the last edition had sold, at the end of each closed minute.
export function differencesOf(values, along, { start_ms: start }, stepMs, closedMs) {
  const told = [[start, 0]];
  let sum = 0;
  for (let i = 0; i < values.length && i + 1 < along.length; i += 1) {
    sum += values[i];
    const ms = start + (i + 1) * stepMs;
    if (closedMs === null || ms > closedMs) break;
    told.push([ms, sum - along[i + 1][1]]);
  }
  return told;
}

export class DifferenceChart extends Chart {
  // drawing: {differences: [[ms, value]], ticks, festival, format, label}
  draw(drawing) {
    const { differences, festival } = drawing;
    this.begin(drawing.ticks, drawing);
    const level = this.y(0).toFixed(1);
    const corners = differences.map(([ms, value]) => `${this.x(ms).toFixed(1)},${this.y(value).toFixed(1)}`);
    const [first, last] = [differences[0], differences[differences.length - 1]].map(([ms]) => this.x(ms).toFixed(1));
    this.add("line", { class: "level", x1: this.left, x2: this.right, y1: level, y2: level });
    const name = last === first ? "" : differences[differences.length - 1][1] < 0 ? " is-behind" : "";
    this.add("polygon", { class: `gap${name}`, points: `${first},${level} ${corners.join(" ")} ${last},${level}` });
    this.add("polyline", { class: `lead${name}`, points: corners.join(" ") });
    const at = differences[differences.length - 1][0];
    if (at > festival.start_ms && at < festival.end_ms) this.markNow(at);
    this.end(drawing);
  }
}

// The world at a glance: how much each market ordered, and where parcels come from. Drawn from committed totals; which
// origin sends to which market no total says, so no line is drawn between them.

import { element, widthOf } from "./chart.js";
import { LAND } from "./land.js";
import { own } from "./exact.js";

const LARGEST = 0.085; // radius of the largest market, in widths of the map
const LEAST = 0.0045; // whatever has an order can be seen
const NEAREST = 0.16; // of the land's width: nearer, its outlines are too coarse
const FURTHEST = 0.5; // beyond, all of it is shown
const ROOM = 1.9; // around the places that are shown
const RIPPLE_MS = 1600;

const placeOf = ({ code }) => own(LAND.places, code);

// What of the land is shown, {x, y, width, height} around its middle: all of it, or the part that the places lie in, where
// that is a small one.
export function viewOf(places, shape) {
  const all = { x: LAND.width / 2, y: LAND.height / 2, width: LAND.width, height: LAND.height };
  if (places.length === 0) return all;
  const [xs, ys] = [0, 1].map((axis) => places.map((place) => place[axis]));
  const span = (values) => Math.max(...values) - Math.min(...values);
  const width = Math.max(span(xs) * ROOM, span(ys) * ROOM * shape, NEAREST * LAND.width);
  if (width > FURTHEST * LAND.width) return all;
  const middle = (values) => (Math.max(...values) + Math.min(...values)) / 2;
  return { x: middle(xs), y: middle(ys), width, height: width / shape };
}

export class WorldMap {
  constructor(svg) {
    this.svg = svg;
    this.land = element("g", { class: "land" });
    this.over = element("g", {});
    this.shapes = new Map();
    for (const [code, path] of Object.entries(LAND.shapes)) {
      const shape = element("path", { d: path });
      this.shapes.set(code, shape);
      this.land.append(shape);
    }
    svg.append(this.land, this.over);
    this.drawing = null;
    new ResizeObserver(() => { if (this.drawing !== null) this.draw(this.drawing); }).observe(svg);
  }

  // drawing: {markets, origins: [{code, amount, label, text}], title}; returns the markets that have no place.
  draw(drawing) {
    this.drawing = drawing;
    const { markets, origins } = drawing;
    const box = this.svg.getBoundingClientRect();
    const view = viewOf([...markets, ...origins].map(placeOf).filter(Boolean), box.width / box.height || 1);
    const scale = Math.min(box.width / view.width, box.height / view.height) || 1;
    const [left, top] = [box.width / 2 - view.x * scale, box.height / 2 - view.y * scale];
    this.at = ([x, y]) => [left + x * scale, top + y * scale];
    this.unit = parseFloat(getComputedStyle(this.svg).fontSize);
    this.svg.setAttribute("viewBox", `0 0 ${Math.max(box.width, 1)} ${Math.max(box.height, 1)}`);
    this.land.setAttribute("transform", `translate(${left.toFixed(1)} ${top.toFixed(1)}) scale(${scale.toFixed(4)})`);
    this.svg.setAttribute("aria-label", drawing.title);
    const most = markets.reduce((best, row) => Math.max(best, row.amount), 0);
    const sized = markets.filter(placeOf).map((row) => {
      const share = most > 0 ? Math.max(row.amount / most, 0) : 0;
      const radius = share > 0 ? Math.max(LARGEST * Math.sqrt(share), LEAST) * view.width * scale : 0;
      return { row, share, radius, place: this.at(placeOf(row)) };
    }).filter(({ radius }) => radius > 0);
    this.shade(sized);
    const parts = sized.map(({ row, radius, place: [x, y] }) => {
      const circle = element("circle", { class: "market", "data-code": row.code, cx: x.toFixed(1), cy: y.toFixed(1), r: radius.toFixed(2) });
      circle.append(element("title", {}, `${row.label}: ${row.text}`));
      return circle;
    });
    const sent = origins.filter((row) => placeOf(row) && row.amount > 0);
    parts.push(...sent.map((row) => this.origin(row)));
    parts.push(...this.labels(sized));
    this.over.replaceChildren(...parts);
    return markets.filter((row) => !placeOf(row) && row.amount > 0);
  }

  // A country's own land takes the colour of its market: more of it, the more it ordered.
  shade(sized) {
    const shares = new Map(sized.map(({ row, share }) => [row.code, share]));
    for (const [code, shape] of this.shapes) {
      const share = shares.get(code);
      if (share === undefined) shape.removeAttribute("class");
      else shape.setAttribute("class", "is-market");
      shape.setAttribute("fill-opacity", share === undefined ? 1 : (0.25 + 0.5 * Math.sqrt(share)).toFixed(2));
    }
  }

  // Where parcels come from: a small square that stands on its corner.
  origin(row) {
    const [x, y] = this.at(placeOf(row));
    const half = this.unit * 0.38;
    const points = [[x, y - half], [x + half, y], [x, y + half], [x - half, y]].map((corner) => corner.map((one) => one.toFixed(1)).join(","));
    const mark = element("polygon", { class: "origin", "data-code": row.code, points: points.join(" ") });
    mark.append(element("title", {}, `${row.label}: ${row.text}`));
    return mark;
  }

  // The names of the largest, each where there is room for it: beside, above or below its circle, or nowhere.
  labels(sized) {
    const { width, height } = this.svg.getBoundingClientRect();
    const taken = sized.map(({ radius, place: [x, y] }) => ({ x: x - radius * 0.7, y: y - radius * 0.7, w: radius * 1.4, h: radius * 1.4 }));
    const isFree = (box) => box.x >= 0 && box.y >= 0 && box.x + box.w <= width && box.y + box.h <= height
      && taken.every((other) => box.x >= other.x + other.w || other.x >= box.x + box.w || box.y >= other.y + other.h || other.y >= box.y + box.h);
    const parts = [];
    for (const { row, radius, place: [x, y] } of sized.toSorted((a, b) => b.radius - a.radius)) {
      const text = row.label;
      const [w, h, gap] = [(widthOf(text) + 0.4) * this.unit, this.unit * 1.2, radius + this.unit * 0.15];
      const places = [[x + gap, y - h / 2], [x - gap - w, y - h / 2], [x - w / 2, y - gap - h], [x - w / 2, y + gap]];
      const box = places.map(([bx, by]) => ({ x: bx, y: by, w, h })).find(isFree);
      if (box === undefined) continue;
      taken.push(box);
      parts.push(element("text", { class: "country", x: (box.x + w / 2).toFixed(1), y: (box.y + h * 0.78).toFixed(1), "text-anchor": "middle" }, text));
    }
    return parts;
  }

  // A ring that widens where something was just committed.
  ripple(codes) {
    if (this.drawing === null || this.svg.getBoundingClientRect().width === 0) return;
    for (const code of codes) {
      const circle = [...this.over.children].find((one) => one.dataset.code === code && one.matches(".market"));
      if (circle === undefined) continue;
      const radius = Number(circle.getAttribute("r"));
      const ring = element("circle", { class: "ripple", cx: circle.getAttribute("cx"), cy: circle.getAttribute("cy"), r: radius + this.unit * 0.8 });
      this.svg.append(ring);
      const fading = ring.animate([{ opacity: 0.8 }, { opacity: 0 }], { duration: RIPPLE_MS, easing: "ease-out" });
      fading.onfinish = () => ring.remove();
      fading.oncancel = () => ring.remove();
    }
  }
}

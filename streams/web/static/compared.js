// What a day is shown against: the last edition, the forecast, the milestones. Pure.

import { own, ratio } from "./exact.js";

const MINUTE_MS = 60000;
const FAR = 20; // the last edition, so many times larger, would make this one a line on the floor
const LEAST_PERCENT = 0.1;

export const lastName = (festival, words) => own(words.previous, festival.previous.name) ?? festival.previous.name;

// How the day stands against the last edition, {number, name, against, note, isAhead}: by how much it is ahead at the same
// time, else how much of all of it there is; when it passed all of it. null where there is nothing to say.
export function versus(totals, festival, isEnded, words, numbers) {
  const { previous } = festival;
  if (previous === null || totals.screen.main !== "gross" || totals.home.gross === null) return null;
  const name = lastName(festival, words);
  const pace = totals.pace ?? {};
  const note = pace.passed_ms ? words.passedIt(numbers.timeOfDay(pace.passed_ms, festival)) : "";
  const told = (value) => words.percent(numbers.decimal(value));
  if (typeof pace.growth_ratio === "number") {
    const isAhead = pace.growth_ratio >= 0;
    const number = (isAhead ? "+" : "−") + told(Math.abs(100 * pace.growth_ratio));
    return { number, name, against: words.against(isEnded), note, isAhead };
  }
  const percent = 100 * ratio(totals.home.gross, previous.total_minor);
  if (note === "" && !(percent >= LEAST_PERCENT)) return null;
  return { number: told(percent), name, against: words.ofAll, note, isAhead: percent >= 100 };
}

// The next milestone, {minor, before, gross}: how far it is from the one before; null where all are passed, or none is.
export function nextMilestone({ screen, home, counted }) {
  const milestones = counted === false ? [] : screen.milestones;
  const next = milestones.findIndex((one) => one.time_ms === null);
  if (next < 0) return null;
  return { minor: milestones[next].minor, before: next === 0 ? 0 : milestones[next - 1].minor, gross: home.gross };
}

export function implausible(totals, words) {
  const outside = Object.entries(totals.implausible ?? {}).filter(([, isOutside]) => isOutside);
  return outside.map(([check]) => own(words.implausible, check) ?? check).join(" · ");
}

// The last edition as running totals, [[ms, value]], one a minute; empty where only its end is known.
export function previousCurve(totals, festival, toMajor) {
  const minutes = totals.screen.main === "gross" && festival.previous ? festival.previous.by_minute : [];
  if (minutes.length === 0) return [];
  return [[festival.start_ms, 0], ...minutes.map((minor, i) => [festival.start_ms + (i + 1) * MINUTE_MS, toMajor(minor)])];
}

// Whether the last edition can be drawn on one scale with this one: by what each had at this time, roughly.
export function isComparable(totals, festival, toMajor) {
  if (totals.screen.main !== "gross" || !festival.previous) return false;
  const { watermark_ms: at, previous_minor: then } = totals.screen;
  const elapsed = at === null ? 0 : Math.min(Math.max((at - festival.start_ms) / (festival.end_ms - festival.start_ms), 0), 1);
  const before = typeof then === "number" || typeof then === "bigint" ? toMajor(then) : toMajor(festival.previous.total_minor) * elapsed;
  return totals.counted !== false && (totals.orders === 0 || toMajor(totals.home.gross) * FAR >= before);
}

// What the last edition sold in each of those minutes.
export function perMinute(running) {
  return running.slice(1).map(([, value], i) => value - running[i][1]);
}

// The forecast of the final total: an interval, never a number alone.
export function forecastOf(totals, along, toMajor) {
  const { forecast } = totals;
  if (!forecast || along.length === 0) return null;
  const { low_minor: low, high_minor: high } = forecast;
  if (low === null || high === null) return null;
  return { low: toMajor(low), high: toMajor(high), lowMinor: low, highMinor: high, along };
}

// The milestones passed, on the curve.
export function marksOf(totals, toMajor) {
  return totals.screen.milestones.filter((one) => one.time_ms !== null).map((one) => [one.time_ms, toMajor(one.minor)]);
}

// What a day's curve is shown against: the last edition, the forecast, the milestones. Pure.

const MINUTE_MS = 60000;
const FAR = 20; // the last edition, so many times larger, would make this one a line on the floor

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
  const before = toMajor(then ?? festival.previous.total_minor * elapsed);
  return totals.orders === 0 || toMajor(totals.home.gross) * FAR >= before;
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
  return { low: toMajor(low), high: toMajor(high), along };
}

// The milestones passed, on the curve.
export function marksOf(totals, toMajor) {
  return totals.screen.milestones.filter((one) => one.time_ms !== null).map((one) => [one.time_ms, toMajor(one.minor)]);
}

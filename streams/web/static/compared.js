// What a day is shown against: the last edition, the forecast, the milestones. Pure.

const MINUTE_MS = 60000;
const FAR = 20; // the last edition, so many times larger, would make this one a line on the floor
const LEAST_PERCENT = 0.1;

export const lastName = (festival, words) => words.previous[festival.previous.name] || festival.previous.name;

// How the day stands against the last edition: when it passed all of it, and by how much it is ahead at the same time.
export function versus(totals, festival, isEnded, words, numbers) {
  const { previous } = festival;
  if (previous === null || totals.screen.main !== "gross") return "";
  const name = lastName(festival, words);
  const pace = totals.pace ?? {};
  const passedAt = pace.passed_ms ? numbers.timeOfDay(pace.passed_ms, festival) : null;
  if (typeof pace.growth_ratio === "number") {
    const percent = numbers.decimal(Math.abs(100 * pace.growth_ratio));
    const growth = words.versus(pace.growth_ratio < 0 ? "−" : "+", percent, name, isEnded);
    return passedAt === null ? growth : `${growth} · ${words.passedIt(passedAt)}`;
  }
  if (passedAt !== null) return words.passed(name, passedAt);
  const percent = 100 * Number(totals.home.gross) / previous.total_minor;
  return percent < LEAST_PERCENT ? "" : words.versusTotal(numbers.decimal(percent), name);
}

export function implausible(totals, words) {
  const outside = Object.entries(totals.implausible ?? {}).filter(([, isOutside]) => isOutside);
  return outside.map(([check]) => words.implausible[check] || check).join(" · ");
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

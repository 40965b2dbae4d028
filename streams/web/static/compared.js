// What a day's curve is shown against: the last edition, the forecast, the milestones. Pure.

// The last edition as running totals, [[ms, value]]; empty where only its end is known.
export function previousCurve(totals, festival, toMajor) {
  const points = totals.screen.main === "gross" && festival.previous ? festival.previous.curve : [];
  if (points.length === 0) return [];
  const all = points.map(([seconds, minor]) => [festival.start_ms + seconds * 1000, toMajor(minor)]);
  if (all[0][0] > festival.start_ms) all.unshift([festival.start_ms, 0]);
  if (all[all.length - 1][0] < festival.end_ms) all.push([festival.end_ms, toMajor(festival.previous.total_minor)]);
  return all;
}

// The last edition per minute, as far as its published points tell: even between two of them.
export function perMinute(points, festival, stepMs) {
  if (points.length < 2) return null;
  const steps = [];
  let piece = 0;
  for (let ms = festival.start_ms; ms < festival.end_ms; ms += stepMs) {
    while (piece < points.length - 2 && points[piece + 1][0] <= ms) piece += 1;
    const [[leftMs, left], [rightMs, right]] = [points[piece], points[piece + 1]];
    steps.push(((right - left) / (rightMs - leftMs)) * stepMs);
  }
  return steps;
}

// The forecast of the final total: an interval, never a number alone.
export function forecastOf(totals, words, toMajor, format) {
  const { forecast } = totals;
  if (!forecast || totals.screen.main !== "gross") return null;
  const { low_minor: low, high_minor: high } = forecast;
  if (low === null || high === null) return null;
  return { low: toMajor(low), high: toMajor(high), text: words.forecast(format(toMajor(low)), format(toMajor(high))) };
}

// The milestones passed, on the curve.
export function marksOf(totals, toMajor) {
  return totals.screen.milestones.filter((one) => one.time_ms !== null).map((one) => [one.time_ms, toMajor(one.minor)]);
}

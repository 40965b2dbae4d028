// The hours of a festival by its own clock, wherever it begins, on days of 23 and of 25 hours, and over many days.

const QUARTER_MS = 900000; // every zone's hours begin at a quarter of one of UTC's
const HOUR_MS = 3600000;
const DAY_MS = 25 * HOUR_MS; // the longest day: the clock is put back
const STEPS = [1, 2, 3, 4, 6, 12, 24, 48, 72, 96, 168, 336]; // hours between two labels

const clocks = new Map();

// Whether a time alone does not say which day's it is.
export const hasDays = ({ start_ms: start, end_ms: end }) => end - start > DAY_MS;

// {year, month, day, hour, minute, second} of the zone's clock.
function localOf(ms, timeZone) {
  if (!clocks.has(timeZone)) {
    const parts = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
    clocks.set(timeZone, new Intl.DateTimeFormat("en-US", { timeZone, hourCycle: "h23", ...parts }));
  }
  return Object.fromEntries(clocks.get(timeZone).formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
}

// The step of local hours that an instant lies in: whole days are counted from the first day of 1970.
function boxOf(ms, timeZone, step) {
  const { year, month, day, hour } = localOf(ms, timeZone);
  const hours = Date.UTC(year, month - 1, day) / HOUR_MS + hour;
  return Math.floor(hours / step);
}

// [{ms, isDay, isEnd}]: where labels stand, `most` of them at most (and two at least). A label is at the first instant of
// each step of the zone's clock: hours that the clock skips have none, and one that it repeats has one. `isDay` says
// that a day begins there, which takes a date where the festival is longer than a day.
export function hoursOf({ start_ms: start, end_ms: end, timezone }, most) {
  const hours = (end - start) / HOUR_MS;
  const step = STEPS.find((one) => Math.floor(hours / one) + 1 <= most) ?? STEPS.at(-1);
  const ticks = [];
  let before = boxOf(start - 1, timezone, step);
  for (let ms = Math.ceil(start / QUARTER_MS) * QUARTER_MS; ms <= end; ms += QUARTER_MS) {
    const box = boxOf(ms, timezone, step);
    if (box <= before) continue; // the clock was put back
    before = box;
    const { hour, minute } = localOf(ms, timezone);
    ticks.push({ ms, isDay: hour === 0 && minute === 0, isEnd: ms === end });
  }
  return ticks;
}

// What stands at a tick: an hour of the clock, 24:00 at the end of a day; the date where one of several days begins.
export function labelOf(tick, festival, numbers) {
  if (tick.isDay && hasDays(festival)) return numbers.day(tick.ms, festival.timezone);
  return tick.isDay && tick.isEnd ? "24:00" : numbers.time(tick.ms, festival.timezone).slice(0, 5);
}

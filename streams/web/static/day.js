// The day's two charts and their legends: what is drawn of a curve, and against what.

import { MinuteChart, RunningChart } from "./charts.js";
import { forecastOf, isComparable, lastName, marksOf, perMinute, previousCurve } from "./compared.js";
import { say } from "./ranks.js";

const clock = (hour) => `${String(hour % 24 === 0 && hour > 0 ? 24 : hour % 24).padStart(2, "0")}:00`;

// What the lines of a chart are: a piece of each, and its name.
function legend(place, entries) {
  const told = entries.filter(([, text]) => text !== "");
  while (place.children.length > told.length) place.lastChild.remove();
  told.forEach(([name, text], i) => {
    const entry = place.children[i] || place.appendChild(document.createElement("span"));
    if (entry.dataset.line !== name) entry.dataset.line = name;
    say(entry, text);
  });
}

export class DayCharts {
  // `place(id)` finds an element of the page.
  constructor(place) {
    this.place = place;
    this.minutes = new MinuteChart(place("minutes"));
    this.running = new RunningChart(place("running"));
  }

  draw(totals, curve, festival, isEnded, words, numbers) {
    const isMoney = totals.screen.main === "gross" || totals.screen.main === "paid";
    const { currency } = totals.home;
    const scale = isMoney ? 10 ** numbers.digitsOf(currency) : 1;
    const toMajor = (value) => Number(value) / scale;
    const format = (value) => (isMoney ? numbers.sign(currency) : "") + numbers.short(value);
    const name = festival.previous ? lastName(festival, words) : "";
    const values = curve.values.map(toMajor);
    // The curve may be older than the totals, and is open from its own time on.
    const closedMs = isEnded ? festival.end_ms : curve.watermark_ms;
    const openMs = closedMs === null ? null : Math.min(festival.end_ms, closedMs - ((closedMs - festival.start_ms) % curve.step_ms));
    const along = previousCurve(totals, festival, toMajor);
    const hasLast = isComparable(totals, festival, toMajor);
    const previous = hasLast ? along : [];
    const shared = { values, festival, stepMs: curve.step_ms, openMs, format, label: clock, hint: words.noneYet };
    this.drawMinutes(shared, previous, name, words.main[totals.screen.main], words, numbers);
    const last = hasLast ? toMajor(festival.previous.total_minor) : null;
    const forecast = openMs === festival.end_ms ? null : forecastOf(totals, along, toMajor);
    const marks = marksOf(totals, toMajor).filter(([ms]) => openMs !== null && ms <= openMs + curve.step_ms);
    this.running.draw({ ...shared, previous, last, forecast, marks });
    say(this.place("running-title"), words.running(words.main[totals.screen.main]));
    legend(this.place("running-note"), [
      ["previous", last === null ? "" : words.last(name, format(last))],
      ["forecast", forecast === null ? "" : words.forecast(format(forecast.low), format(forecast.high))],
    ]);
  }

  drawMinutes(shared, previous, name, main, words, numbers) {
    const { values, festival, stepMs, openMs, format } = shared;
    const most = values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
    const peak = values[most] > 0 ? most : null;
    this.minutes.draw({ ...shared, previous: perMinute(previous), peak });
    const time = numbers.time(festival.start_ms + most * stepMs, festival.timezone).slice(0, 5);
    const isOpen = openMs !== null && openMs >= festival.start_ms && openMs < festival.end_ms;
    say(this.place("minutes-title"), words.perMinute(main));
    legend(this.place("minutes-note"), [
      ["peak", peak === null ? "" : words.peakAt(format(values[peak]), time)],
      ["open", isOpen ? words.open : ""],
      ["previous", previous.length > 0 ? name : ""],
      ["", this.minutes.isRoot ? words.rootScale : ""],
    ]);
  }
}

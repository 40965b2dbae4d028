// The day's charts and their legends: what is drawn of a curve, against what, and what somebody reads of a minute.

import { labelOf } from "./axis.js";
import { MinuteChart, RunningChart } from "./charts.js";
import { forecastOf, isComparable, lastName, marksOf, perMinute, previousCurve } from "./compared.js";
import { aroundZero, DifferenceChart, differencesOf } from "./difference.js";
import { say } from "./panel.js";
import { Reading } from "./reading.js";

// What the lines of a chart are: a piece of each, and its name.
export function legend(place, entries) {
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
    this.difference = new DifferenceChart(place("difference"));
    this.drawing = null;
    this.reading = new Reading(
      [[this.minutes, (i) => this.minuteOf(i)], [this.running, (i) => this.totalAt(i)], [this.difference, (i) => this.leadAt(i)]],
    );
  }

  drawMinutes(totals, curve, festival, isEnded, words, numbers) {
    const drawing = this.drawingOf(totals, curve, festival, isEnded, words, numbers);
    const { exact, stepMs, openMs, previous } = drawing;
    const most = exact.reduce((best, value, i) => (value > exact[best] ? i : best), 0);
    const peak = exact[most] > 0 ? most : null;
    this.minutes.draw({ ...drawing, previous: perMinute(previous), peak });
    const time = peak === null ? "" : numbers.timeOfDay(festival.start_ms + most * stepMs, festival).slice(0, -3);
    const isOpen = openMs !== null && openMs >= festival.start_ms && openMs < festival.end_ms;
    say(this.place("minutes-title"), words.perMinute(words.main[totals.screen.main]));
    legend(this.place("minutes-note"), [
      ["peak", peak === null ? "" : words.peakAt(drawing.tell(exact[peak]), time)],
      ["open", isOpen ? words.open : ""],
      ["previous", previous.length > 0 ? words.lastEdition : ""],
      ["", this.minutes.isRoot ? words.rootScale : ""],
    ]);
  }

  drawRunning(totals, curve, festival, isEnded, words, numbers) {
    const drawing = this.drawingOf(totals, curve, festival, isEnded, words, numbers);
    const { openMs, stepMs, along, hasLast, toMajor, tell } = drawing;
    const total = hasLast ? festival.previous.total_minor : null;
    const forecast = openMs === festival.end_ms ? null : forecastOf(totals, along, toMajor);
    const marks = totals.counted === false ? [] : marksOf(totals, toMajor).filter(([ms]) => openMs !== null && ms <= openMs + stepMs);
    this.running.draw({ ...drawing, last: total === null ? null : toMajor(total), forecast, marks });
    say(this.place("running-title"), words.running(words.main[totals.screen.main]));
    legend(this.place("running-note"), [
      ["previous", total === null ? "" : words.last(lastName(festival, words), tell(total))],
      ["forecast", forecast === null ? "" : words.forecast(tell(forecast.lowMinor), tell(forecast.highMinor))],
    ]);
    this.drawing = drawing;
    this.reading.show(drawing, words.minuteRead);
  }

  drawDifference(totals, curve, festival, isEnded, words, numbers) {
    const drawing = this.drawingOf(totals, curve, festival, isEnded, words, numbers);
    const { values, previous, stepMs, openMs } = drawing;
    const differences = previous.length > 1 ? differencesOf(values, previous, festival, stepMs, openMs) : [];
    const isShown = differences.length > 1;
    this.place("difference-figure").hidden = !isShown;
    if (!isShown) return;
    const told = differences.map(([, value]) => value);
    const ticks = aroundZero(told.reduce((a, b) => Math.min(a, b)), told.reduce((a, b) => Math.max(a, b)));
    this.difference.draw({ ...drawing, differences, ticks });
    say(this.place("difference-title"), words.difference(lastName(festival, words)));
    this.drawing = drawing;
    const [time, lead] = this.leadAt(differences.length - 2);
    legend(this.place("difference-note"), [[differences.at(-1)[1] < 0 ? "lag" : "lead", words.leadAt(lead, time)]]);
    this.reading.show(drawing, words.minuteRead);
  }

  // What both charts share.
  drawingOf(totals, curve, festival, isEnded, words, numbers) {
    const isMoney = totals.screen.main === "gross" || totals.screen.main === "paid";
    const { currency } = totals.home;
    const scale = isMoney ? 10 ** numbers.digitsOf(currency) : 1;
    const toMajor = (value) => Number(value) / scale;
    const isCounted = totals.counted !== false;
    const exact = isCounted ? curve.values : [];
    // The curve may be older than the totals, and is open from its own time on.
    const closedMs = isEnded ? festival.end_ms : curve.watermark_ms;
    const openMs = closedMs === null ? null : Math.min(festival.end_ms, closedMs - ((closedMs - festival.start_ms) % curve.step_ms));
    const along = previousCurve(totals, festival, toMajor);
    const hasLast = isComparable(totals, festival, toMajor);
    return {
      exact, values: exact.map(toMajor), festival, stepMs: curve.step_ms, openMs, along, hasLast, toMajor,
      previous: hasLast ? along : [],
      lastMinor: hasLast && along.length > 0 ? festival.previous.by_minute : [],
      lastName: hasLast && along.length > 0 ? lastName(festival, words) : "",
      format: (value) => (isMoney ? numbers.signed(numbers.short(value), currency) : numbers.short(value)),
      // What is written is read from the exact amount: a double may lie above it.
      tell: (value) => (isMoney ? numbers.shortMoney(value, currency) : numbers.short(value)),
      time: (i) => numbers.timeOfDay(festival.start_ms + i * curve.step_ms, festival).slice(0, -3),
      label: (tick) => labelOf(tick, festival, numbers),
      hint: isCounted ? words.noneYet : words.notCounted,
    };
  }

  // -- what somebody reads of a minute: [text] for each line, ours first -------------------------------------------

  minuteOf(i) {
    const { exact, openMs, stepMs, festival, lastMinor, lastName: last, tell, time } = this.drawing;
    const isKnown = openMs !== null && festival.start_ms + i * stepMs <= openMs && i < exact.length;
    const before = lastMinor.length > i ? BigInt(lastMinor[i]) - BigInt(i > 0 ? lastMinor[i - 1] : 0) : null;
    return [time(i), isKnown ? tell(exact[i]) : "–", ...(before === null ? [] : [`${last}: ${tell(before)}`])];
  }

  totalAt(i) {
    const { lastMinor, lastName: last, tell, time } = this.drawing;
    const sum = this.soldUntil(i);
    return [time(i + 1), sum === null ? "–" : tell(sum), ...(lastMinor.length > i ? [`${last}: ${tell(lastMinor[i])}`] : [])];
  }

  leadAt(i) {
    const { lastMinor, tell, time } = this.drawing;
    const sum = this.soldUntil(i);
    return [time(i + 1), sum === null || lastMinor.length <= i ? "–" : tell(sum - BigInt(lastMinor[i]))];
  }

  // All that the minutes up to this one sold, null where they are not all there yet.
  soldUntil(i) {
    const { exact, openMs, stepMs, festival } = this.drawing;
    if (openMs === null || festival.start_ms + i * stepMs > openMs || i >= exact.length) return null;
    return exact.slice(0, i + 1).reduce((sum, value) => sum + BigInt(value), 0n);
  }
}

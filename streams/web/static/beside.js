// What stands beside the hero number: how it compares, how far the next milestone is, what it is in other currencies.

import { nextMilestone, versus } from "./compared.js";
import { ratio } from "./exact.js";
import { say } from "./panel.js";

const $ = (id) => document.getElementById(id);
const MOST_CURRENCIES = 3;

// A number in a place that is as wide as it is: the style makes the letters as large as there is room.
export function fit(place, text) {
  say(place, text);
  const width = String(text.length);
  if (place.style.getPropertyValue("--letters") !== width) place.style.setProperty("--letters", width);
}

function fill(id, told) {
  const place = $(id);
  place.hidden = told === null;
  if (told === null) return;
  say(place.querySelector("h2"), told.title);
  fit(place.querySelector(".number"), told.number);
  say(place.querySelector(".small"), told.note);
}

export function showBeside(known) {
  showVersus(known);
  showNext(known);
  showConverted(known);
  $("beside").hidden = [...$("beside").children].every((fact) => fact.hidden);
}

function showVersus({ totals, festival, isEnded, words, numbers }) {
  const told = festival === null ? null : versus(totals, festival, isEnded, words, numbers);
  fill("versus", told && { title: told.against, number: told.number, note: told.note });
  if (!told) return;
  $("versus").dataset.ahead = String(told.isAhead);
  $("versus").title = told.name;
}

function showNext({ totals, words, numbers }) {
  const { currency } = totals.home;
  const next = nextMilestone(totals);
  if (next === null || next.gross === null) {
    fill("next", null);
    return;
  }
  const [minor, before, gross] = [next.minor, next.before, next.gross].map(BigInt);
  // A milestone is passed in a closed second: what is committed may be beyond it already.
  const left = minor > gross ? minor - gross : 0n;
  fill("next", { title: words.toGo(numbers.shortMoney(minor, currency)), number: numbers.shortMoneyUp(left, currency), note: "" });
  const share = Math.min(Math.max(ratio(gross - before, minor - before) || 0, 0), 1);
  $("next").style.setProperty("--share", share.toFixed(4));
}

// The total in the festival's further currencies, each with the rate that it was converted at.
function showConverted({ totals, words, numbers }) {
  const { main } = totals.screen;
  const told = Object.entries(totals.in ?? {}).filter(([, amounts]) => amounts[main] > 0).slice(0, MOST_CURRENCIES);
  const place = $("converted");
  place.hidden = told.length === 0;
  const dates = [...new Set(told.map(([, { date }]) => date))];
  say(place.querySelector("h2"), words.converted(dates.length === 1 ? numbers.dateOf(dates[0]) : ""));
  const list = place.querySelector("dl");
  while (list.children.length > told.length) list.lastChild.remove();
  told.forEach(([currency, amounts], i) => {
    const item = list.children[i] ?? list.appendChild(document.createElement("div"));
    if (item.children.length === 0) item.append(document.createElement("dt"), document.createElement("dd"));
    const [rate, number] = item.children;
    number.className = "number";
    fit(number, (totals.home.missing.length > 0 ? words.atLeast : "") + numbers.shortMoney(amounts[main], currency));
    const at = numbers.signed(numbers.rate(amounts.rate), totals.home.currency);
    say(rate, words.rateOf(at, dates.length === 1 ? "" : numbers.dateOf(amounts.date)));
  });
}

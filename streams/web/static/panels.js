// The panels of the screen, each written from what is known: {totals, alive, festival, isEnded, words, numbers}.

import { fit } from "./beside.js";
import { legend } from "./day.js";
import { implausible, lastName } from "./compared.js";
import { own, ratio } from "./exact.js";
import { say } from "./panel.js";
import { tilesOf } from "./tiles.js";
import { festivalName, labelOf } from "./words.js";

const $ = (id) => document.getElementById(id);
const MOST_MILESTONES = 12; // two rows of a hall's screen
const RANK_ROWS = 10;
const MOST_TOLD = 5; // countries, to who cannot see the map
const COUNTRY = /^[A-Z]{2}$/;
const LAST_MINUTE_MS = 60000;
const PASSED_MILESTONES = 8; // of them, where not all have room

export const isMoney = (totals) => totals.screen.main === "gross" || totals.screen.main === "paid";

export function mainValue(totals) {
  const { main } = totals.screen;
  if (isMoney(totals)) return totals.home[main];
  return main === "boxes" ? totals.recycling.boxes : totals.parcels.shipped;
}

// Whole units that the hero number shows, null where none is known.
export function heroValue(totals, numbers) {
  const value = mainValue(totals);
  if (value === undefined) throw new Error(`the totals have no ${totals.screen.main}`);
  return isMoney(totals) ? numbers.major(value, totals.home.currency) : value;
}

export function countValue(totals) {
  const { count } = totals.screen;
  if (count === "orders") return totals.orders;
  if (count === "captured") return totals.payments.captured;
  return mainValue(totals);
}

export function mainText({ totals, numbers }, style) {
  return isMoney(totals) ? numbers.money(style, mainValue(totals), totals.home.currency) : numbers[style](mainValue(totals));
}

// Give a place as many children as are wanted, each made once.
function filled(place, wanted, make) {
  place.hidden = wanted === 0;
  while (place.children.length > wanted) place.lastChild.remove();
  while (place.children.length < wanted) place.append(make());
  return [...place.children];
}

function made(name, ...parts) {
  const element = document.createElement(name);
  element.append(...parts.map((part) => document.createElement(part)));
  return element;
}

const hasBegun = ({ totals, festival }) => {
  const at = totals.screen.watermark_ms;
  return (at !== null && at >= festival.start_ms) || countValue(totals) > 0;
};

export function showName(known) {
  const { festival, words } = known;
  const name = festivalName(words, festival.name);
  say($("name"), name);
  if ($("name").title !== name) $("name").title = name;
  const title = `${mainText(known, "short")} · ${name}`;
  if (document.title !== title) document.title = title;
}

// The festival's own time.
export function showClock(known) {
  const { totals, festival, isEnded, words, numbers } = known;
  const { start_ms: start, end_ms: end, timezone } = festival;
  const begun = hasBegun(known);
  const told = begun ? Math.min(Math.max(totals.screen.watermark_ms ?? start, start), end - 1) : start;
  const time = isEnded ? words.ended : begun ? numbers.time(told, timezone) : words.notStarted;
  say($("clock"), `${numbers.date(told, timezone)} · ${time}`);
  say($("zone"), timezone.replaceAll("_", " "));
}

export function showHeadline(known) {
  const { totals, alive, festival, words, numbers } = known;
  say($("hero-label"), words.main[totals.screen.main]);
  say($("hero-spoken"), mainText(known, "whole"));
  const missing = isMoney(totals) ? totals.home.missing : [];
  say($("bound"), [missing.length ? words.bound(missing.join(", ")) : "", implausible(totals, words)].filter(Boolean).join(" · "));
  const toGo = festival === null || alive === null || hasBegun(known) ? 0 : festival.start_ms - alive.now_ms;
  showCountdown(toGo, words, numbers);
  showVerdict(known);
}

// Before it begins the time that is left is what people came to see.
function showCountdown(toGo, words, numbers) {
  const left = toGo > 0 ? numbers.duration(toGo) : "";
  const [before, after] = toGo > 0 ? words.beginsIn("\n").split("\n") : ["", ""];
  const pieces = filled($("countdown"), 3, () => document.createElement("span"));
  [before, left, after].forEach((text, i) => say(pieces[i], text));
  $("countdown").hidden = toGo <= 0;
  const phase = toGo <= 0 ? "" : toGo <= LAST_MINUTE_MS ? "last" : "before";
  if ($("headline").dataset.phase !== phase) $("headline").dataset.phase = phase;
}

// What the audit wrote down. It seals the end where it was of this very state; before, and of an earlier one, it is said
// beside the state of the numbers.
function showVerdict({ totals, festival, isEnded, words, numbers }) {
  const { audit } = totals;
  const isSealed = Boolean(audit && isEnded && audit.exact && audit.is_of_this_state);
  let told = "";
  if (audit && festival !== null) {
    if (!audit.exact) told = words.recountDiffers(audit.differences);
    else if (audit.is_of_this_state) told = words.recounted;
    else told = words.recountedBefore(numbers.momentOf(audit.audited_ms, festival.timezone));
  }
  say($("seal"), isSealed ? `${words.final}: ${told}` : "");
  say($("audit"), isSealed ? "" : told);
  $("audit").className = audit && !audit.exact ? "mind" : "";
  if (document.body.dataset.sealed !== String(isSealed)) document.body.dataset.sealed = String(isSealed);
}

// How fast it goes. A day that is over has no pace.
export function showPace({ totals, festival, isEnded, words, numbers }) {
  const { count, peak, rate_per_second: rate } = totals.screen;
  say($("count-label"), words.count[count]);
  say($("rate-label"), words.rate[count]);
  fit($("count"), numbers.whole(countValue(totals)));
  fit($("peak"), peak.count ? numbers.whole(peak.count) : "–");
  say($("peak-time"), peak.start_ms === null || festival === null ? "" : numbers.timeOfDay(peak.start_ms, festival));
  fit($("rate"), isEnded || !(rate > 0) ? numbers.whole(0) : rate >= 100 ? numbers.whole(rate) : numbers.decimal(rate));
}

// Where there are too many milestones, those around the next one.
function milestonesShown({ screen, counted }) {
  if (counted === false) return { milestones: [], first: 0 };
  const next = screen.milestones.findIndex((milestone) => milestone.time_ms === null);
  const from = Math.min((next < 0 ? screen.milestones.length : next) - PASSED_MILESTONES, screen.milestones.length - MOST_MILESTONES);
  const first = Math.max(0, from);
  return { milestones: screen.milestones.slice(first, first + MOST_MILESTONES), first };
}

export function showMilestones({ totals, festival, words, numbers }) {
  const { milestones, first } = milestonesShown(totals);
  const items = filled($("milestones"), milestones.length, () => made("li", "b", "span"));
  milestones.forEach(({ minor, time_ms: at }, i) => {
    const isReached = at !== null;
    const name = isReached ? "is-reached" : "";
    if (items[i].className !== name) items[i].className = name;
    say(items[i].children[0], numbers.shortMoney(minor, totals.home.currency));
    say(items[i].children[1], isReached ? numbers.timeOfDay(at, festival) : words.notYet);
    // The next one fills from the one before.
    const before = totals.screen.milestones[first + i - 1] ?? { minor: 0, time_ms: 0 };
    const isNext = !isReached && before.time_ms !== null;
    const share = isNext ? ratio(BigInt(totals.home.gross) - BigInt(before.minor), BigInt(minor) - BigInt(before.minor)) : 0;
    items[i].style.setProperty("--share", Math.min(Math.max(share || 0, 0), 1).toFixed(3));
  });
}

export function showTiles({ totals, festival, words, numbers }) {
  const tiles = tilesOf(totals, festival, words, numbers);
  const places = filled($("tiles"), tiles.length, () => made("div", "dt", "dd", "dd"));
  tiles.forEach(([name, value, note], i) => {
    const [title, number, small] = places[i].children;
    say(title, name);
    say(number, value);
    say(small, note);
    number.className = "number";
    small.className = "small";
    small.hidden = note === "";
  });
}

export function showFoot({ totals, words, numbers }) {
  say($("records"), words.records(numbers.whole(totals.duplicates), numbers.whole(totals.rejected), numbers.whole(totals.late)));
  say($("ledger"), words.ledger(totals.ledger));
  $("document").href = `api/totals?festival=${encodeURIComponent(totals.festival)}`;
}

function rankRows(rows, dimension, { totals, words, numbers }) {
  const most = rows.reduce((best, row) => Math.max(best, Number(row.minor ?? row.count)), 1);
  const { currency } = totals.home;
  return rows.map((row) => ({
    key: row.name,
    text: labelOf(words, dimension, row.name),
    value: (row.at_least ? words.atLeast : "") + (row.minor === null ? numbers.short(row.count) : numbers.shortMoney(row.minor, currency)),
    share: Number(row.minor ?? row.count) / most,
  }));
}

// What a shop calls a dimension of its own: in this language, else in English, else as its field is called.
function declaredName({ totals, words }, dimension) {
  const names = own(totals.screen.names ?? {}, dimension) ?? {};
  return own(names, words.locale.slice(0, 2)) ?? own(names, "en") ?? dimension;
}

export function showRanks(panels, ranks, known, isCalm) {
  const isCounted = known.totals.counted !== false;
  const ranked = Object.entries(isCounted ? ranks : {}).filter(([dimension]) => dimension !== "origin"); // on the map
  const wanted = ranked.map(([dimension, rows]) => ({
    key: dimension,
    title: own(known.words.dimension, dimension) ?? declaredName(known, dimension),
    rows: () => rankRows(rows.slice(0, RANK_ROWS), dimension, known),
  }));
  panels.show(wanted, known.words.broken, isCalm);
}

// The map, where the festival's markets are told; what has no place on it is named beside it.
export function showWorld(world, ranks, known) {
  const { totals, words, numbers } = known;
  const { currency } = totals.home;
  const isShown = totals.counted !== false && (ranks.market ?? []).some(({ name }) => COUNTRY.test(name));
  $("world-figure").hidden = !isShown;
  if (!isShown) return;
  const told = (row) => ({
    code: row.name,
    amount: Number(row.minor ?? row.count),
    label: labelOf(words, "market", row.name),
    text: (row.at_least ? words.atLeast : "") + (row.minor === null ? numbers.short(row.count) : numbers.shortMoney(row.minor, currency)),
  });
  const [markets, origins] = [ranks.market ?? [], ranks.origin ?? []].map((rows) => rows.map(told));
  const list = (rows) => rows.slice(0, MOST_TOLD).map(({ label }) => label).join(words.comma);
  const title = `${words.world}. ${words.byMarket} ${list(markets)}. ${origins.length > 0 ? `${words.byOrigin} ${list(origins)}.` : ""}`;
  const elsewhere = world.draw({ markets, origins, title });
  legend($("world-note"), [
    ["market", words.byMarket],
    ["origin", origins.length > 0 ? `${words.byOrigin} ${list(origins)}` : ""],
    ["", elsewhere.slice(0, 1).map(({ label, text }) => words.elsewhere(label, text)).join("")],
  ]);
}

// [time, name, amount]: what a value gained from one message to the next.
export function newsText(dimension, gain, { totals, festival, words, numbers }) {
  const { watermark_ms: at } = totals.screen;
  const amount = gain.minor === null ? numbers.short(gain.count) : numbers.fineMoney(gain.minor, totals.home.currency);
  return [at === null ? "" : numbers.time(at, festival.timezone), labelOf(words, dimension, gain.name), `+${amount}`];
}

// What is said of a moment of the night, as `moments.js` finds it.
export function momentText({ name, minor, at }, { totals, festival, words, numbers }) {
  if (name === "begun") return words.begun(words.count[totals.screen.count], numbers.whole(countValue(totals)));
  const time = numbers.timeOfDay(at, festival);
  return name === "passed" ? words.passed(lastName(festival, words), time)
    : words.milestonePassed(numbers.shortMoney(minor, totals.home.currency), time);
}

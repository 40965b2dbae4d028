// The big screen: puts together what the stream tells, what language it is wanted in, and whether it may be believed.

import { ageMs, isBehind, isOver, verdict } from "./belief.js";
import { implausible, versus } from "./compared.js";
import { DayCharts } from "./day.js";
import { Hero } from "./hero.js";
import { Live } from "./live.js";
import { Numbers } from "./numbers.js";
import { Ranks, say } from "./ranks.js";
import { tilesOf } from "./tiles.js";
import { labelOf, WORDS } from "./words.js";

const FESTIVALS_MS = 30000;
const BEGUN_MS = 2000;
const ANNOUNCE_MS = 20000;
const CHART_MS = 400;
const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function remembered() {
  try { return localStorage.getItem("language"); } catch { return null; }
}

let language = query.get("lang") || remembered() || (navigator.language.startsWith("zh") ? "zh" : "en");
if (!(language in WORDS)) language = "en";
let words = WORDS[language];
let numbers = new Numbers(words.locale);

let festivals = [];
let askedAt = 0; // for the festivals
let usual = null; // the festival that the server shows by itself
let chosen = query.get("festival");
let totals = null;
let curve = null;
let ranks = null;
let alive = null;
let heardAt = 0;
let isCatchingUp = false;
let isEnded = false;
let drawnAt = 0;
let isDrawingDue = false;
let heroShape = "";

const hero = new Hero(paintHero);
const charts = new DayCharts($);
const panels = new Ranks($("ranks"));
const live = new Live(hear, showState);

const festivalOf = (id) => festivals.find((festival) => festival.id === id) || null;
const shownFestival = () => (totals === null ? festivalOf(chosen ?? usual) : festivalOf(totals.festival));

// A festival's name in words; a scale behind it ("…, 1 : 50,000") stays.
function nameOf(festival) {
  const [, name, scale] = /^(.*?)(, 1 : [\d,]+)?$/.exec(festival.name);
  return (words.festivals[name] || name) + (scale ?? "").replace(", ", words.comma);
}

const isMoney = () => totals.screen.main === "gross" || totals.screen.main === "paid";
const currencyOf = () => totals.home.currency;

function mainValue() {
  const { main } = totals.screen;
  if (isMoney()) return totals.home[main];
  return main === "boxes" ? totals.recycling.boxes : totals.parcels.shipped;
}

function countValue() {
  const { count } = totals.screen;
  if (count === "orders") return totals.orders;
  if (count === "captured") return totals.payments.captured;
  return mainValue();
}

const mainText = (value, style) => (isMoney() ? numbers[`${style}Money`](value, currencyOf()) : numbers[style](value));

// -- what comes in -------------------------------------------------------------------------------------------------

function hear(name, document) {
  if (name === "alive") {
    alive = document;
    heardAt = performance.now();
    tellTime();
  } else if (name === "totals") {
    takeTotals(document);
  } else if (name === "curve") {
    takeCurve(document);
  } else if (name === "ranks") {
    ranks = document;
    showRanks();
  }
  showState();
}

function takeTotals(next) {
  isCatchingUp = isBehind(next, totals);
  if (isCatchingUp || (totals !== null && alive !== null && !alive.loaded)) return;
  const isNew = totals === null || totals.festival !== next.festival || totals.ledger !== next.ledger;
  totals = next;
  numbers.home = currencyOf();
  if (festivalOf(totals.festival) === null) void loadFestivals();
  const value = isMoney() ? numbers.major(mainValue(), currencyOf()) : mainValue();
  if (isNew) hero.set(value); else hero.rise(value);
  showTotals();
  if (isNew) showRanks();
  drawSoon();
}

// Only time tells how long a day is to come, and that it is over; no total does.
function tellTime() {
  const festival = totals === null ? null : shownFestival();
  if (festival === null) return;
  // Nobody has chosen this one: another may have begun.
  if (chosen === null && countValue() === 0 && performance.now() - askedAt > BEGUN_MS) void loadFestivals();
  const wasEnded = isEnded;
  showPace(festival);
  if (isEnded !== wasEnded) drawSoon();
}

function takeCurve(part) {
  if (part.from === 0 || curve === null) {
    curve = part;
  } else {
    curve.watermark_ms = part.watermark_ms;
    for (const name of ["values", "counts"]) curve[name].splice(part.from, part[name].length, ...part[name]);
  }
  drawSoon();
}

async function loadFestivals() {
  askedAt = performance.now();
  try {
    const answer = await fetch("api/festivals");
    if (!answer.ok) return;
    const known = await answer.json();
    festivals = known.festivals;
    usual = known.shown;
    if (chosen === null && totals !== null && totals.festival !== usual) openStream();
    showFestivals();
    if (totals !== null) showTotals();
    drawSoon();
  } catch {
    // asked again in a while; the state of the connection is told by the stream
  }
}

// -- what is shown -------------------------------------------------------------------------------------------------

function paintHero(value) {
  const parts = numbers.heroParts(value);
  const sign = totals !== null && isMoney() ? numbers.sign(currencyOf()) : "";
  const bound = totals !== null && totals.home.missing.length > 0 && isMoney() ? "≥" : "";
  say($("compact"), value >= words.sayFrom ? sign + numbers.long(value) : "");
  const shape = language + bound + sign + parts.map(([text]) => text.length).join(",");
  const pieces = [[bound, true], [sign, true], ...parts].filter(([text]) => text !== "");
  const place = $("hero");
  while (place.children.length > pieces.length) place.lastChild.remove();
  if (place.children.length === 0) place.replaceChildren();
  pieces.forEach(([text, isUnit], i) => {
    const piece = place.children[i] || place.appendChild(document.createElement("span"));
    say(piece, text);
    const wanted = isUnit ? "unit" : "";
    if (piece.className !== wanted) piece.className = wanted;
  });
  if (shape === heroShape) return;
  // How wide it is in this machine's letters, so that the style can make it as large as there is room.
  heroShape = shape;
  const width = place.scrollWidth / parseFloat(getComputedStyle(place).fontSize);
  place.style.setProperty("--width", Math.max(width * 1.01, 4).toFixed(3));
}

function showTotals() {
  const { screen } = totals;
  const festival = shownFestival();
  say($("hero-label"), words.main[screen.main]);
  say($("count-label"), words.count[screen.count]);
  say($("rate-label"), words.rate[screen.count]);
  say($("hero-spoken"), mainText(mainValue(), "whole"));
  const missing = isMoney() ? totals.home.missing : [];
  say($("bound"), [missing.length ? words.bound(missing.join(", ")) : "", implausible(totals, words)].filter(Boolean).join(" · "));
  say($("count"), numbers.whole(countValue()));
  say($("peak"), screen.peak.count ? numbers.whole(screen.peak.count) : "–");
  say($("records"), words.records(numbers.whole(totals.duplicates), numbers.whole(totals.rejected), numbers.whole(totals.late)));
  say($("ledger"), words.ledger(totals.ledger));
  $("document").href = `api/totals?festival=${encodeURIComponent(totals.festival)}`;
  if (festival === null) return;
  say($("name"), nameOf(festival));
  say($("peak-time"), screen.peak.start_ms === null ? "" : numbers.time(screen.peak.start_ms, festival.timezone));
  const title = `${mainText(mainValue(), "short")} · ${nameOf(festival)}`;
  if (document.title !== title) document.title = title;
  showPace(festival);
  showMilestones(festival);
  showTiles(festival);
}

// The festival's own time, and how fast it goes. A day that is over has no pace.
function showPace(festival) {
  const { watermark_ms: at, rate_per_second: rate } = totals.screen;
  const { start_ms: start, end_ms: end, timezone } = festival;
  const hasBegun = (at !== null && at >= start) || countValue() > 0;
  isEnded = isOver(totals, alive, festival);
  const told = hasBegun ? Math.min(Math.max(at, start), end - 1) : start;
  const time = isEnded ? words.ended : hasBegun ? numbers.time(told, timezone) : words.notStarted;
  say($("clock"), `${numbers.date(told, timezone)} · ${time}`);
  say($("zone"), timezone.replace("_", " "));
  const toGo = alive === null || hasBegun ? 0 : start - alive.now_ms;
  say($("countdown"), toGo > 0 ? words.beginsIn(numbers.duration(toGo)) : "");
  say($("versus"), versus(totals, festival, isEnded, words, numbers));
  say($("rate"), isEnded || rate === 0 ? numbers.whole(0) : rate >= 100 ? numbers.whole(rate) : numbers.decimal(rate));
}

function showMilestones(festival) {
  const place = $("milestones");
  const { milestones } = totals.screen;
  place.hidden = milestones.length === 0;
  while (place.children.length > milestones.length) place.lastChild.remove();
  milestones.forEach((milestone, i) => {
    const item = place.children[i] || place.appendChild(document.createElement("li"));
    if (item.children.length === 0) item.append(document.createElement("b"), document.createElement("span"));
    const isReached = milestone.time_ms !== null;
    if (item.className !== (isReached ? "is-reached" : "")) item.className = isReached ? "is-reached" : "";
    say(item.children[0], numbers.shortMoney(milestone.minor, currencyOf()));
    say(item.children[1], isReached ? numbers.timeOfDay(milestone.time_ms, festival) : words.notYet);
    // The next one fills from the one before.
    const before = i > 0 ? milestones[i - 1].minor : 0;
    const isNext = !isReached && (i === 0 || milestones[i - 1].time_ms !== null);
    const share = isNext ? (Number(totals.home.gross) - before) / (milestone.minor - before) : 0;
    item.style.setProperty("--share", Math.min(Math.max(share, 0), 1).toFixed(3));
  });
}

function showTiles(festival) {
  const tiles = tilesOf(totals, festival, words, numbers);
  const place = $("tiles");
  place.hidden = tiles.length === 0;
  while (place.children.length > tiles.length) place.lastChild.remove();
  tiles.forEach(([name, value, note], i) => {
    const tile = place.children[i] || place.appendChild(document.createElement("div"));
    if (tile.children.length === 0) tile.append(...["dt", "dd", "dd"].map((tag) => document.createElement(tag)));
    [name, value, note].forEach((text, part) => say(tile.children[part], text));
    tile.children[1].className = "number";
    tile.children[2].className = "small";
    tile.children[2].hidden = note === "";
  });
}

function showRanks() {
  if (totals === null || ranks === null) return;
  const currency = currencyOf();
  const known = Object.entries(ranks).map(([dimension, rows]) => {
    const sized = rows.map((row) => Number(row.minor ?? row.count));
    const most = Math.max(...sized, 1);
    return {
      key: dimension,
      title: words.dimension[dimension] || dimension,
      rows: rows.map((row, i) => ({
        key: row.name,
        text: labelOf(words, dimension, row.name),
        value: (row.at_least ? words.atLeast : "") + (row.minor === null ? numbers.short(row.count) : numbers.shortMoney(row.minor, currency)),
        share: sized[i] / most,
      })),
    };
  });
  panels.show(known.filter((panel) => panel.rows.length > 0), calm.matches);
}

function showState() {
  const now = performance.now();
  const known = { totals, alive, heardAt, lostAt: live.lostAt, isCatchingUp, now };
  const { state, text } = verdict(known, words, (value) => numbers.whole(value));
  if (document.body.dataset.state !== state) document.body.dataset.state = state;
  // The seconds in the sentence run on, but only another sentence is news to who listens.
  const place = $("state").firstElementChild;
  say(place, text);
  if (totals === null) return;
  const age = ageMs(alive, heardAt, now);
  say($("fresh"), age === null || totals.committed_ms === null ? words.freshUnknown : words.fresh(words.seconds(numbers.decimal(age / 1000))));
  const { committed, all } = totals.screen.partitions;
  say($("partitions"), all === 0 ? "" : words.partitions(numbers.whole(committed), numbers.whole(all)));
  say($("lag"), totals.lag_records === null ? "" : words.lag(totals.lag_records && numbers.whole(totals.lag_records)));
}

// -- the charts ----------------------------------------------------------------------------------------------------

function drawSoon() {
  if (isDrawingDue) return;
  isDrawingDue = true;
  setTimeout(() => {
    isDrawingDue = false;
    drawnAt = performance.now();
    draw();
  }, Math.max(0, CHART_MS - (performance.now() - drawnAt)));
}

function draw() {
  const festival = shownFestival();
  if (totals === null || curve === null || festival === null || document.hidden) return;
  charts.draw(totals, curve, festival, isEnded, words, numbers);
}

// -- festival and language -----------------------------------------------------------------------------------------

function showFestivals() {
  const options = festivals.map((festival) => {
    const option = document.createElement("option");
    option.value = festival.id;
    option.textContent = nameOf(festival);
    return option;
  });
  $("festivals").replaceChildren(...options);
  const id = totals === null ? chosen ?? usual : totals.festival;
  if (id !== null) $("festivals").value = id;
}

function showLanguage() {
  document.documentElement.lang = words.locale;
  $("languages").setAttribute("aria-label", words.language);
  for (const button of $("languages").children) button.setAttribute("aria-pressed", String(button.value === language));
  for (const place of document.querySelectorAll("[data-word]")) say(place, words[place.dataset.word]);
  for (const place of document.querySelectorAll("[data-word-label]")) place.setAttribute("aria-label", words[place.dataset.wordLabel]);
  showFestivals();
  if (totals !== null) {
    if (hero.shown !== null) paintHero(hero.shown);
    showTotals();
    showRanks();
  }
  showState();
  drawSoon();
}

function remember() {
  const wanted = new URLSearchParams(location.search);
  wanted.set("lang", language);
  if (chosen !== null) wanted.set("festival", chosen);
  history.replaceState(null, "", `?${wanted}`);
  try { localStorage.setItem("language", language); } catch { /* a private window forgets */ }
}

function openStream() {
  totals = null;
  curve = null;
  ranks = null;
  isCatchingUp = false;
  live.open(`api/stream${chosen === null ? "" : `?festival=${encodeURIComponent(chosen)}`}`);
}

function announce() {
  if (totals === null || document.body.dataset.state !== "live") return;
  const { main, count } = totals.screen;
  say($("announced"), words.announced(words.main[main], mainText(mainValue(), "long"), words.count[count], numbers.long(countValue())));
}

$("festivals").addEventListener("change", (event) => {
  chosen = event.target.value;
  remember();
  openStream();
  showState();
});
$("languages").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button === null) return;
  language = button.value;
  words = WORDS[language];
  numbers = new Numbers(words.locale);
  numbers.home = totals === null ? null : currencyOf();
  remember();
  showLanguage();
});
document.addEventListener("visibilitychange", drawSoon);

showLanguage();
void loadFestivals();
openStream();
setInterval(showState, 200);
setInterval(announce, ANNOUNCE_MS);
setInterval(() => void loadFestivals(), FESTIVALS_MS);

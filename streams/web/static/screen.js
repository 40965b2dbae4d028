// The big screen: puts together what the stream tells, what language it is wanted in, and whether it may be believed.

import { ageMs, isBehind, isOver, verdict } from "./belief.js";
import { showBeside } from "./beside.js";
import { DayCharts } from "./day.js";
import { own, parse } from "./exact.js";
import { Hall, keepInAddress } from "./hall.js";
import { Hero } from "./hero.js";
import { Moments } from "./moments.js";
import { News } from "./news.js";
import { Numbers } from "./numbers.js";
import { attempt, say } from "./panel.js";
import * as panels from "./panels.js";
import { Ranks } from "./ranks.js";
import { Wire } from "./wire.js";
import { festivalName, WORDS } from "./words.js";
import { WorldMap } from "./world.js";

const FESTIVALS_MS = 30000;
const BEGUN_MS = 2000;
const ANNOUNCE_MS = 20000;
const CHART_MS = 400;
const $ = (id) => document.getElementById(id);
const part = (name) => document.querySelector(name);
const query = new URLSearchParams(location.search);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// The address says it, else the browser does (Accept-Language): the server has put it into the page.
let language = query.get("lang") ?? document.documentElement.lang;
if (own(WORDS, language) === undefined) language = "en";
let words = WORDS[language];
let numbers = new Numbers(words.locale);

const NOTHING = { totals: null, curve: null, ranks: null };
let festivals = [];
let askedAt = 0; // for the festivals
let usual = null; // the festival that the server shows by itself
let chosen = query.get("festival");
let heard = { ...NOTHING }; // the newest that the server sent
let { totals, curve, ranks } = NOTHING; // what is shown of it
let alive = null;
let heardAt = 0;
let link = { lostAt: null, refusal: null };
let unreadable = new Set();
let isFailing = false; // what was heard cannot be shown
let isCatchingUp = false;
let isEnded = false;
let drawnAt = 0;
let isDrawingDue = false;
let heroShape = "";

const hero = new Hero((value) => attempt($("hero"), words.broken, () => paintHero(value)));
const charts = new DayCharts($);
const ranked = new Ranks($("ranks"));
const world = new WorldMap($("world"));
const news = new News($("news"), $("just-now"));
const moments = new Moments($("moment"), (moment) => (shownFestival() === null ? "" : panels.momentText(moment, known())));
const hall = new Hall($("scenes"), $("hall"), hasScene, () => {
  if (totals !== null) hero.paint(hero.shown);
  showRanks();
  drawSoon();
});
const wire = new Wire(take, () => totals !== null);

const festivalOf = (id) => festivals.find((festival) => festival.id === id) || null;
const shownFestival = () => festivalOf(totals === null ? chosen ?? usual : totals.festival);
const known = () => ({ totals, alive, festival: shownFestival(), isEnded, words, numbers });
const show = (place, draw) => attempt(place, words.broken, draw);

// -- what comes in -------------------------------------------------------------------------------------------------

function take({ name, document: told, ageMs: age, lostMs, refusal }) {
  if (name === "link") {
    link = { lostAt: lostMs === null ? null : performance.now() - lostMs, refusal };
    showState();
  } else {
    hear(name, told, age);
  }
}

// `document` is null where it could not be read.
export function hear(name, document, age = 0) {
  if (document === null) {
    unreadable.add(name);
  } else {
    unreadable.delete(name);
    if (name === "alive") {
      alive = document;
      heardAt = performance.now() - age;
    } else {
      heard[name] = document;
    }
    accept(name);
  }
  showState();
}

// Show what was heard, unless the server is still reading: what it knows then is less than what was shown.
function accept(name) {
  try {
    isFailing = false;
    isCatchingUp = isBehind(heard.totals, totals);
    if (isCatchingUp || (alive !== null && !alive.loaded)) return;
    if (heard.totals !== totals) takeTotals(heard.totals);
    if (heard.curve !== curve) drawSoon();
    const isRanked = heard.ranks !== ranks;
    ({ curve, ranks } = heard);
    if (isRanked) takeRanks();
    if (name === "alive") tellTime();
  } catch (error) {
    isFailing = true;
    console.error(error);
  }
}

function takeTotals(next) {
  const isNew = totals === null || ["festival", "ledger", "counted"].some((key) => totals[key] !== next[key]);
  totals = next;
  numbers.readAs(totals);
  if (festivalOf(totals.festival) === null) void loadFestivals();
  let value;
  show($("hero"), () => { value = panels.heroValue(totals, numbers); });
  if (value === undefined) hero.stop();
  else if (isNew) hero.set(value);
  else hero.rise(value);
  showTotals();
  if (isNew) {
    moments.forget();
    news.forget();
  }
  show($("moment"), () => moments.take(totals, panels.countValue));
  if (isNew || part("#ranks[data-broken], #ranks [data-broken]") !== null) takeRanks();
  drawSoon();
}

function takeRanks() {
  showRanks();
  if (totals === null || ranks === null || shownFestival() === null) return;
  show($("news"), () => {
    const gained = news.take(ranks, (dimension, gain) => panels.newsText(dimension, gain, known()));
    if (!calm.matches) world.ripple(gained.map(({ name }) => name));
  });
}

// Only time tells how long a day is to come, and that it is over; no total does.
function tellTime() {
  if (totals === null || shownFestival() === null) return;
  // Nobody has chosen this one: another may have begun.
  if (chosen === null && !(panels.countValue(totals) > 0) && performance.now() - askedAt > BEGUN_MS) void loadFestivals();
  const wasEnded = isEnded;
  showTime();
  if (isEnded !== wasEnded) drawSoon();
}

export async function loadFestivals() {
  askedAt = performance.now();
  try {
    const answer = await fetch("api/festivals");
    if (!answer.ok) return;
    const told = parse(await answer.text());
    festivals = told.festivals;
    usual = told.shown;
    if (chosen === null && totals !== null && totals.festival !== usual) openStream();
    showFestivals();
    if (totals !== null) {
      showTotals();
      takeRanks();
    }
    drawSoon();
  } catch {
    // asked again in a while; the state of the connection is told by the stream
  }
}

// -- what is shown -------------------------------------------------------------------------------------------------

function paintHero(value) {
  const isMoney = totals !== null && panels.isMoney(totals);
  const parts = numbers.heroParts(value);
  const sign = isMoney && value !== null ? numbers.sign(totals.home.currency) : "";
  const [before, behind] = numbers.isSignBehind ? ["", sign.trim()] : [sign, ""];
  const bound = isMoney && totals.home.missing.length > 0 ? "≥" : "";
  say($("compact"), value >= words.sayFrom ? numbers.inWords(value, isMoney ? totals.home.currency : null) : "");
  const shape = language + document.body.dataset.hall + bound + sign + parts.map(([text]) => text.length).join(",");
  const pieces = [[bound, true], [before, true], ...parts, [behind, true]].filter(([text]) => text !== "");
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
  showTime();
  show(part(".foot"), () => panels.showFoot(known()));
  if (shownFestival() === null) return;
  show($("milestones"), () => panels.showMilestones(known()));
  show($("tiles"), () => panels.showTiles(known()));
}

function showTime() {
  const festival = shownFestival();
  isEnded = festival !== null && totals.counted !== false && isOver(totals, alive, festival);
  if (festival !== null) {
    show($("name"), () => panels.showName(known()));
    show(part(".clock"), () => panels.showClock(known()));
  }
  show($("headline"), () => panels.showHeadline(known()));
  show($("beside"), () => showBeside(known()));
  show(part(".pace"), () => panels.showPace(known()));
}

// Which scenes of the hall there is anything to see of.
function hasScene(scene) {
  if (scene === "world") return !$("world-figure").hidden;
  if (scene === "ranks") return part("#ranks > :not([hidden])") !== null;
  return scene !== "figures" || $("tiles").children.length > 0;
}

function showRanks() {
  if (totals === null || ranks === null) return;
  show($("ranks"), () => panels.showRanks(ranked, ranks, known(), calm.matches));
  show($("world-figure"), () => panels.showWorld(world, ranks, known()));
  hall.show();
}

function showState() {
  show(part(".honest"), () => {
    const now = performance.now();
    const belief = { totals, alive, heardAt, ...link, isUnreadable: isFailing || unreadable.size > 0, isCatchingUp, now };
    const { state, text } = verdict(belief, words, (value) => numbers.whole(value));
    if (document.body.dataset.state !== state) document.body.dataset.state = state;
    // The seconds in the sentence run on, but only another sentence is news to who listens.
    say($("state").firstElementChild, text);
    if (totals !== null) showAge(now);
  });
  // What cannot even be judged is not believed.
  if (part(".honest").dataset.broken !== undefined) document.body.dataset.state = "doubtful";
}

function showAge(now) {
  const age = ageMs(alive, heardAt, now);
  say($("fresh"), totals.sealed ? "" : age === null || totals.committed_ms === null ? words.freshUnknown : words.fresh(words.seconds(numbers.decimal(age / 1000))));
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

export function draw() {
  const festival = shownFestival();
  if (totals === null || curve === null || festival === null || document.hidden) return;
  const given = [totals, curve, festival, isEnded, words, numbers];
  show($("minutes-figure"), () => charts.drawMinutes(...given));
  show($("running-figure"), () => charts.drawRunning(...given));
  show($("difference-figure"), () => charts.drawDifference(...given));
}

// -- festival and language -----------------------------------------------------------------------------------------

function showFestivals() {
  const id = totals === null ? chosen ?? usual : totals.festival;
  const options = festivals.filter((festival) => !festival.retired || festival.id === id).map((festival) => {
    const option = document.createElement("option");
    option.value = festival.id;
    option.textContent = festivalName(words, festival.name);
    return option;
  });
  $("festivals").replaceChildren(...options);
  if (id !== null) $("festivals").value = id;
}

function showLanguage() {
  document.documentElement.lang = words.locale;
  $("languages").setAttribute("aria-label", words.language);
  for (const button of $("languages").children) button.setAttribute("aria-pressed", String(button.value === language));
  for (const place of document.querySelectorAll("[data-word]")) say(place, words[place.dataset.word]);
  for (const place of document.querySelectorAll("[data-word-label]")) place.setAttribute("aria-label", words[place.dataset.wordLabel]);
  hall.show(words);
  showFestivals();
  if (totals !== null) {
    hero.paint(hero.shown);
    showTotals();
    showRanks();
  }
  showState();
  drawSoon();
}

function openStream() {
  heard = { ...NOTHING };
  ({ totals, curve, ranks } = NOTHING);
  unreadable = new Set();
  isFailing = false;
  isCatchingUp = false;
  const wanted = chosen ?? usual;
  wire.open(`api/stream${wanted === null ? "" : `?festival=${encodeURIComponent(wanted)}`}`);
}

// Hear nothing from the server any more.
export const leaveStream = () => wire.close();

function announce() {
  if (totals === null || document.body.dataset.state !== "live") return;
  const { main, count } = totals.screen;
  const value = panels.mainText(known(), "long");
  say($("announced"), words.announced(words.main[main], value, words.count[count], numbers.long(panels.countValue(totals))));
}

$("festivals").addEventListener("change", (event) => {
  chosen = event.target.value;
  keepInAddress({ lang: language, festival: chosen });
  openStream();
  showState();
});
$("languages").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button === null) return;
  language = button.value;
  words = WORDS[language];
  numbers = new Numbers(words.locale);
  if (totals !== null) numbers.readAs(totals);
  news.clear();
  keepInAddress({ lang: language, festival: chosen });
  showLanguage();
});
document.addEventListener("visibilitychange", drawSoon);

showLanguage();
hall.begin(query.get("hall"));
void loadFestivals();
openStream();
setInterval(showState, 200);
setInterval(announce, ANNOUNCE_MS);
setInterval(() => { if (!document.hidden) void loadFestivals(); }, FESTIVALS_MS);

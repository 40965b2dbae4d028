// Numbers as each language groups them. Whatever is rounded is rounded down: nothing shows more than was committed.
//
// An integer is a Number or, beyond 2^53, a BigInt; null is one that is not known. Money is in minor units.

import { hasDays } from "./axis.js";
import { own } from "./exact.js";

const EXACT_BELOW = 10000;
const UNKNOWN = "–";
const TOGETHER = "\u00a0"; // an amount and its unit stay on one line

export class Numbers {
  constructor(locale) {
    this.locale = locale;
    this.isChinese = locale.startsWith("zh");
    const written = new Intl.NumberFormat(locale, { style: "currency", currency: "EUR" }).formatToParts(1);
    this.isSignBehind = written[0].type !== "currency"; // 1 €, not €1
    this.known = new Map();
    this.home = null;
    this.exponents = null;
  }

  // Read amounts as this totals document has them.
  readAs(totals) {
    this.home = totals.home.currency;
    this.exponents = totals.exponents;
  }

  format(value, options) {
    if (value === null || value === undefined) return UNKNOWN;
    const key = JSON.stringify(options);
    if (!this.known.has(key)) this.known.set(key, new Intl.NumberFormat(this.locale, { roundingMode: "floor", ...options }));
    return this.known.get(key).format(value);
  }

  whole(value) {
    return this.format(value, { maximumFractionDigits: 0 });
  }

  short(value, roundingMode = "floor") {
    if (value < EXACT_BELOW && value > -EXACT_BELOW) return this.format(value, { maximumSignificantDigits: 4, roundingMode });
    return this.format(value, { notation: "compact", compactDisplay: "short", maximumSignificantDigits: 4, roundingMode }).replace(" ", TOGETHER);
  }

  long(value) {
    return this.format(value, { notation: "compact", compactDisplay: "long", maximumSignificantDigits: 4 }).replace(" ", TOGETHER);
  }

  // A figure of many digits, said: 268.4 billion; `currency` is the festival's own, or null.
  inWords(value, currency) {
    return currency === null ? this.long(value) : this.signed(this.long(value), currency);
  }

  decimal(value, digits = 1) {
    return this.format(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  // Digits of the minor unit, by the document: what browsers say are the digits that people write.
  digitsOf(currency) {
    const digits = own(this.exponents, currency);
    if (!Number.isInteger(digits)) throw new Error(`the document has no exponent of ${currency}`);
    return digits;
  }

  // Whole major units, down.
  major(minor, currency) {
    if (minor === null || minor === undefined) return null;
    const [amount, scale] = [BigInt(minor), 10n ** BigInt(this.digitsOf(currency))];
    return amount / scale - (amount < 0n && amount % scale !== 0n ? 1n : 0n);
  }

  // A short sign for the festival's own currency; others by their code, since many share a sign.
  sign(currency) {
    if (currency !== this.home) return currency + TOGETHER;
    const named = new Intl.NumberFormat(this.locale, { style: "currency", currency, currencyDisplay: "narrowSymbol" });
    const sign = named.formatToParts(0).find((part) => part.type === "currency").value;
    return /\p{L}\.?$/u.test(sign) ? sign + TOGETHER : sign;
  }

  // An amount as it is written, with the sign of its currency where the language puts it.
  signed(amount, currency) {
    const sign = this.sign(currency);
    if (amount === UNKNOWN) return amount;
    if (this.isSignBehind) return `${amount}${TOGETHER}${sign.replace(TOGETHER, "")}`;
    return amount.startsWith("-") ? `-${sign}${amount.slice(1)}` : sign + amount;
  }

  money(style, minor, currency) {
    return this.signed(this[style](this.major(minor, currency)), currency);
  }

  // What is missing is rounded up: nothing seems nearer than it is.
  shortMoneyUp(minor, currency) {
    const isWhole = BigInt(minor) % (10n ** BigInt(this.digitsOf(currency))) === 0n;
    return this.signed(this.short(this.major(minor, currency) + (isWhole ? 0n : 1n), "ceil"), currency);
  }

  // A small amount to its last minor unit, a larger one in short.
  fineMoney(minor, currency) {
    const [digits, major] = [this.digitsOf(currency), this.major(minor, currency)];
    if (major === null || major >= EXACT_BELOW || major < 0) return this.shortMoney(minor, currency);
    const parts = String(minor).padStart(digits + 1, "0");
    const decimal = digits === 0 ? parts : `${parts.slice(0, -digits)}.${parts.slice(-digits)}`;
    return this.signed(this.format(decimal, { minimumFractionDigits: digits, maximumFractionDigits: digits }), currency);
  }

  shortMoney(minor, currency) {
    return this.money("short", minor, currency);
  }

  longMoney(minor, currency) {
    return this.money("long", minor, currency);
  }

  wholeMoney(minor, currency) {
    return this.money("whole", minor, currency);
  }

  // The hero's parts: [text, isUnit]. Chinese reads in groups of four with 亿 and 万 between.
  heroParts(value) {
    if (!this.isChinese || value === null || value < 0) return [[this.whole(value), false]];
    const groups = [];
    let rest = BigInt(value);
    const units = ["", "万", "亿", "万亿"];
    for (let i = 0; i < units.length; i += 1) {
      const isLast = i === units.length - 1;
      groups.unshift([isLast ? rest : rest % 10000n, units[i]]);
      rest /= 10000n;
      if (rest === 0n) break;
    }
    const parts = [];
    groups.forEach(([number, unit], i) => {
      parts.push([i === 0 ? number.toString() : number.toString().padStart(4, "0"), false]);
      if (unit) parts.push([unit, true]);
    });
    return parts;
  }

  time(ms, timeZone) {
    return new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
  }

  // A time of the festival's. Its end at midnight is 24:00:00, not the first second of the next day; where it is longer
  // than a day, the time alone would not say which.
  timeOfDay(ms, festival) {
    const { end_ms: end, timezone } = festival;
    const isMidnight = ms === end && this.time(ms, timezone) === "00:00:00";
    const time = isMidnight ? "24:00:00" : this.time(ms, timezone);
    return hasDays(festival) ? `${this.day(isMidnight ? ms - 1 : ms, timezone)}${TOGETHER}${time}` : time;
  }

  // 3 days 04:05:06; up, as a countdown is: nothing has begun before it is at zero.
  duration(ms) {
    const seconds = Math.ceil(ms / 1000);
    const days = Math.floor(seconds / 86400);
    const clock = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map((part) => String(Math.floor(part)).padStart(2, "0"));
    const counted = this.format(days, { style: "unit", unit: "day", unitDisplay: "long", maximumFractionDigits: 0 });
    return (days > 0 ? `${counted} ` : "") + clock.join(":");
  }

  // A rate as it was given, digit by digit: nothing of it is rounded.
  rate(decimal) {
    const digits = (decimal.split(".")[1] ?? "").length;
    return this.format(decimal, { minimumFractionDigits: digits, maximumFractionDigits: Math.max(digits, 0) });
  }

  // A day of the calendar, as the document has it: 2019-11-11.
  dateOf(text) {
    return this.date(Date.parse(`${text}T00:00:00Z`), "UTC");
  }

  momentOf(ms, timeZone) {
    return `${this.day(ms, timeZone)} ${this.time(ms, timeZone).slice(0, 5)}`;
  }

  date(ms, timeZone) {
    return new Intl.DateTimeFormat(this.locale, { timeZone, day: "numeric", month: "short", year: "numeric" }).format(ms);
  }

  day(ms, timeZone) {
    return new Intl.DateTimeFormat(this.locale, { timeZone, day: "numeric", month: "short" }).format(ms);
  }
}

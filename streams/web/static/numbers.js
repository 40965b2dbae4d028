// Numbers as each language groups them. Whatever is rounded is rounded down: nothing shows more than was committed.

const EXACT_BELOW = 10000;

export class Numbers {
  constructor(locale) {
    this.locale = locale;
    this.isChinese = locale.startsWith("zh");
    this.known = new Map();
    this.home = null;
  }

  format(options) {
    const key = JSON.stringify(options);
    if (!this.known.has(key)) this.known.set(key, new Intl.NumberFormat(this.locale, { roundingMode: "floor", ...options }));
    return this.known.get(key);
  }

  whole(value) {
    return this.format({ maximumFractionDigits: 0 }).format(value);
  }

  short(value) {
    if (value < EXACT_BELOW) return this.format({ maximumSignificantDigits: 4 }).format(value);
    return this.format({ notation: "compact", compactDisplay: "short", maximumSignificantDigits: 4 }).format(value);
  }

  long(value) {
    return this.format({ notation: "compact", compactDisplay: "long", maximumSignificantDigits: 4 }).format(value);
  }

  decimal(value, digits = 1) {
    return this.format({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
  }

  digitsOf(currency) {
    return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  }

  // Whole major units, down; a BigInt where minor units exceed what a double holds.
  major(minor, currency) {
    const digits = this.digitsOf(currency);
    if (typeof minor === "bigint") return minor / 10n ** BigInt(digits);
    return Math.trunc(minor / 10 ** digits);
  }

  // A short sign for the festival's own currency; others by their code, since many share a sign.
  sign(currency) {
    if (currency !== this.home) return `${currency} `;
    const parts = new Intl.NumberFormat(this.locale, { style: "currency", currency, currencyDisplay: "narrowSymbol" }).formatToParts(0);
    return parts.find((part) => part.type === "currency").value;
  }

  shortMoney(minor, currency) {
    return `${this.sign(currency)}${this.short(this.major(minor, currency))}`;
  }

  longMoney(minor, currency) {
    return `${this.sign(currency)}${this.long(this.major(minor, currency))}`;
  }

  wholeMoney(minor, currency) {
    return `${this.sign(currency)}${this.whole(this.major(minor, currency))}`;
  }

  // The hero's parts: [text, isUnit]. Chinese reads in groups of four with 亿 and 万 between.
  heroParts(value) {
    if (!this.isChinese) return [[this.whole(value), false]];
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

  // The end of a day is 24:00:00, not the first second of the next.
  timeOfDay(ms, festival) {
    return ms === festival.end_ms ? "24:00:00" : this.time(ms, festival.timezone);
  }

  // 3 days 04:05:06; up, as a countdown is: nothing has begun before it is at zero.
  duration(ms) {
    const seconds = Math.ceil(ms / 1000);
    const days = Math.floor(seconds / 86400);
    const clock = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map((part) => String(Math.floor(part)).padStart(2, "0"));
    const counted = this.format({ style: "unit", unit: "day", unitDisplay: "long", maximumFractionDigits: 0 }).format(days);
    return (days > 0 ? `${counted} ` : "") + clock.join(":");
  }

  date(ms, timeZone) {
    return new Intl.DateTimeFormat(this.locale, { timeZone, day: "numeric", month: "short", year: "numeric" }).format(ms);
  }
}

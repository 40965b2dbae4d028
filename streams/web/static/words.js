// What the screen calls things, in each of its languages. A file has the words of one language; all have the same keys.

import { CHINESE } from "./chinese.js";
import { ENGLISH } from "./english.js";
import { own } from "./exact.js";
import { GERMAN } from "./german.js";

export const WORDS = { en: ENGLISH, de: GERMAN, zh: CHINESE };

// What would break a line, or turn the letters around it.
const UNRULY = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu;

// Somebody's name on one line; a blank one is seen to be one.
export function lineOf(name) {
  const line = name.replace(UNRULY, " ");
  return line.trim() === "" ? "␣" : line;
}

// How a producer's identifier is called: by our words, the region it is, or itself.
export function labelOf(words, dimension, name) {
  if (name === "__other__") return words.other;
  if (name === "__none__") return words.none;
  if ((dimension === "market" || dimension === "origin") && /^[A-Z]{2}$/.test(name)) {
    return new Intl.DisplayNames(words.locale, { type: "region" }).of(name);
  }
  const [, place, number] = /^(.*?)( \d+)?$/su.exec(name); // districts: a city and a number
  return (own(words.names, place) ?? lineOf(place.replaceAll("_", " "))) + (number ?? "");
}

// A festival's name in words; a scale behind it ("…, 1 : 50,000") stays.
export function festivalName(words, name) {
  const [, plain, scale] = /^(.*?)(, 1 : [\d,]+)?$/su.exec(name);
  return (own(words.festivals, plain) ?? lineOf(plain)) + (scale ?? "").replace(", ", words.comma);
}

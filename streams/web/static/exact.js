// Documents read without losing a digit: an integer beyond 2^53 becomes a BigInt, whatever the browser.

const TEXT = /"(?:[^"\\]|\\.)*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS = [["true", true], ["false", false], ["null", null]];

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.at = pattern.lastIndex;
    return found[0];
  }

  // Whether this sign stands next, between white space; it is passed then.
  has(sign) {
    this.match(SPACE);
    if (this.text[this.at] !== sign) return false;
    this.at += 1;
    this.match(SPACE);
    return true;
  }

  need(sign) {
    if (!this.has(sign)) this.fail();
  }

  fail() {
    throw new SyntaxError(`no JSON at ${this.at}`);
  }

  // Items up to the closing sign.
  list(close, item) {
    if (this.has(close)) return;
    do item(); while (this.has(","));
    this.need(close);
  }

  value() {
    if (this.has("{")) {
      const made = Object.create(null); // a key is never one of the language's own
      this.list("}", () => {
        const key = this.string();
        this.need(":");
        made[key] = this.value();
      });
      return made;
    }
    if (this.has("[")) {
      const made = [];
      this.list("]", () => made.push(this.value()));
      return made;
    }
    if (this.text[this.at] === '"') return this.string();
    return this.number() ?? this.word();
  }

  string() {
    return JSON.parse(this.match(TEXT) ?? this.fail());
  }

  number() {
    const digits = this.match(NUMBER);
    if (digits === null) return null;
    const value = Number(digits);
    return Number.isSafeInteger(value) || !/^-?\d+$/.test(digits) ? value : BigInt(digits);
  }

  word() {
    const known = WORDS.find(([word]) => this.text.startsWith(word, this.at)) ?? this.fail();
    this.at += known[0].length;
    return known[1];
  }
}

export function parse(text) {
  const reader = new Reader(text);
  const value = reader.value();
  reader.match(SPACE);
  if (reader.at !== text.length) reader.fail();
  return value;
}

// What a table has under a key that came from outside; nothing that every object inherits.
export const own = (table, key) => (table !== null && table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined);

// The share that one integer is of another; NaN where there is nothing to share.
export const ratio = (part, whole) => Number(part) / (Number(whole) || NaN);

// Whether the numbers may be believed, and if not, why. Pure: what is known goes in, a verdict comes out.

import { own } from "./exact.js";

export const STALE_MS = 5000;
const SILENT_MS = 2500;
const QUIET_MS = 10000;
const LAST_MS = 600000;

// Whether `next` lies before what is shown: a server that is still catching up must not turn a total back.
export function isBehind(next, shown) {
  if (shown === null || next === null || next.festival !== shown.festival || next.ledger !== shown.ledger) return false;
  return Object.entries(shown.positions).some(([topic, positions]) => Object.entries(positions).some(
    ([partition, offset]) => (own(own(next.positions, topic), partition) ?? 0) < offset,
  ));
}

// How long ago, by the server's clock, everything on Kafka was in the totals; null where nothing is known.
export function ageMs(alive, heardAt, now) {
  if (alive === null || alive.fresh_ms === null) return null;
  return Math.max(0, alive.now_ms - alive.fresh_ms) + (now - heardAt);
}

// Whether the day is over as far as anybody can tell: its last minutes were seen, all of Kafka is counted, and nothing
// has come for a while, long after its end. Event time alone stops at the last order, short of midnight.
export function isOver(totals, alive, festival) {
  const at = totals.screen.watermark_ms;
  if (at === null || at >= festival.end_ms) return at !== null;
  if (alive === null || !totals.complete || totals.lag_records !== 0 || totals.committed_ms === null) return false;
  const quietSince = Math.max(totals.committed_ms, festival.end_ms);
  return at >= festival.end_ms - LAST_MS && alive.now_ms - quietSince >= QUIET_MS;
}

// What keeps the totals from being whole, in words; "" where nothing does. Held partitions and open transactions are
// named where the document names them.
function lacking(totals, words) {
  const { committed, all } = totals.screen.partitions;
  const [held, open] = [totals.held ?? [], totals.open_transactions ?? []];
  if (held.length > 0) {
    const [{ partition, topic, reason }] = held;
    return words.heldPartition(partition, topic, reason) + words.andMore(held.length - 1);
  }
  if (!totals.complete) return committed < all ? words.incomplete(committed, all) : words.held;
  if (open.length > 0) return words.openTransaction(open[0].topic, open[0].partition) + words.andMore(open.length - 1);
  return "";
}

// From where on is counted, in words, where a recount began later than the log once did; "" where none did.
function beginning(totals, words, whole) {
  const places = Object.entries(totals.counted_from ?? {}).flatMap(([topic, from]) => Object.entries(from).map((place) => [topic, ...place]));
  if (places.length === 0) return "";
  const [[topic, partition, offset]] = places;
  return words.countedFrom(topic, partition, whole(offset)) + words.andMore(places.length - 1);
}

// Why nothing is heard, where a server is there and sends no stream.
function refused({ status, isReading, isBusy }, hasTotals, words) {
  if (isReading) return hasTotals ? words.notReadYet : words.reading;
  return isBusy ? words.busy : words.refused(status);
}

// {state: "live" | "waiting" | "doubtful", text}
export function verdict({ totals, alive, heardAt, lostAt, refusal, isUnreadable, isCatchingUp, now }, words, whole) {
  const seconds = (ms) => whole(Math.floor(Math.max(0, ms) / 1000));
  if (lostAt !== null && refusal) return { state: totals === null ? "waiting" : "doubtful", text: refused(refusal, totals !== null, words) };
  if (lostAt !== null && totals !== null) return { state: "doubtful", text: words.lost(seconds(now - lostAt)) };
  if (isUnreadable) return { state: "doubtful", text: words.unreadable };
  if (totals === null) return { state: "waiting", text: alive !== null && !alive.loaded ? words.reading : words.connecting };
  if (isCatchingUp) return { state: "doubtful", text: words.behind };
  if (alive !== null && !alive.loaded) return { state: "doubtful", text: words.notReadYet };
  if (totals.counted === false) return { state: "doubtful", text: words.notCounted };
  const hasLedger = totals.screen.partitions.all > 0 || (totals.held ?? []).length > 0;
  if (!hasLedger) return { state: "waiting", text: words.nothing };
  const lack = lacking(totals, words);
  if (lack !== "") return { state: "doubtful", text: lack };
  // What is sealed does not grow old.
  if (totals.exact === false) return { state: "doubtful", text: words.sealedInexact };
  if (totals.sealed) return { state: "live", text: words.sealed(totals.sealed.slice(0, 12)) };
  const age = ageMs(alive, heardAt, now);
  if (age === null) return { state: "waiting", text: words.nothing };
  if (age > STALE_MS) {
    // It speaks every second: whoever is silent for longer cannot tell who else is.
    if (now - heardAt > SILENT_MS) return { state: "doubtful", text: words.silentServer(seconds(now - heardAt)) };
    const silence = alive.contacted_ms === null ? 0 : alive.now_ms - alive.contacted_ms + (now - heardAt);
    if (silence > STALE_MS) return { state: "doubtful", text: words.silentKafka(seconds(silence)) };
    const lag = totals.lag_records;
    return { state: "doubtful", text: lag ? words.silentWorkers(seconds(age), whole(lag)) : words.stale(seconds(age)) };
  }
  if (totals.committed_ms === null) return { state: "waiting", text: words.noEvent };
  const from = beginning(totals, words, whole);
  return from === "" ? { state: "live", text: words.live } : { state: "doubtful", text: from };
}

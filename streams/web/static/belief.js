// Whether the numbers may be believed, and if not, why. Pure: what is known goes in, a verdict comes out.

export const STALE_MS = 5000;
const SILENT_MS = 2500;
const QUIET_MS = 10000;
const LAST_MS = 600000;

// Whether `next` lies before what is shown: a server that is still catching up must not turn a total back.
export function isBehind(next, shown) {
  if (shown === null || next.festival !== shown.festival || next.ledger !== shown.ledger) return false;
  return Object.entries(shown.positions).some(([topic, positions]) => Object.entries(positions).some(
    ([partition, offset]) => (next.positions[topic]?.[partition] ?? 0) < offset,
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

// {state: "live" | "waiting" | "doubtful", text}
export function verdict({ totals, alive, heardAt, lostAt, isCatchingUp, now }, words, whole) {
  const seconds = (ms) => whole(Math.max(0, ms) / 1000);
  if (lostAt !== null && totals !== null) return { state: "doubtful", text: words.lost(seconds(now - lostAt)) };
  if (totals === null) return { state: "waiting", text: words.connecting };
  if (isCatchingUp) return { state: "doubtful", text: words.behind };
  if (alive !== null && !alive.loaded) return { state: "doubtful", text: words.reading };
  const { committed, all } = totals.screen.partitions;
  if (all === 0) return { state: "waiting", text: words.nothing };
  if (!totals.complete) {
    return { state: "doubtful", text: committed < all ? words.incomplete(committed, all) : words.held };
  }
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
  return { state: "live", text: words.live };
}

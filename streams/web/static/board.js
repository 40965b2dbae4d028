// The board's page: shows the totals document of /api/stream as it comes, and says when it may not be believed.
"use strict";

const STALE_MS = 20000; // the server is never silent longer than its heartbeat of 15 s
const CURVE_MS = 5000;
const query = new URLSearchParams(location.search);
const named = query.get("festival");
const $ = (id) => document.getElementById(id);

let newest = null;
let heardAt = 0;

function money(minor, currency) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits;
  return new Intl.NumberFormat(undefined, {
    style: "currency", currency, maximumFractionDigits: 0,
  }).format(minor / 10 ** digits);
}

function number(value) {
  return new Intl.NumberFormat().format(value);
}

function show(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function showTotals(totals) {
  const home = totals.home;
  const bound = home.missing.length > 0;
  show("festival", totals.festival);
  document.title = totals.festival;
  show("gross", (bound ? "≥ " : "") + money(home.gross, home.currency));
  show("net", (bound ? "≥ " : "") + money(home.net, home.currency));
  show("paid", (bound ? "≥ " : "") + money(home.paid, home.currency));
  $("bound").hidden = !bound;
  show("bound", bound ? `A lower bound: no rate is known for ${home.missing.join(", ")}.` : "");
  show("orders", number(totals.orders));
  show("captured", number(totals.payments.captured));
  show("cancelled", number(totals.cancelled));
  show("records", `${number(totals.duplicates)} resent · ${number(totals.rejected)} rejected · ${number(totals.late)} late`);
  $("document").href = `api/totals?festival=${encodeURIComponent(totals.festival)}`;
  showPlatforms(totals.by || []);
}

function showPlatforms(rows) {
  const cells = rows.map((row) => [
    row.platform === "__other__" ? "other platforms" : row.platform,
    (row.at_least ? "≥ " : "") + number(row.orders),
    money(row.home.gross, row.home.currency),
    money(row.home.paid, row.home.currency),
  ]);
  const body = $("platforms");
  while (body.rows.length > cells.length) body.deleteRow(-1);
  cells.forEach((texts, i) => {
    const row = body.rows[i] || body.insertRow();
    texts.forEach((text, j) => {
      const cell = row.cells[j] || row.insertCell();
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
}

function showState() {
  const isStale = newest !== null && Date.now() - heardAt > STALE_MS;
  const isDoubtful = newest !== null && !newest.complete;
  $("board").className = newest === null ? "is-waiting" : isStale ? "is-stale" : isDoubtful ? "is-doubtful" : "";
  if (newest === null) {
    show("state", "Connecting …");
  } else if (isStale) {
    show("state", "Nothing heard from the server: these totals may be old");
  } else if (isDoubtful) {
    show("state", "Incomplete: some partitions are missing in these totals");
  } else {
    const lag = newest.lag_records;
    show("state", lag ? `Committed and complete, ${number(lag)} records behind` : "Committed, complete and up to date");
  }
  if (newest !== null && newest.committed_ms !== null) {
    const at = new Date(newest.committed_ms);
    show("committed", `newest record ${at.toLocaleDateString()} ${at.toLocaleTimeString()} · ledger ${newest.ledger}`);
  }
}

function listen() {
  const source = new EventSource("api/stream" + (named ? `?festival=${encodeURIComponent(named)}` : ""));
  source.addEventListener("totals", (event) => {
    const isFirst = newest === null;
    newest = JSON.parse(event.data);
    heardAt = Date.now();
    showTotals(newest);
    showState();
    if (isFirst) void drawCurve();
  });
  source.addEventListener("alive", () => { heardAt = Date.now(); });
  source.addEventListener("error", () => {
    heardAt = Math.min(heardAt, Date.now() - STALE_MS - 1);
    showState();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

function bars(values, from, to, top) {
  const width = 1440 / values.length;
  let path = "";
  for (let i = from; i < to; i += 1) {
    if (values[i] > 0) {
      const height = 236 * values[i] / top;
      path += `M${i * width} 240v${-height}h${width}V240z`;
    }
  }
  return path;
}

async function drawCurve() {
  if (newest === null || document.hidden) return;
  const festival = encodeURIComponent(newest.festival);
  try {
    const answer = await fetch(`api/series?festival=${festival}&measure=orders&step=minute`);
    if (!answer.ok) return;
    const series = await answer.json();
    const top = series.values.reduce((a, b) => Math.max(a, b), 1);
    const closed = Math.round((series.open_from_ms - series.start_ms) / series.step_ms);
    $("area").setAttribute("d", bars(series.values, 0, closed, top));
    $("open").setAttribute("d", bars(series.values, closed, series.values.length, top));
    show("peak", top > 1 ? `· peak ${number(top)}` : "");
  } catch {
    // the next round tries again; the state line tells when the server is gone
  }
}

listen();
setInterval(showState, 1000);
setInterval(() => void drawCurve(), CURVE_MS);

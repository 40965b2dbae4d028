// The smaller numbers: those of the systems that a festival counts, [name, value, note] each.

const SHOWN = 1; // currencies in one tile; all of them are in the document

function sums(byCurrency, name, numbers) {
  const known = Object.entries(byCurrency).filter(([, money]) => (money[name] ?? 0) > 0);
  known.sort(([, one], [, other]) => (one[name] < other[name] ? 1 : -1));
  const shown = known.slice(0, SHOWN).map(([currency, money]) => numbers.shortMoney(money[name], currency));
  return shown.join(" · ") + (known.length > SHOWN ? ` +${known.length - SHOWN}` : "");
}

function percentOf(share, numbers) {
  return share === null || share === undefined ? null : numbers.decimal(100 * share);
}

export function tilesOf(totals, festival, words, numbers) {
  const { facts } = festival;
  return [
    ...(facts.includes("orders") ? ofOrders(totals, words, numbers) : []),
    ...(facts.includes("payments") ? ofPayments(totals, words, numbers) : []),
    ...(facts.includes("parcels") ? ofParcels(totals, words, numbers) : []),
    ...(facts.includes("recycling") ? ofRecycling(totals, words, numbers) : []),
    ...ofDistinct(totals, words, numbers),
  ];
}

function ofOrders(totals, words, numbers) {
  const couponed = percentOf(totals.shares?.couponed, numbers);
  return [
    [words.tile.net, numbers.shortMoney(totals.home.net, totals.home.currency), ""],
    [words.tile.coupons, sums(totals.money, "coupons", numbers) || "–", couponed === null ? "" : words.ofOrders(couponed)],
    [words.tile.cancelled, numbers.whole(totals.cancelled), sums(totals.money, "cancelled_net", numbers)],
  ];
}

function ofPayments(totals, words, numbers) {
  const paid = percentOf(totals.shares?.paid, numbers);
  const tiles = [
    [words.tile.paid, numbers.shortMoney(totals.home.paid, totals.home.currency), paid === null ? "" : words.ofOrders(paid)],
    [words.tile.refunded, numbers.whole(totals.payments.refunded), sums(totals.money, "refunded", numbers)],
    [words.tile.failed, numbers.whole(totals.payments.failed), sums(totals.money, "failed", numbers)],
  ];
  const payer = sums(totals.payer, "paid", numbers);
  if (payer) {
    const [transport, duty] = ["transport", "duty"].map((name) => sums(totals.payer, name, numbers));
    tiles.push([words.tile.payer, payer, transport || duty ? words.charges(transport, duty) : ""]);
  }
  return tiles;
}

function ofParcels(totals, words, numbers) {
  const { shipped, delivered, in_flight: inFlight, transit } = totals.parcels;
  if (!shipped && !delivered) return [];
  const tiles = [[words.tile.parcels, numbers.whole(delivered), words.ofShipped(numbers.whole(shipped), numbers.whole(inFlight ?? Math.max(0, shipped - delivered)))]];
  if (transit && transit.p50 !== null) tiles.push([words.tile.transit, `${transit.p50} / ${transit.p90}`, words.median(transit.p50, transit.p90)]);
  return tiles;
}

function ofRecycling(totals, words, numbers) {
  const { scans, points, trees } = totals.recycling;
  const tiles = [[words.tile.scans, numbers.whole(scans), ""], [words.tile.points, numbers.whole(points), ""]];
  if (trees !== null && trees !== undefined) tiles.push([words.tile.trees, numbers.whole(trees), ""]);
  return tiles;
}

const DISTINCT = { buyers: "distinct", stations: "stations", participants: "participants" };

function ofDistinct(totals, words, numbers) {
  return Object.entries(totals.distinct ?? {})
    .filter(([name, found]) => name in DISTINCT && found && found.estimate > 0)
    .map(([name, found]) => [
      words.tile[DISTINCT[name]], `≈ ${numbers.short(Math.round(found.estimate))}`,
      words.between(numbers.whole(found.low), numbers.whole(found.high)),
    ]);
}

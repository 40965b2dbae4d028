// The smaller numbers: those of the systems that a festival counts, [name, value, note] each.

import { own } from "./exact.js";

const having = (byCurrency, name) => Object.keys(byCurrency).filter((currency) => (own(byCurrency[currency], name) ?? 0) > 0);

// A sum in the festival's own currency, else in the first of the others; the document has all.
function sumOf(byCurrency, name, numbers) {
  const known = having(byCurrency, name);
  if (known.length === 0) return "";
  const shown = known.includes(numbers.home) ? numbers.home : known[0];
  return numbers.shortMoney(byCurrency[shown][name], shown);
}

function moreOf(byCurrency, name, words) {
  const others = having(byCurrency, name).length - 1;
  return others > 0 ? words.more(others) : "";
}

const noted = (...notes) => notes.filter(Boolean).join(" · ");

function percentOf(share, numbers) {
  return share === null || share === undefined ? null : numbers.decimal(100 * Number(share));
}

export function tilesOf(totals, festival, words, numbers) {
  const { facts } = festival;
  if (totals.counted === false) return [];
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
    [words.tile.net, numbers.shortMoney(totals.home.net, totals.home.currency), words.netOf],
    [words.tile.coupons, sumOf(totals.money, "coupons", numbers) || "–", noted(couponed === null ? "" : words.ofOrders(couponed), moreOf(totals.money, "coupons", words))],
    [words.tile.cancelled, numbers.whole(totals.cancelled), noted(sumOf(totals.money, "cancelled_net", numbers), moreOf(totals.money, "cancelled_net", words))],
  ];
}

function ofPayments(totals, words, numbers) {
  const paid = percentOf(totals.shares?.paid, numbers);
  const tiles = [
    [words.tile.paid, numbers.shortMoney(totals.home.paid, totals.home.currency), paid === null ? "" : words.ofOrders(paid)],
    [words.tile.refunded, numbers.whole(totals.payments.refunded), noted(sumOf(totals.money, "refunded", numbers), moreOf(totals.money, "refunded", words))],
    [words.tile.failed, numbers.whole(totals.payments.failed), noted(sumOf(totals.money, "failed", numbers), moreOf(totals.money, "failed", words))],
  ];
  const payer = sumOf(totals.payer, "paid", numbers);
  if (payer) {
    const [transport, duty] = ["transport", "duty"].map((name) => sumOf(totals.payer, name, numbers));
    tiles.push([words.tile.payer, payer, noted(transport || duty ? words.charges(transport, duty) : "", moreOf(totals.payer, "paid", words))]);
  }
  return tiles;
}

function ofParcels(totals, words, numbers) {
  const { shipped, delivered, in_flight: inFlight, transit } = totals.parcels;
  if (!shipped && !delivered) return [];
  const tiles = [[words.tile.parcels, numbers.whole(delivered), words.ofShipped(numbers.whole(shipped), numbers.whole(inFlight))]];
  if (transit && transit.p50 !== null && delivered > 0) tiles.push([words.tile.transit, words.days(transit.p50), words.nineOfTen(words.days(transit.p90))]);
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
    .filter(([name, found]) => own(DISTINCT, name) !== undefined && found && found.estimate > 0)
    .map(([name, found]) => [
      words.tile[DISTINCT[name]], `≈ ${numbers.short(found.estimate)}`,
      words.between(numbers.whole(found.low), numbers.whole(found.high)),
    ]);
}

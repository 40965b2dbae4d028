"""The totals document of contract 3: what `festival totals --json`, `/api/totals` and the event stream give out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.board.home import home_amount
from streams.board.story import story_document
from streams.board.transit import TRANSIT_ROLLUP, share, transit_document
from streams.domain.rollups import ROLLUPS, WINDOW_MS, Rollup, Window
from streams.domain.sketches import DISTINCTS
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streams.board.tables import Group, Table
    from streams.board.view import Snapshot
    from streams.domain.festivals import Festival

Sums = dict[str, dict[str, int]]
"""Measure (as the rollups name it) → currency → sum."""

MONEY = {
    "gross": "gross_minor",
    "coupons": "coupons_minor",
    "credits": "credits_minor",
    "cancelled_net": "cancelled_net_minor",
    "paid": "paid_minor",
    "failed": "failed_minor",
    "refunded": "refunded_minor",
}
"""Names under `money` and the measures they show; `net` is made of the first three."""
PAYER = {
    "paid": "payer_paid_minor",
    "refunded": "payer_refunded_minor",
    "transport": "transport_minor",
    "duty": "duty_minor",
}
ORDER_COUNTS = ("orders", "cancelled", "couponed")
PAYMENT_COUNTS = ("captured", "failed", "refunded")
PARCEL_COUNTS = ("shipped", "cleared", "delivered")
RECYCLING_COUNTS = ("boxes", "scans", "points")
RECORD_COUNTS = ("duplicates", "rejected", "late", "expired", "outside")
_OUTCOMES = {"duplicates": "duplicate"}
DIMENSIONS = tuple(dict.fromkeys(r.dimension for r in ROLLUPS if r.dimension is not None))
_SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to which festival time is counted: [start, end_ms)."""

    end_ms: int
    is_whole: bool
    """Whether the festival ends there, so that measures without windows can be told too."""


def cut_at(festival: Festival, at_ms: int | None) -> Cut:
    """Return the cut at the end of `at_ms`'s second, or of the festival: whichever comes first."""
    if at_ms is None or at_ms >= festival.end_ms - 1:
        return Cut(festival.end_ms, is_whole=True)
    end_ms = at_ms // _SECOND_MS * _SECOND_MS + _SECOND_MS
    return Cut(end_ms, is_whole=end_ms >= festival.end_ms)


def totals_document(
    snapshot: Snapshot,
    festival: Festival,
    *,
    at_ms: int | None = None,
    by: str | None = None,
    top: int | None = None,
    end_offsets: Mapping[str, Mapping[int, int]] | None = None,
    held: Collection[int] = (),
    has_story: bool = True,
) -> dict[str, Any]:
    """Return the committed totals of `festival`, ready for JSON (integers may exceed 64 bits).

    `at_ms` counts festival time up to the end of its second. `by` adds the rows of a dimension, the `top` largest.
    `end_offsets` (topic → partition → offset) gives `lag_records`, null without. `held` partitions make the document
    incomplete. Without the story behind it, it is what was counted: for who asks often. Raises `UsageError` for what
    cannot be answered: a dimension unknown, an instant between windows.
    """
    festival = snapshot.as_counted(festival)
    cut = cut_at(festival, at_ms)
    tables = [snapshot.table(festival.id, rollup.name) for rollup in ROLLUPS if rollup.dimension is None]
    dimension_tables = [snapshot.table(festival.id, rollup.name) for rollup in rollups_of(by)] if by is not None else []
    is_readable = not any(table.unreadable for table in (*tables, *dimension_tables))
    document: dict[str, Any] = {
        "festival": festival.id,
        "ledger": snapshot.generation,
        "complete": snapshot.is_complete and not held and is_readable,
        "lag_records": None if end_offsets is None else snapshot.lag_records(end_offsets),
        "as_of_ms": cut.end_ms - 1,
        "committed_ms": snapshot.committed_ms,
        "positions": {topic: {str(p): o for p, o in at.items()} for topic, at in snapshot.positions().items()},
        **_counted(snapshot, festival, cut, tables),
    }
    if has_story:
        document |= story_document(snapshot, festival, cut.end_ms)
    if by is not None:
        document["by"] = _rows(dimension_tables, festival, cut, by, top)
    return document


def _counted(snapshot: Snapshot, festival: Festival, cut: Cut, tables: Iterable[Table]) -> dict[str, Any]:
    """Return what was counted up to the cut, out of the tables without a dimension."""
    sums: Sums = {}
    for table in tables:
        _collect(sums, table, table_totals(table, festival, cut).items())
    transit = snapshot.table(festival.id, TRANSIT_ROLLUP)
    return {
        **{name: _count(sums, name) for name in ORDER_COUNTS},
        **{name: snapshot.outcome_records(_OUTCOMES.get(name, name)) for name in RECORD_COUNTS},
        "money": _money(sums, MONEY),
        "payments": {name: _count(sums, name) for name in PAYMENT_COUNTS},
        "payer": _by_currency(sums, PAYER),
        "home": _home(festival, sums),
        "shares": _shares(sums),
        "parcels": {**_parcels(sums), "transit": transit_document(transit) if cut.is_whole else None},
        "recycling": _recycling(sums, festival),
        "distinct": _distinct(snapshot, festival) if cut.is_whole else None,
    }


def rollups_of(dimension: str) -> list[Rollup]:
    """Return the rollups that keep `dimension`; raises `UsageError` where it is none."""
    rollups = [rollup for rollup in ROLLUPS if rollup.dimension == dimension]
    if not rollups:
        raise UsageError(f"by: no totals are kept by {dimension!r}; there are {', '.join(DIMENSIONS)}")
    return rollups


def table_totals(table: Table, festival: Festival, cut: Cut) -> Mapping[Group, tuple[int, ...]]:
    """Return a table's totals up to the cut; raises `UsageError` where the table keeps no such instant."""
    if cut.is_whole:
        return table.totals
    window, dimension = table.rollup.window, table.rollup.dimension
    if window is Window.FESTIVAL:
        raise UsageError(f"at: totals by {dimension} are kept for the whole festival only; leave out `at`")
    counted_ms = max(0, cut.end_ms - festival.start_ms)
    windows, rest_ms = divmod(counted_ms, WINDOW_MS[window])
    if rest_ms:
        raise UsageError(
            f"at: totals by {dimension} are kept per {window}: ask for a time that ends one, such as the second "
            f"before it (hh:mm:59), or leave out `by`"
        )
    return table.totals_before(windows)


def home_gross(festival: Festival, table: Table) -> int:
    """Return the gross of a table of orders in minor units of the home currency, without currencies lacking a rate."""
    sums: Sums = {}
    _collect(sums, table, table.totals.items())
    return home_amount(festival, sums.get("gross_minor", {})).amount_minor


def _collect(sums: Sums, table: Table, totals: Iterable[tuple[Group, tuple[int, ...]]]) -> None:
    """Add groups to `sums`; the currency is a group's last part, or "" where there is none."""
    for group, values in totals:
        for measure, value in zip(table.rollup.measures, values, strict=True):
            currency = group[-1] if table.rollup.currency is not None else ""
            cells = sums.setdefault(measure.name, {})
            cells[currency] = cells.get(currency, 0) + value


def _shares(sums: Sums) -> dict[str, float | None]:
    """Return which share of the orders used a coupon or a credit, and which was paid; None without orders."""
    orders = _count(sums, "orders")
    return {
        "couponed": share(_count(sums, "couponed"), orders),
        "paid": share(_count(sums, "captured"), orders),
    }


def _parcels(sums: Sums) -> dict[str, Any]:
    counts = {name: _count(sums, name) for name in PARCEL_COUNTS}
    # Events of the two kinds may come in any order: what was delivered before it was seen to leave is not underway.
    return {**counts, "in_flight": max(0, counts["shipped"] - counts["delivered"])}


def _recycling(sums: Sums, festival: Festival) -> dict[str, Any]:
    counts = {name: _count(sums, name) for name in RECYCLING_COUNTS}
    per_tree = festival.points_per_tree
    return {**counts, "trees": None if per_tree is None else counts["points"] // per_tree}


def _distinct(snapshot: Snapshot, festival: Festival) -> dict[str, Any]:
    """Return the estimates of what the festival counts, each with its bounds; None where one cannot be read."""
    found = {d.name: snapshot.distinct(festival.id, d.name) for d in DISTINCTS if d.fact in festival.facts}
    return {
        name: None if e is None else {"estimate": e.count, "low": e.low, "high": e.high} for name, e in found.items()
    }


def _count(sums: Sums, measure: str) -> int:
    return sum(sums.get(measure, {}).values())


def _by_currency(sums: Sums, names: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return per currency the measures of `names` that are kept: zero where a currency has none."""
    kept = {name: sums[measure] for name, measure in names.items() if measure in sums}
    currencies = sorted({currency for cells in kept.values() for currency in cells})
    return {currency: {name: cells.get(currency, 0) for name, cells in kept.items()} for currency in currencies}


def net_minor(sums: Sums) -> dict[str, int]:
    """Return net per currency: gross less coupons and credits."""
    gross, coupons, credit = (sums.get(MONEY[name], {}) for name in ("gross", "coupons", "credits"))
    return {currency: gross[currency] - coupons.get(currency, 0) - credit.get(currency, 0) for currency in gross}


def _money(sums: Sums, names: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return `money`: the measures of `names` per currency, and `net` behind what it is made of."""
    net = net_minor(sums)
    currencies = sorted({currency for measure in names.values() for currency in sums.get(measure, {})})
    money: dict[str, dict[str, int]] = {}
    for currency in currencies:
        cells: dict[str, int] = {}
        for name, measure in names.items():
            cells[name] = sums.get(measure, {}).get(currency, 0)
            if name == "credits":
                cells["net"] = net.get(currency, 0)
        money[currency] = cells
    return money


def _home(festival: Festival, sums: Sums) -> dict[str, Any]:
    """Return `home`: gross, net and paid in the home currency, and the currencies without a rate."""
    amounts = {
        "gross": home_amount(festival, sums.get("gross_minor", {})),
        "net": home_amount(festival, net_minor(sums)),
        "paid": home_amount(festival, sums.get("paid_minor", {})),
    }
    return {
        "currency": festival.home_currency,
        **{name: amount.amount_minor for name, amount in amounts.items()},
        "missing": sorted({currency for amount in amounts.values() for currency in amount.missing}),
    }


def _rows(tables: list[Table], festival: Festival, cut: Cut, dimension: str, top: int | None) -> list[dict[str, Any]]:
    """Return one row per value of the dimension, largest first.

    By gross in the home currency, then money paid, then orders, payments, parcels, boxes, then by name.
    """
    per_value: dict[str, Sums] = {}
    for table in tables:
        for group, values in table_totals(table, festival, cut).items():
            _collect(per_value.setdefault(group[0], {}), table, ((group, values),))
    facts = {table.rollup.fact for table in tables}
    ranked = sorted(per_value, key=lambda value: _rank(festival, per_value[value], value))
    mark = {"at_least": True} if any(table.is_overflowed for table in tables) else {}
    return [{dimension: value, **_row(festival, per_value[value], facts), **mark} for value in ranked[:top]]


def _rank(festival: Festival, sums: Sums, value: str) -> tuple[int | str, ...]:
    gross = home_amount(festival, sums.get("gross_minor", {})).amount_minor
    paid = home_amount(festival, sums.get("paid_minor", {})).amount_minor
    counts = (-_count(sums, name) for name in ("orders", "captured", "shipped", "delivered", "boxes"))
    return (-gross, -paid, *counts, value)


def _row(festival: Festival, sums: Sums, facts: set[str]) -> dict[str, Any]:
    """Return what a row shows of the facts that keep its dimension."""
    row: dict[str, Any] = {}
    kept: set[str] = set()
    if "orders" in facts:
        row |= {name: _count(sums, name) for name in ORDER_COUNTS}
        kept |= {"gross", "coupons", "credits", "cancelled_net"}
    if "payments" in facts:
        row["payments"] = {name: _count(sums, name) for name in PAYMENT_COUNTS}
        kept |= {"paid", "failed", "refunded"}
    if "payer_paid_minor" in sums:
        row["payer"] = _by_currency(sums, PAYER)
    if "parcels" in facts:
        row["parcels"] = _parcels(sums)
    if "recycling" in facts:
        row["recycling"] = _recycling(sums, festival)
    if not kept:
        return row
    row["money"] = _money(sums, {name: measure for name, measure in MONEY.items() if name in kept})
    home = _home(festival, sums)
    wanted = [*(("gross", "net") if "orders" in facts else ()), *(("paid",) if "payments" in facts else ())]
    row["home"] = {"currency": home["currency"], **{name: home[name] for name in wanted}, "missing": home["missing"]}
    return row

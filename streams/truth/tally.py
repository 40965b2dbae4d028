"""The tally: what a replay's broker acknowledged, as the exact totals to expect.

It is JSON, of this shape:

    {"format": 1,
     "acknowledged": {"orders": {"0": 2500, …}, …},       records per topic and partition
     "end_offsets": {"orders": {"0": 2500, …}, …},        position after the last acknowledged record
     "unknown": [{"topic", "partition", "first_record", "records"}, …],
     "outcomes": {"orders": {"counted", "duplicate", "rejected", "expired", "outside"}, …},
     "late": {"orders": 3, …},                            None after a merge of replays that ran side by side
     "rejected": {"orders": {"empty": 1, …}, …},          per reason
     "started_after_ms": {"orders/0": 1573…, …},          largest event time on the topic before this replay
     "max_event_times_ms": {"orders/0": 1573…, …},        and after it: what decides lateness
     "festivals": {id: {
         "orders", "cancelled", "payments": {"captured", "failed", "refunded"},
         "money": {"CNY": {"gross", "coupons", "credits", "net", "cancelled_net", "paid", "failed", "refunded"}},
         "payer": {"CNY": {"paid", "refunded", "transport", "duty"}},
         "parcels": {"shipped", "cleared", "delivered"}, "recycling": {"boxes", "scans", "points"},
         "by": {"platform": {"tmall": {…the same keys…}}, "market", "merchant", "category", "brand", "method",
                "carrier", "origin", "transit_days", "station", "operator", "city", "district", "flash"},
         "minutes": {"orders": […], "captured": […], "gross": {"CNY": […]}, "paid": {"CNY": […]}}}}}

`by` holds what a dimension has: no payments by category, no orders by method. `minutes` counts by the minute of
festival time since the start. Money is in minor units. `unknown` are records of which no acknowledgement came: they may
or may not be on the topic, `first_record` counts the replay's records on that partition from 0. A tally with unknown
records bounds the totals from below, and comparing it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
OUTCOMES = ("counted", "duplicate", "rejected", "expired", "outside")
ORDER_MONEY = ("gross", "coupons", "credits", "net", "cancelled_net")
PAYMENT_MONEY = ("paid", "failed", "refunded")
PAYMENT_COUNTS = ("captured", "failed", "refunded")
PAYER_MONEY = ("paid", "refunded", "transport", "duty")
SALE_DIMENSIONS = ("platform", "market", "merchant", "category", "brand", "method")
DIMENSIONS = (
    *SALE_DIMENSIONS,
    *("carrier", "origin", "transit_days"),
    *("station", "operator", "city", "district", "flash"),
)
COUNTED = {"parcels": ("shipped", "cleared", "delivered"), "recycling": ("boxes", "scans", "points")}
"""What is compared of documents that say more."""
_DOCUMENT_OUTCOMES = {
    "duplicates": "duplicate",
    "rejected": "rejected",
    "expired": "expired",
    "outside": "outside",
}

Tally = dict[str, Any]


def write_tally(path: Path, tally: Tally) -> None:
    """Write a tally; a reader never sees half of it."""
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(orjson.dumps(tally, option=orjson.OPT_INDENT_2))
    beside.replace(path)


def read_tally(path: Path) -> Tally:
    """Return the tally in a file; raises `UsageError` where there is none."""
    try:
        tally = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise UsageError(f"{path} is no tally: {error}") from error
    if not isinstance(tally, dict) or tally.get("format") != FORMAT:
        raise UsageError(f"{path} is no tally of format {FORMAT}; write one with festival replay --tally FILE")
    return tally


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """Return the tally of several replays into the same topics (different seeds), in the order in which they ran.

    What is late depends on what was on the topic before: the merged number is None unless each replay began after
    the one before it (`festival replay --after`).
    """
    assert tallies
    merged: Tally = tallies[0]
    for tally in tallies[1:]:
        late = _sum(merged["late"], tally["late"]) if _follows(merged, tally) else None
        ends = _sum(merged["end_offsets"], tally["end_offsets"], pick=max)
        times = _sum(merged["max_event_times_ms"], tally["max_event_times_ms"], pick=max)
        started = {**tally["started_after_ms"], **merged["started_after_ms"]}
        merged = _sum(merged, {**tally, "late": None}) | {
            "format": FORMAT,
            "late": late,
            "end_offsets": ends,
            "max_event_times_ms": times,
            "started_after_ms": started,
        }
    return merged


def merge_parts(tallies: Sequence[Tally]) -> Tally:
    """Return the tally of one replay out of those of its processes, whose partitions do not overlap."""
    merged: Tally = tallies[0]
    for tally in tallies[1:]:
        merged = _sum(merged, tally)
    return merged | {"format": FORMAT}


def _follows(first: Tally, second: Tally) -> bool:
    started: dict[str, int] = second["started_after_ms"]
    ends: dict[str, int] = first["max_event_times_ms"]
    return first["late"] is not None and all(started.get(name) == end for name, end in ends.items())


def _sum(first: Any, second: Any, pick: Any = None) -> Any:  # noqa: ANN401 - JSON
    """Return the sum of two JSON values of one shape; a missing part counts as nothing."""
    if first is None or second is None:
        return first if second is None else second
    if isinstance(first, Mapping):
        return {key: _sum(first.get(key), second.get(key), pick) for key in {**first, **second}}
    if isinstance(first, list) and any(isinstance(item, Mapping) for item in [*first, *second]):
        return first + second
    if isinstance(first, list):
        longest = max(len(first), len(second))
        padded = [values + [0] * (longest - len(values)) for values in (first, second)]
        return [a + b for a, b in zip(*padded, strict=True)]
    return pick(first, second) if pick else first + second


def compare(tally: Tally, document: Mapping[str, Any]) -> list[str]:
    """Return each difference between a tally and a totals document (contract 3) as a sentence; none: it is exact.

    The document's rows of `by`, if it has any, are compared too. Numbers of the document that the tally does not
    know (shares, transit times, home conversion) are left out.
    """
    differences = [f"unknown: {u['records']} records of {u['topic']}/{u['partition']}" for u in tally["unknown"]]
    festival = tally["festivals"].get(document["festival"], {})
    for name, outcome in _DOCUMENT_OUTCOMES.items():
        expected = sum(counts.get(outcome, 0) for counts in tally["outcomes"].values())
        _differ(differences, name, expected, document.get(name))
    if tally["late"] is not None:
        _differ(differences, "late", sum(tally["late"].values()), document.get("late"))
    for name in ("orders", "cancelled"):
        _differ(differences, name, festival.get(name, 0), document.get(name))
    for name in ("payments", "money", "payer", *COUNTED):
        _differ(differences, name, festival.get(name, {}), _counted(name, document))
    rows = document.get("by")
    if rows is not None:
        differences += compare_rows(festival, rows)
    return differences


def compare_rows(festival: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the differences between a festival of a tally and all rows of one dimension of a totals document."""
    differences: list[str] = []
    dimension = next((name for name in DIMENSIONS if any(name in row for row in rows)), None)
    if dimension is None:
        return ["by: the rows carry no known dimension"] if rows else []
    expected = festival.get("by", {}).get(dimension, {})
    found = {row[dimension]: row for row in rows}
    for value in sorted({*expected, *found}):
        row = expected.get(value, {})
        for name in row or ("orders", "payments", "money", *COUNTED):
            found_row = found.get(value, {})
            _differ(differences, f"{dimension} {value}: {name}", row.get(name, 0), _counted(name, found_row))
    return differences


def _counted(name: str, document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return a part of a document, of parcels and boxes only what a tally knows."""
    found = document.get(name)
    return {key: found.get(key) for key in COUNTED[name]} if name in COUNTED and found else found


def _differ(differences: list[str], name: str, expected: Any, found: Any) -> None:  # noqa: ANN401 - JSON
    """Append the differences of two JSON values; what is missing on one side counts as 0."""
    if isinstance(expected, Mapping) or isinstance(found, Mapping):
        left = expected if isinstance(expected, Mapping) else {}
        right = found if isinstance(found, Mapping) else {}
        for key in sorted({*left, *right}):
            _differ(differences, f"{name} {key}", left.get(key), right.get(key))
    elif (expected or 0) != (found or 0):
        differences.append(f"{name}: expected {expected or 0}, found {found or 0}")

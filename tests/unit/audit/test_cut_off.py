"""The audit of a log that has lost its beginning: what is left is compared, and what is wrong in it is found."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import pytest

from streams.domain.built_in import ROLLUPS
from streams.domain.pages import cursor_key, decode_cursor, decode_page, encode_cursor, encode_page
from tests.unit.audit.bench import START_MS, Bench, encode, order

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = ("orders", 0)
MINUTE_MS = 60_000
RECORDS = 600
PACE_MS = 6_000
"""Between two records: the log is an hour long."""


def filled(directory: Path, seed: int = 1, brands: int = 9, **changes: Any) -> Bench:  # noqa: ANN401 - declarations
    """Return a ledger with resends, bad records, late ones, and events that follow much older orders."""
    draw, bench = random.Random(seed), Bench(directory, **changes)  # noqa: S311 - a test
    records: list[tuple[int, bytes | None]] = []
    for number in range(RECORDS):
        time_ms = START_MS + number * PACE_MS
        ts = time_ms - draw.choice((0, 0, 0, 8_000, 20 * MINUTE_MS, -4 * MINUTE_MS))
        fields = order(f"e{number}", ts=ts, merchant=f"m{draw.randrange(5)}", brand=f"b{draw.randrange(brands)}")
        if draw.random() < 0.1:
            fields["type"], fields["ordered_ts"] = "order_cancelled", ts - 30 * MINUTE_MS
        value = encode(fields) if draw.random() > 0.05 else b"{"
        again = [value for _, value in records[-80:]]
        records.append((time_ms, draw.choice(again) if again and draw.random() < 0.1 else value))
    bench.count(*ORDERS, records)
    bench.commit()
    return bench


@pytest.mark.parametrize("first", [1, 50, 300, RECORDS - 1, RECORDS])
def test_what_is_left_of_an_honest_ledgers_log_is_exact(tmp_path: Path, first: int) -> None:
    result = filled(tmp_path).audit(beginnings={ORDERS: first})
    assert result.differences == []
    assert result.is_exact
    assert result.records == RECORDS - first


def test_values_that_a_partition_has_no_room_for_are_told_by_the_ledger(tmp_path: Path) -> None:
    """The ledger met them in another order than the rest of the log has."""
    narrow = tuple(dataclasses.replace(rollup, limit=20) for rollup in ROLLUPS)
    bench = filled(tmp_path, brands=400, rollups=narrow)
    assert bench.audit().is_exact
    assert bench.audit(beginnings={ORDERS: 300}).is_exact


def changed(bench: Bench, at_ms: int, by: int) -> None:
    """Change the count of orders in the second of `at_ms`."""
    second = (at_ms - START_MS) // 1000
    for where, value in bench.pages.items():
        key = orjson.loads(where[1])
        if key[1:4:2] != ["page", "orders_by_second"] or key[4] != second // 300:
            continue
        page = decode_page(value)
        low = page.cells().copy()
        low[0, second % 300] += by
        bench.pages[where] = encode_page(msgspec.structs.replace(page, low=low.tobytes()))
        return
    raise AssertionError("no such page")


def test_behind_all_that_is_gone_one_order_too_many_is_found(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    changed(bench, START_MS + 55 * MINUTE_MS, 1)
    result = bench.audit(beginnings={ORDERS: 100})
    assert [(d.measure, d.where["rollup"]) for d in result.differences] == [("orders", "orders_by_second")]


def test_where_something_is_gone_too_few_is_found_and_too_many_cannot_be(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    changed(bench, START_MS + 11 * MINUTE_MS, 1)
    assert bench.audit(beginnings={ORDERS: 100}).is_exact
    assert not bench.audit().is_exact
    for minute in range(34, 50):
        changed(bench, START_MS + minute * MINUTE_MS, -1)
    assert not bench.audit(beginnings={ORDERS: 300}).is_exact


def test_a_record_that_was_not_set_aside_is_found_in_what_is_left(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    del bench.rejected[-1]
    result = bench.audit(beginnings={ORDERS: 100})
    assert [difference.measure for difference in result.differences] == ["rejected_records"]


def test_a_cursor_that_says_too_little_is_found(tmp_path: Path) -> None:
    bench = filled(tmp_path)
    key = (0, cursor_key("g1"))
    cursor = decode_cursor(bench.pages[key])
    less = msgspec.structs.replace(cursor, outcomes={"orders": {"counted": 10}}, max_event_times_ms={"orders": 1})
    bench.pages[key] = encode_cursor(less)
    assert {d.measure for d in bench.audit(beginnings={ORDERS: 100}).differences} >= {
        "counted",
        "duplicate",
        "max_event_time_ms",
    }

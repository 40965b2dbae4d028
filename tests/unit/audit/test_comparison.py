"""The audit finds what is wrong, names it, and finds nothing where nothing is wrong."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.audit.admission import SHAPES
from streams.domain.built_in import ROLLUPS
from streams.domain.pages import Page, cursor_key, decode_cursor, decode_page, encode_cursor, encode_page
from streams.festivals import load_festivals
from tests.unit.audit.bench import DAY_MS, RECORD_TIME_MS, START_MS, Bench, box, encode, order, parcel, payment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def mixed_load(bench: Bench) -> None:
    """Count something of everything: all types, both topics, two partitions, every outcome."""
    for partition in (0, 1):
        bench.send(
            "orders",
            partition,
            *(encode(order(f"e{i}", merchant=f"m{i % 5}", ts=START_MS + i * 700)) for i in range(60)),
            encode(order("e3")),
            encode(order("c1", type="order_cancelled", currency="JPY")),
            encode(order("early", ts=START_MS - 1)),
            encode(order("settled", ts=RECORD_TIME_MS + 200_000, ordered_ts=START_MS)),
            b"{",
            None,
        )
        bench.send(
            "payments",
            partition,
            encode(payment("p1")),
            encode(payment("p2", type="payment_failed", reason="declined")),
            encode(payment("p3", type="payment_refunded")),
            encode(payment("p4", brand="b2", currency="JPY")),
            encode(payment("p5", ts=-1)),
        )
    bench.commit()


def send_parcels_and_boxes(bench: Bench) -> None:
    """Count some of every type, on both partitions."""
    for partition in (0, 1):
        bench.send(
            "parcels",
            partition,
            *(encode(parcel(f"d{i}", shipped_ts=START_MS + i * DAY_MS, carrier=f"c{i}")) for i in range(3)),
            encode(parcel("s", type="parcel_shipped")),
            encode(parcel("c", type="parcel_cleared")),
            at=START_MS + 10 * DAY_MS,
        )
        bench.send(
            "recycling",
            partition,
            *(encode(box(f"b{i}", ts=START_MS + i, flash=i % 2 == 0, city=f"x{i}")) for i in range(4)),
            at=START_MS + 10 * DAY_MS,
        )
    bench.commit()


def test_an_honest_ledger_is_exact(bench: Bench) -> None:
    """Nothing differs, and enough was compared for that to mean something."""
    mixed_load(bench)
    result = bench.audit()
    assert result.differences == []
    assert result.is_exact
    assert result.records == 2 * 71
    assert result.compared_cells > 500
    assert result.outcomes["orders"] == {
        "rejected": 4, "duplicate": 2, "counted": 124, "expired": 0, "outside": 2, "late": 4,
    }  # fmt: skip
    assert set(result.difference_by_measure.values()) == {0}
    assert result.totals["singles-day-2019"]["orders"] == {"CNY": 2 * 61, "JPY": 0}


def faults() -> Iterator[tuple[str, int, str]]:
    """Yield each measure of the first rollup that keeps it, and one of each other rollup."""
    planted: set[str] = set()
    for turn, rollup in enumerate(ROLLUPS):
        names = [measure.name for measure in rollup.measures]
        is_first = planted.isdisjoint(names)
        planted.update(names)
        for index, name in enumerate(names):
            if is_first or index == turn % len(names):
                yield rollup.name, index, name


@pytest.mark.parametrize(("rollup", "index", "measure"), list(faults()))
def test_a_fault_planted_in_a_measure_is_found_and_named(tmp_path: Path, rollup: str, index: int, measure: str) -> None:
    """One cell of one page is one more than it should be: that one measure differs, by one, in that rollup."""
    bench = with_all_facts(tmp_path)
    mixed_load(bench)
    send_parcels_and_boxes(bench)
    where = next(k for k in bench.pages if k[0] == 1 and orjson.loads(k[1])[1:4:2] == ["page", rollup])
    bench.pages[where] = encode_page(_with_one_more(decode_page(bench.pages[where]), index))
    result = bench.audit()
    assert not result.is_exact
    assert {name: by for name, by in result.difference_by_measure.items() if by} == {measure: 1}
    (difference,) = result.differences
    assert (difference.measure, difference.where["rollup"], difference.where["partition"]) == (measure, rollup, 1)
    assert isinstance(difference.ledger, int)
    assert difference.ledger - 1 == difference.recount


def _with_one_more(page: Page, index: int) -> Page:
    low = page.cells().copy()
    low[index, int(np.flatnonzero(low.any(axis=0))[0])] += 1
    return msgspec.structs.replace(page, low=low.tobytes())


@pytest.mark.parametrize("topic", ["orders", "payments"])
@pytest.mark.parametrize("name", ["rejected", "duplicate", "counted", "expired", "outside", "late"])
def test_a_fault_planted_in_an_outcome_is_found_and_named(bench: Bench, topic: str, name: str) -> None:
    """Also in one that no record of the log has."""
    mixed_load(bench)
    _change_cursor(bench, "outcomes", topic, name)
    result = bench.audit()
    assert {n for n, by in result.difference_by_measure.items() if by} == {name}


@pytest.mark.parametrize("name", ["not_json", "too_large"])
def test_a_fault_planted_in_a_reason_is_found_and_named(bench: Bench, name: str) -> None:
    """The number of rejected records is kept per reason."""
    mixed_load(bench)
    _change_cursor(bench, "rejected", "orders", name)
    assert {n for n, by in bench.audit().difference_by_measure.items() if by} == {f"rejected_{name}"}


@pytest.mark.parametrize("field", ["stream_times_ms", "max_event_times_ms"])
def test_a_wrong_time_in_the_cursor_is_found(bench: Bench, field: str) -> None:
    """What later verdicts depend on is compared too."""
    mixed_load(bench)
    _change_cursor(bench, field, "payments")
    assert not bench.audit().is_exact


def _change_cursor(bench: Bench, field: str, *path: str) -> None:
    where = (0, cursor_key("g1"))
    cursor = decode_cursor(bench.pages[where])
    counts: dict[str, Any] = getattr(cursor, field)
    for name in path[:-1]:
        counts = counts[name]
    counts[path[-1]] = counts.get(path[-1], 0) + 1
    bench.pages[where] = encode_cursor(cursor)


def test_a_bad_record_not_set_aside_is_found(bench: Bench) -> None:
    """And the record is named."""
    mixed_load(bench)
    lost = bench.rejected.pop()
    result = bench.audit()
    (difference,) = result.differences
    assert difference.measure == "rejected_records"
    assert difference.where["offset"] == lost.offset
    assert (difference.ledger, difference.recount) == (0, 1)


def test_a_bad_record_set_aside_twice_is_found(bench: Bench) -> None:
    """Exactly once means not twice."""
    mixed_load(bench)
    bench.rejected.append(bench.rejected[0])
    (difference,) = bench.audit().differences
    assert (difference.measure, difference.ledger, difference.recount) == ("rejected_records", 2, 1)


@pytest.mark.parametrize(
    "change", [{"value": b"other"}, {"key": None}, {"value": None}], ids=["other bytes", "no key", "no value"]
)
def test_a_rejected_record_with_other_bytes_is_found(bench: Bench, change: dict[str, Any]) -> None:
    """What is set aside is what was sent."""
    mixed_load(bench)
    bench.rejected[0] = dataclasses.replace(bench.rejected[0], **change)
    (difference,) = bench.audit().differences
    assert difference.where["problem"] == "other bytes or headers"


def test_a_good_record_set_aside_is_found(bench: Bench) -> None:
    """Offset 0 of the orders is a good one."""
    mixed_load(bench)
    bench.rejected.append(dataclasses.replace(bench.rejected[0], offset=0))
    (difference,) = bench.audit().differences
    assert "a good record" in difference.where["problem"]


def test_a_page_that_cannot_be_read_is_a_difference_and_no_crash(bench: Bench) -> None:
    """The audit is for ledgers that are not as they should be."""
    mixed_load(bench)
    where = next(key for key in bench.pages if b"orders_by_brand" in key[1])
    bench.pages[where] = b"not a page"
    result = bench.audit()
    assert "page" in result.difference_by_measure
    assert result.difference_by_measure["orders"] > 0


def test_a_page_of_an_undeclared_rollup_is_a_difference(bench: Bench) -> None:
    """A total nobody declared would be shown by nobody, but it is no ledger of ours."""
    mixed_load(bench)
    bench.pages[0, orjson.dumps(["g1", "page", "singles-day-2019", "orders_by_moon", 0])] = b""
    bench.pages[0, b"no key of ours"] = b""
    assert [d.measure for d in bench.audit().differences] == ["page", "page"]


def test_festival_edges_are_read_again_and_compared(tmp_path: Path) -> None:
    """A ledger counted under edges that are not the file's is named, even though it is consistent with itself."""
    festival = load_festivals()["singles-day-2019"]
    shifted = dataclasses.replace(festival, end_ms=festival.end_ms + 1)
    bench = Bench(tmp_path / "audit", festivals={"singles-day-2019": shifted})
    bench.send("orders", 0, encode(order("a")))
    bench.commit()
    (difference,) = bench.audit().differences
    assert (difference.measure, difference.where["field"]) == ("festival", "end_ms")


def test_sums_beyond_64_bits_are_compared_exactly(bench: Bench) -> None:
    """1,000,000 orders of 10^13 pass 2^63; a difference of 1 in such a sum is still seen."""
    amounts = [encode(order(f"e{i}", amount_minor=10**13, coupon_minor=0, credit_minor=0)) for i in range(1_000)]
    bench.send("orders", 0, *amounts)
    table = bench.processors[0].count_waiting().tables["singles-day-2019", "orders_by_brand"]
    bench.commit()
    assert bench.audit().is_exact
    where, value = next((k, v) for k, v in bench.pages.items() if b"orders_by_brand" in k[1])
    page = decode_page(value)
    assert page.groups == (("b1", "CNY"),)
    assert table.rollup.measures[2].name == "gross_minor"
    high = np.zeros_like(page.cells())
    high[2, 0] = 3
    bench.pages[where] = encode_page(msgspec.structs.replace(page, high=high.tobytes()))
    (difference,) = bench.audit().differences
    assert (difference.ledger, difference.recount) == (3 * 2**62 + 10**16, 10**16)


EVENTS = {"orders": order, "payments": payment, "parcels": parcel, "recycling": box}
OPTIONAL = ("brand", "category", "shipped_ts", "flash")
PAYER = ("payer_currency", "payer_amount_minor", "transport_minor", "duty_minor")

Batch = tuple[str, int, list[tuple[int, bytes | None]]]


@st.composite
def logs(draw: st.DrawFn) -> tuple[int, list[Batch]]:
    """Return a limit on cells and batches of (topic, partition, records) with everything that decides a verdict."""
    limit = draw(st.sampled_from([1, 2, 200]))
    chaos = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - drawn by hypothesis, which prints it
    at = chaos.choice([RECORD_TIME_MS, START_MS + 2 * DAY_MS, START_MS + 32 * DAY_MS])
    batches = []
    for _ in range(chaos.randint(1, 12)):
        topic, partition = chaos.choice(list(EVENTS)), chaos.randint(0, 1)
        records = []
        for _ in range(chaos.randint(1, 25)):
            at = max(0, at + chaos.choice([0, 0, 1, 20_000, 60_000, 600_000, -30_000]))
            records.append((at, _any_record(chaos, topic, at)))
        batches.append((topic, partition, records))
    return limit, batches


def _any_record(chaos: random.Random, topic: str, at: int) -> bytes | None:
    if chaos.random() < 0.1:
        return chaos.choice([None, b"", b"{", b"[]", b'{"type":"x"}'])
    settled = START_MS + 31 * DAY_MS
    times = [START_MS, START_MS + DAY_MS - 1, START_MS + DAY_MS, START_MS - 1, at, settled, settled + 1,
             chaos.randint(START_MS, START_MS + DAY_MS)]  # fmt: skip
    ts = min(at + 300_000, chaos.choice(times))
    changes: dict[str, Any] = {
        "type": chaos.choice(list(SHAPES[topic])),
        "reason": "declined",
        "ts": ts,
        "ordered_ts": chaos.choice([ts, START_MS, START_MS + DAY_MS - 1, START_MS + DAY_MS]),
        "shipped_ts": ts - chaos.choice([-1, 0, DAY_MS - 1, DAY_MS, 60 * DAY_MS, 61 * DAY_MS]),
        "amount_minor": chaos.choice([37, 10**13, chaos.randint(40, 10**6)]),
        "coupon_minor": chaos.choice([0, 5]),
        "boxes": chaos.choice([1, 10**13]),
        "merchant": f"m{chaos.randint(0, 4)}",
        "brand": chaos.choice(["b1", "b2", "b\x00", "ß", "B1"]),
        "carrier": f"c{chaos.randint(0, 3)}",
        "flash": chaos.choice([True, False]),
        "currency": chaos.choice(["CNY", "JPY", "USD"]),
    }
    value = EVENTS[topic](f"e{chaos.randint(0, 12)}", **changes)
    dropped = [name for name in OPTIONAL if chaos.random() < 0.4]
    dropped += ["ordered_ts"] if topic != "parcels" and chaos.random() < 0.4 else []
    dropped += PAYER if chaos.random() < 0.4 else []
    return encode({name: field for name, field in value.items() if name not in dropped})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs())
def test_the_counter_and_the_audit_agree_on_any_log(tmp_path: Path, log: tuple[int, list[Batch]]) -> None:
    """Duplicates at the horizon's edge, late, expired, outside, limits, edges of the day, bad records: cell by cell."""
    limit, batches = log
    bench = with_all_facts(tmp_path, rollups=tuple(dataclasses.replace(r, limit=limit) for r in ROLLUPS))
    for topic, partition, records in batches:
        bench.count(topic, partition, records)
        bench.commit()
    assert bench.audit().differences == []


def with_all_facts(directory: Path, **changes: Any) -> Bench:  # noqa: ANN401 - fields of Declarations
    """Return a counter and an audit of the 2019 day that count all four topics."""
    festival = load_festivals()["singles-day-2019"]
    festivals = {festival.id: dataclasses.replace(festival, facts=tuple(EVENTS))}
    bench = Bench(directory / "audit", festivals=festivals, **changes)
    edition = bench.calendar[festival.id]
    bench.calendar = {festival.id: dataclasses.replace(edition, facts=frozenset(EVENTS))}
    return bench


def test_a_field_of_another_type_is_nothing_to_the_audit_either(tmp_path: Path) -> None:
    """`shipped_ts` belongs to parcels under way; on a shipped one it is unknown, whatever stands there."""
    bench = with_all_facts(tmp_path)
    bench.send(
        "parcels",
        0,
        encode(parcel("a", type="parcel_shipped", shipped_ts="soon", ts=START_MS + 2_000)),
        encode(parcel("b", ts=START_MS + DAY_MS, shipped_ts=START_MS)),
        at=START_MS + 10 * DAY_MS,
    )
    bench.commit()
    result = bench.audit()
    assert result.differences == []
    assert result.totals["singles-day-2019"]["delivered"] == {"": 1}


MINUTE_MS = 60_000


@pytest.mark.parametrize(("minutes", "ids"), [(0, 1), (10, 1), (11, 0)])
def test_an_id_in_two_partitions_is_noted_within_the_horizon_and_is_no_difference(
    bench: Bench, minutes: int, ids: int
) -> None:
    bench.send("orders", 0, encode(order("a")), encode(order("again")), encode(order("again")))
    bench.send("orders", 1, encode(order("a")), at=RECORD_TIME_MS + minutes * MINUTE_MS)
    bench.send("payments", 1, encode(payment("again")), encode(payment("b")))
    bench.commit()
    result = bench.audit()
    assert result.is_exact, result.differences
    expected = [{"event_id": "a", "places": [{"partition": 0, "offset": 0}, {"partition": 1, "offset": 0}]}]
    notes = result.document()["notes"]
    assert [note["example"] for note in notes] == expected[:ids]
    assert all((note["topic"], note["ids"]) == ("orders", 1) for note in notes)


def test_an_id_that_two_partitions_saw_in_turns_is_noted_once(bench: Bench) -> None:
    for partition, minutes in ((0, 0), (1, 20), (0, 40), (1, 45)):
        bench.send("orders", partition, encode(order("a")), at=RECORD_TIME_MS + minutes * MINUTE_MS)
    bench.send("orders", 1, encode(order("b")))
    bench.commit()
    (note,) = bench.audit().notes
    assert (note.ids, note.event_id, note.places) == (1, "a", ((0, 1), (1, 1)))

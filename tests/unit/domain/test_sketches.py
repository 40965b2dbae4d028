"""Distinct counts: right within their bounds, whatever is added again, split, merged or restored."""

from __future__ import annotations

import numpy as np
import pytest
from datasketches import hll_sketch, tgt_hll_type

from streams.domain.declarations import Declarations
from streams.domain.ledger import Ledger
from streams.domain.pages import Page, decode_page
from streams.domain.rollups import NONE
from streams.domain.sketches import DISTINCTS, LG_REGISTERS, SketchTable, _Registers, estimate
from streams.domain.texts import hash_texts
from tests.unit.domain.samples import box, declarations, encode, order

TEXTS = [f"buyer {n}" for n in range(20_000)]
HASHES = hash_texts(TEXTS)


def page_of(table: SketchTable) -> bytes:
    """Return the sketch as its page holds it."""
    ((number, page),) = table.pages()
    assert number == 0
    return page.low


def sketch_of(*texts: str) -> bytes:
    """Return the sketch of texts."""
    table = SketchTable()
    table.fold(hash_texts(texts))
    return page_of(table)


def test_the_exact_number_lies_within_the_bounds() -> None:
    for count in (0, 1, 7, 500, 20_000):
        found = estimate([sketch_of(*TEXTS[:count])] if count else [])
        assert found.low <= count <= found.high
        assert found.low <= found.count <= found.high
        assert found.high - found.low <= 1 + count // 20


def test_adding_again_changes_nothing_and_absent_texts_are_none() -> None:
    once, twice = SketchTable(), SketchTable()
    once.fold(HASHES)
    twice.fold(hash_texts([*TEXTS[:9_000], NONE]))
    twice.fold(HASHES)
    twice.fold(hash_texts([NONE]))
    assert page_of(once) == page_of(twice)


@pytest.mark.parametrize(("texts", "at_once"), [(12_000, 50), (300_000, 7_000)])
def test_what_is_held_back_would_have_changed_nothing(texts: int, at_once: int) -> None:
    table, sketch = SketchTable(), hll_sketch(LG_REGISTERS, tgt_hll_type.HLL_8)
    hashes = hash_texts([f"buyer {n}" for n in range(texts)])
    for first in range(0, len(hashes), at_once):
        part = hashes[first : first + at_once]
        table.fold(part)
        for number in part.view(np.int64).tolist():
            sketch.update(number)
        assert page_of(table) == sketch.serialize_compact()


def test_a_restored_sketch_goes_on_as_if_it_had_never_stopped() -> None:
    for before in (3, 100, 9_000):
        through, first, second = SketchTable(), SketchTable(), SketchTable()
        through.fold(HASHES)
        first.fold(HASHES[:before])
        ((number, value),) = first.take_changed()
        second.load(number, decode_page(value))
        assert not list(second.take_changed())
        second.fold(HASHES[before - 2 :])
        assert estimate([page_of(second)]) == estimate([page_of(through)])
        assert list(first.take_changed()) == []


def test_partitions_are_merged_without_counting_anybody_twice() -> None:
    parts = [sketch_of(*TEXTS[:12_000]), sketch_of(*TEXTS[8_000:])]
    found = estimate(parts)
    assert found.low <= len(TEXTS) <= found.high


def test_what_is_no_sketch_is_refused() -> None:
    with pytest.raises(ValueError, match="no sketch"):
        estimate([b"\x00"])
    with pytest.raises(ValueError, match="no page 1"):
        SketchTable().load(1, Page((), 1, 1, b"", None))
    smaller = bytearray(sketch_of("a"))
    smaller[3] = 12  # log2 of the registers
    with pytest.raises(ValueError, match="2\\^12 registers"):
        estimate([bytes(smaller)])


def test_the_ledger_counts_buyers_stations_and_participants_of_counted_events_only() -> None:
    ledger = Ledger(declarations())
    orders = [order(event_id=f"e{n}", buyer=f"b{n % 5}") for n in range(20)]
    orders += [order(event_id="x", buyer="gone", type="order_cancelled"), order(event_id="y", buyer=None)]
    orders += [order(event_id="z", buyer="early", ts=1)]
    boxes = [box(event_id=f"e{n}", station=f"s{n % 3}", user=f"u{n % 7}" if n % 2 else None) for n in range(40)]
    for topic, events in (("orders", orders), ("recycling", boxes)):
        ledger.apply(topic, [encode(event) for event in events], [events[0]["ts"]] * len(events))
    counts = {name: estimate([page_of(table)]).count for (_, name), table in ledger.sketches.items()}
    assert counts == {"buyers": 5, "stations": 3, "participants": 7}


def test_what_is_distinct_is_part_of_the_fingerprint() -> None:
    without = Declarations(declarations().festivals, 0, 10, distincts=())
    assert [distinct["name"] for distinct in declarations().document()["distincts"]] == [d.name for d in DISTINCTS]
    assert without.fingerprint != Declarations(declarations().festivals, 0, 10).fingerprint
    assert Ledger(without).sketches == {}


def test_what_was_added_is_never_added_again_and_later_little_of_what_is_new() -> None:
    registers = _Registers()
    hashes = hash_texts([f"buyer {n}" for n in range(200_000)])
    first = registers.changing(hashes[:100_000])
    assert len(registers.changing(hashes[:100_000])) == 0
    assert first.tolist() == hashes[:100_000].tolist()
    assert len(registers.changing(hashes[100_000:])) < 30_000


def test_a_sketch_of_few_texts_is_exact_and_has_bounds_around_it() -> None:
    for count in (1, 2, 50):
        found = estimate([sketch_of(*TEXTS[:count])])
        assert (found.low, found.count) == (count, count)
        assert count <= found.high <= count + 1


def test_a_sketch_takes_registers_only_once_it_holds_too_many_texts_to_keep_them_all() -> None:
    table = SketchTable()
    table.fold(HASHES[:1_000])
    assert table._registers is None
    table.fold(HASHES)
    assert table._registers is not None
    table.fold(HASHES)
    list(table.take_changed())
    table.fold(HASHES)
    assert list(table.take_changed()) == []

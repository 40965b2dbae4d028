"""Laws of the ledger: batching, order, resends and crashes never change a total."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.domain.rollups import ROLLUPS
from streams.domain.texts import VOCABULARY_LIMIT
from streams.native import IS_BUILT
from tests.property.ledgers import FESTIVALS, TOPICS, Disk, Record, all_pages, batches, cells_of, logs, new_processor
from tests.property.oracle import Oracle
from tests.unit.domain import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.declarations import Declarations

DECLARATIONS = samples.declarations(*FESTIVALS)
TIGHT = samples.declarations(*FESTIVALS, rollups=tuple(dataclasses.replace(r, limit=2) for r in ROLLUPS))
"""Two values per dimension, so that most logs overflow into `__other__`."""
CUTS = st.lists(st.integers(0, 200), max_size=8)


def counted(declarations: Declarations, records: Sequence[Record], cuts: Sequence[int] = ()) -> Disk:
    """Return what one uninterrupted count with a checkpoint per batch leaves behind."""
    processor, disk = new_processor(declarations), Disk()
    for batch in batches(records, cuts):
        processor.apply(batch)
        disk.write(processor.cut())
    return disk


def asked(declarations: Declarations, records: Sequence[Record], rejected: set[int]) -> Oracle:
    """Return the oracle after the same records; `rejected` are positions in `records`."""
    oracle = Oracle(declarations)
    for index, record in enumerate(records):
        oracle.count(record.topic, [record.value], [record.record_time_ms], {0} if index in rejected else set())
    return oracle


_TYPE_BEGINNINGS = {"orders": b"order_", "payments": b"payment_", "parcels": b"parcel_", "recycling": b"box_"}


def rejected_positions(records: Sequence[Record]) -> set[int]:
    """Return which records of a log are the poison that `logs` mixes in: no event type, or a negative amount."""
    return {i for i, r in enumerate(records) if b'"type":"%b' % _TYPE_BEGINNINGS[r.topic] not in r.value} | {
        i for i, r in enumerate(records) if b'"amount_minor":-1' in r.value
    }


@given(logs(), CUTS)
def test_every_cell_and_outcome_equals_the_oracle(records: list[Record], cuts: list[int]) -> None:
    for declarations in (DECLARATIONS, TIGHT):
        processor, disk = new_processor(declarations), Disk()
        for batch in batches(records, cuts):
            processor.apply(batch)
            disk.write(processor.cut())
        oracle = asked(declarations, records, rejected_positions(records))
        assert cells_of(declarations, disk.pages) == oracle.nonzero()
        for topic in TOPICS:
            assert +processor.outcomes[topic] == oracle.outcomes[topic]
        assert len(disk.rejected) == sum(c["rejected"] for c in oracle.outcomes.values())


@given(logs(), CUTS, CUTS)
def test_batching_never_changes_a_page(records: list[Record], cuts: list[int], other_cuts: list[int]) -> None:
    one, other = new_processor(TIGHT), new_processor(TIGHT)
    for batch in batches(records, cuts):
        one.apply(batch)
    for batch in batches(records, other_cuts):
        other.apply(batch)
    assert all_pages(one) == all_pages(other)
    assert one.outcomes == other.outcomes
    assert one.rejected == other.rejected


@given(logs())
def test_the_order_between_topics_never_changes_a_page(records: list[Record]) -> None:
    by_topic = sorted(records, key=lambda record: record.topic)
    mixed, sorted_ = new_processor(TIGHT), new_processor(TIGHT)
    for batch in batches(records, range(len(records))):
        mixed.apply(batch)
    for batch in batches(by_topic):
        sorted_.apply(batch)
    assert all_pages(mixed) == all_pages(sorted_)


@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_events_never_changes_a_total(records: list[Record], random: object) -> None:
    distinct: dict[tuple[str, bytes], Record] = {}
    for number, record in enumerate(records):
        unique = record.value.replace(b'"event_id":"', b'"event_id":"%d-' % number)
        distinct[record.topic, unique] = Record(record.topic, unique, records[0].record_time_ms)
    shuffled = list(distinct.values())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = counted(DECLARATIONS, list(distinct.values())), counted(DECLARATIONS, shuffled)
    assert cells_of(DECLARATIONS, one.pages) == cells_of(DECLARATIONS, other.pages)


@given(logs(), st.data())
def test_a_resend_within_the_horizon_never_counts(records: list[Record], data: st.DataObject) -> None:
    at_once = [Record(r.topic, r.value, RECORD_TIME) for r in records for RECORD_TIME in [records[0].record_time_ms]]
    resent = list(at_once)
    for record in data.draw(st.lists(st.sampled_from(at_once), max_size=10)) if at_once else []:
        where = data.draw(st.integers(resent.index(record) + 1, len(resent)))
        resent.insert(where, Record(record.topic, record.value, record.record_time_ms))
    assert cells_of(DECLARATIONS, counted(DECLARATIONS, at_once).pages) == cells_of(
        DECLARATIONS, counted(DECLARATIONS, resent).pages
    )


@given(logs(), CUTS)
def test_neither_the_compiled_part_nor_a_full_vocabulary_changes_a_byte_of_what_is_written(
    records: list[Record], cuts: list[int]
) -> None:
    expected = counted(TIGHT, records, cuts)
    for is_compiled in {IS_BUILT, False}:
        # Texts are forgotten before every batch, before some, or never.
        for limit in (1, 5, VOCABULARY_LIMIT):
            processor, disk = new_processor(TIGHT), Disk()
            for topic, fact in FACTS.items():
                theirs = processor.ledger._decoders[topic]
                processor.ledger._decoders[topic] = Decoder(
                    fact, theirs._coded, theirs._hashed, is_compiled=is_compiled, vocabulary_limit=limit
                )
            for batch in batches(records, cuts):
                processor.apply(batch)
                disk.write(processor.cut())
            assert vars(disk) == vars(expected)


@given(logs(), CUTS, st.lists(st.sampled_from(("commit", "lose", "keep")), min_size=20, max_size=20))
def test_a_crash_anywhere_and_a_replay_from_the_cursor_give_the_same_ledger(
    records: list[Record], cuts: list[int], fates: list[str]
) -> None:
    expected = new_processor(TIGHT)
    for batch in batches(records, cuts):
        expected.apply(batch)

    processor, disk = new_processor(TIGHT), Disk()
    for batch, fate in zip(batches(records, cuts), fates * 2, strict=False):
        processor.apply(batch)
        if fate == "commit":
            disk.write(processor.cut())
        elif fate == "lose":
            processor.cut()
            processor = disk.restore(TIGHT)
            for earlier in batches(records, cuts):
                if earlier.next_offset <= batch.next_offset or earlier.topic != batch.topic:
                    _apply_known(processor, earlier)
    for batch in batches(records, cuts):
        _apply_known(processor, batch)
    disk.write(processor.cut())

    assert all_pages(processor) == all_pages(expected)
    assert processor.outcomes == expected.outcomes
    restored = disk.restore(TIGHT)
    assert all_pages(restored) == all_pages(expected)
    assert restored.positions == expected.positions
    offsets = Counter(disk.rejected)
    assert sum(offsets.values()) == sum(c["rejected"] for c in expected.outcomes.values())


def _apply_known(processor: object, batch: object) -> None:
    """Deliver a batch again, unless it lies beyond the position (the transport would rewind)."""
    if batch.start <= processor.positions[batch.topic]:  # type: ignore[attr-defined]
        processor.apply(batch)  # type: ignore[attr-defined]

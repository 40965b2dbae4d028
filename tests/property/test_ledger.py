"""Laws of the ledger: batching, order, resends and crashes never change a total."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.built_in import ROLLUPS
from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.domain.texts import VOCABULARY_LIMIT
from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.steps import Step, crash_at
from streams.native import IS_BUILT
from tests.property.ledgers import (
    FESTIVALS,
    TOPICS,
    Counted,
    Record,
    all_pages,
    batches,
    cells_of,
    logs,
    new_processor,
    outcomes,
    rejections,
    restored,
)
from tests.property.oracle import Oracle
from tests.unit.domain import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.declarations import Declarations
    from streams.engine.checkpoint import Checkpoint
    from streams.engine.memory import MemoryPartitionStore
    from streams.engine.processor import PartitionProcessor

DECLARATIONS = samples.declarations(*FESTIVALS)
TIGHT = samples.declarations(*FESTIVALS, rollups=tuple(dataclasses.replace(r, limit=2) for r in ROLLUPS))
"""Two values per dimension, so that most logs overflow into `__other__`."""
CUTS = st.lists(st.integers(0, 200), max_size=8)


def commit(processor: PartitionProcessor, owner: MemoryPartitionStore) -> None:
    """Commit what changed, if anything did."""
    checkpoint = processor.cut()
    if checkpoint is not None:
        owner.commit_now(checkpoint)


def count(processor: PartitionProcessor, records: Sequence[Record], cuts: Sequence[int] = ()) -> Counted:
    """Return what one uninterrupted count by `processor` with a checkpoint per batch leaves behind."""
    found = Counted()
    owner = found.owner()
    for batch in batches(records, cuts):
        processor.apply(batch)
        commit(processor, owner)
    return found


def counted(declarations: Declarations, records: Sequence[Record], cuts: Sequence[int] = ()) -> Counted:
    """Return what one uninterrupted count with a checkpoint per batch leaves behind."""
    return count(new_processor(declarations), records, cuts)


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
        processor = new_processor(declarations)
        found = count(processor, records, cuts)
        oracle = asked(declarations, records, rejected_positions(records))
        assert cells_of(declarations, found.committed.pages) == oracle.nonzero()
        for topic in TOPICS:
            assert +outcomes(processor)[topic] == oracle.outcomes[topic]
        assert len(found.rejected) == sum(c["rejected"] for c in oracle.outcomes.values())


@given(logs(), CUTS, CUTS)
def test_batching_never_changes_a_page(records: list[Record], cuts: list[int], other_cuts: list[int]) -> None:
    one, other = new_processor(TIGHT), new_processor(TIGHT)
    for batch in batches(records, cuts):
        one.apply(batch)
    for batch in batches(records, other_cuts):
        other.apply(batch)
    assert all_pages(one) == all_pages(other)
    assert outcomes(one) == outcomes(other)
    assert rejections(one) == rejections(other)


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
    assert cells_of(DECLARATIONS, one.committed.pages) == cells_of(DECLARATIONS, other.committed.pages)


@given(logs(), st.data())
def test_a_resend_within_the_horizon_never_counts(records: list[Record], data: st.DataObject) -> None:
    at_once = [Record(r.topic, r.value, RECORD_TIME) for r in records for RECORD_TIME in [records[0].record_time_ms]]
    resent = list(at_once)
    for record in data.draw(st.lists(st.sampled_from(at_once), max_size=10)) if at_once else []:
        where = data.draw(st.integers(resent.index(record) + 1, len(resent)))
        resent.insert(where, Record(record.topic, record.value, record.record_time_ms))
    once, again = (counted(DECLARATIONS, log).committed.pages for log in (at_once, resent))
    assert cells_of(DECLARATIONS, once) == cells_of(DECLARATIONS, again)


@given(logs(), CUTS)
def test_neither_the_compiled_part_nor_a_full_vocabulary_changes_a_byte_of_what_is_written(
    records: list[Record], cuts: list[int]
) -> None:
    expected = counted(TIGHT, records, cuts)
    for is_compiled in {IS_BUILT, False}:
        # Texts are forgotten before every batch, before some, or never.
        for limit in (1, 5, VOCABULARY_LIMIT):
            processor = new_processor(TIGHT)
            for topic, fact in FACTS.items():
                theirs = processor.count_waiting()._decoders[topic]
                processor.count_waiting()._decoders[topic] = Decoder(
                    fact, theirs._coded, theirs._hashed, is_compiled=is_compiled, vocabulary_limit=limit
                )
            found = count(processor, records, cuts)
            assert found.committed == expected.committed
            assert found.rejected == expected.rejected


FATES = st.sampled_from(("commit", "lose", "keep", *Step))
"""A batch's count is committed, lost before a commit, kept for a later one, or the commit fails at a step."""
SIZES = st.sampled_from((1, 2, 5, None))


@given(logs(), st.lists(st.tuples(st.sampled_from(TOPICS), SIZES, FATES), max_size=30))
def test_a_crash_anywhere_and_a_replay_from_the_cursor_give_the_same_ledger(
    records: list[Record], turns: list[tuple[str, int | None, str]]
) -> None:
    expected = new_processor(TIGHT)
    for batch in batches(records):
        expected.apply(batch)

    found = Counted(records)
    owner = found.owner()
    processor = restored(TIGHT, owner)
    last: list[tuple[str, int | None, str]] = [(topic, None, "commit") for topic in TOPICS]
    for topic, size, fate in turns + last:
        processor.apply(found.kafka.fetch(topic, 0, processor.positions[topic], max_records=size))
        if fate in set(Step):
            owner = found.owner(crash_at(Step(fate)))
            # Even a commit of nothing but the cursor goes through all steps.
            assert (checkpoint := processor.cut()) is None or _fails(owner, checkpoint)
        elif fate == "commit":
            commit(processor, owner)
        if fate not in {"commit", "keep"}:
            owner = found.owner()
            processor = restored(TIGHT, owner)
    for topic in TOPICS:
        processor.apply(found.kafka.fetch(topic, 0, processor.positions[topic]))
    commit(processor, owner)

    assert all_pages(processor) == all_pages(expected)
    assert outcomes(processor) == outcomes(expected)
    again = restored(TIGHT, found.owner())
    assert all_pages(again) == all_pages(expected)
    assert again.positions == expected.positions
    rejected = [(topic, offset) for topic, offset, _ in found.rejected]
    assert len(rejected) == len(set(rejected)) == sum(c["rejected"] for c in outcomes(expected).values())


def _fails(owner: MemoryPartitionStore, checkpoint: Checkpoint) -> bool:
    try:
        owner.commit_now(checkpoint)
    except OutcomeUnknownError:
        return True
    return False

"""Faults of the program, each planted by itself: the simulation has to find every one of them.

Some of them earlier versions really had. None of this is ever in the product: the tests switch a bug on for the time of
one day, and give the seed that finds it.
"""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import numpy as np

from streams.domain import declarations
from streams.domain.declarations import Declarations
from streams.domain.duplicates import SeenIds
from streams.engine import judgement, ledger_records, recounting
from streams.engine import signals as sig
from streams.engine.checkpoint import OutcomeUnknownError
from streams.engine.clock import BrokerClock
from streams.engine.crew import Crew, Switched
from streams.engine.generations import Generations
from streams.engine.ledger_keys import Kind
from streams.engine.ledger_records import encode_headers
from streams.engine.ledger_view import LedgerView, _Generation
from streams.engine.lifecycle import State
from streams.engine.memory import MemoryLedgerStore, MemoryPartitionStore, Producer
from streams.engine.memory.ledger import TRANSACTION_TIMEOUT_MS
from streams.engine.memory.log import ABORTED, DATA, PartitionLog
from streams.engine.processor import PartitionProcessor
from streams.engine.reading import Reading
from streams.engine.recounting import Reached
from streams.engine.status import HeldReason
from streams.engine.tenure import Tenure
from streams.engine.topic_names import GROUP, LEDGER, SEEN, SOURCES, rejected_topic
from streams.kafka.ledger.follower import LedgerFollower
from tests.simulation import bridge_bugs, recounter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.domain.pages import Digests
    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import Checkpoint, Restored
    from tests.simulation.bridge_bugs import Place


def cursor_first() -> list[Place]:
    """Write the cursor in a transaction of its own, before the rest."""

    def planted(self: MemoryPartitionStore, checkpoint: Checkpoint) -> None:
        encoded = self.live.encode(checkpoint)
        self._send(LEDGER, [encoded.last])
        self._producer.commit()
        self._send(LEDGER, list(encoded.pages.items()))
        self._send(SEEN, list(encoded.seen.items()))
        for record in checkpoint.rejected:
            headers, topic = [encode_headers(record, "")], rejected_topic(record.topic)
            self._producer.send(topic, self._partition, [record.value], [record.key], headers)
        self._producer.commit()

    return [(MemoryPartitionStore, "_commit", planted)]


def no_fence() -> list[Place]:
    """Let every owner write under an id of its own, so that none fences the one before."""
    numbers = iter(range(1_000_000))

    def planted(self: MemoryLedgerStore, partition: int, generation: str) -> Producer:
        name = f"festival-{generation}-{partition}-{next(numbers)}"
        return Producer(self.kafka, name, TRANSACTION_TIMEOUT_MS)

    return [(MemoryLedgerStore, "_fence", planted)]


def offsets_of_the_group() -> list[Place]:
    """Go on at the group's offsets in place of the cursor."""
    restore = MemoryPartitionStore.restore_now

    def planted(self: MemoryPartitionStore) -> Restored:
        restored = restore(self)
        if restored.cursor is not None:
            told = self.store.kafka.groups.offsets(GROUP)
            positions = restored.cursor.positions
            positions.update({topic: told.get((topic, self._partition), offset) for topic, offset in positions.items()})
        return restored

    return [(MemoryPartitionStore, "restore_now", planted)]


def page_without_cursor() -> list[Place]:
    """Leave the cursor out of every tenth checkpoint, as if it had its own interval."""
    commit = MemoryPartitionStore._commit

    def planted(self: MemoryPartitionStore, checkpoint: Checkpoint) -> None:
        if checkpoint.cursor.sequence % 10:
            commit(self, checkpoint)
        else:
            self._send(LEDGER, list(self.live.encode(checkpoint).pages.items()))
            self._producer.commit()

    return [(MemoryPartitionStore, "_commit", planted)]


def resend_forgotten() -> list[Place]:
    """Do not write the hash of an order that was sent again: after a takeover only its first sighting is known."""
    sight = SeenIds.sight

    def planted(self: SeenIds, minute: int, hashes: Any) -> Any:  # noqa: ANN401 - arrays
        known = self._seen_before(np.unique(hashes))
        duplicates = sight(self, minute, hashes)
        newest = self._span[minute].pop()
        self._span[minute].append(newest[~np.isin(newest, known)])
        return duplicates

    return [(SeenIds, "sight", planted)]


def ids_forgotten() -> list[Place]:
    """Do not read the seen ids back at a takeover."""
    return [(PartitionProcessor, "_load_seen", lambda _self, _restored: None)]


def lost_answer_taken_for_a_failure() -> list[Place]:
    """Take a commit whose answer was lost for one that was not made, and make it again."""
    commit = MemoryPartitionStore.commit_now

    def planted(self: MemoryPartitionStore, checkpoint: Checkpoint) -> None:
        try:
            commit(self, checkpoint)
        except OutcomeUnknownError:
            self._producer = self.store._fence(self._partition, self._generation)
            self._is_finished = False
            commit(self, checkpoint)

    return [(MemoryPartitionStore, "commit_now", planted)]


def lost_answer_taken_for_a_success() -> list[Place]:
    """Take a commit whose answer was lost for one that was made, and go on with the ledger in memory."""
    commit = MemoryPartitionStore.commit_now

    def planted(self: MemoryPartitionStore, checkpoint: Checkpoint) -> None:
        try:
            commit(self, checkpoint)
        except OutcomeUnknownError:
            self._producer = self.store._fence(self._partition, self._generation)
            self._is_finished = False

    return [(MemoryPartitionStore, "commit_now", planted)]


def view_before_its_cursor() -> list[Place]:
    """Show pages as they are read, before their cursor has come."""
    add = LedgerView._add

    def planted(self: LedgerView, *record: Any) -> None:  # noqa: ANN401 - passed on
        add(self, *record)
        name, kind, partition, key, value = record
        if kind is Kind.PAGE and value is not None:
            self._by_name.setdefault(name, _Generation()).pages[partition, key] = value

    return [(LedgerView, "_add", planted)]


def lost_abort() -> list[Place]:
    """Count the records of aborted transactions."""
    read = PartitionLog.read

    def planted(self: PartitionLog, offset: int, **options: Any) -> RecordBatch:  # noqa: ANN401 - passed on
        if self.topic not in SOURCES:
            return read(self, offset, **options)
        kinds = self.kinds
        self.kinds = bytearray(DATA if kind == ABORTED else kind for kind in kinds)
        try:
            return read(self, offset, **options)
        finally:
            self.kinds = kinds

    return [(PartitionLog, "read", planted)]


def hole_counted_past() -> list[Place]:
    """Count on behind a hole in what was delivered."""
    apply = PartitionProcessor.apply

    def planted(self: PartitionProcessor, batch: RecordBatch) -> None:
        self.positions[batch.topic] = max(self.positions[batch.topic], batch.start)
        apply(self, batch)

    return [(PartitionProcessor, "apply", planted)]


def counted_twice() -> list[Place]:
    """Count a batch that was delivered before once more."""
    apply = PartitionProcessor.apply

    def planted(self: PartitionProcessor, batch: RecordBatch) -> None:
        position = self.positions[batch.topic]
        if batch.start < position:
            self.positions[batch.topic] = batch.start
        apply(self, batch)
        self.positions[batch.topic] = max(position, self.positions[batch.topic])

    return [(PartitionProcessor, "apply", planted)]


def rejected_outside_of_the_transaction() -> list[Place]:
    """Write rejected records on their own: a takeover counts them, and sets them aside, once more."""
    commit = MemoryPartitionStore._commit

    def planted(self: MemoryPartitionStore, checkpoint: Checkpoint) -> None:
        for record in checkpoint.rejected:
            if not self._is_written_before(record):
                headers, topic = [encode_headers(record, "")], rejected_topic(record.topic)
                self.store.kafka.produce(topic, self._partition, [record.value], [record.key], headers)
        commit(self, dataclasses.replace(checkpoint, rejected=()))

    return [(MemoryPartitionStore, "_commit", planted)]


def rejected_again_after_a_recount() -> list[Place]:
    """Let the new generation set aside what the old one had set aside between the recount and the switch."""
    planted: Callable[[MemoryPartitionStore, object], bool] = lambda self, _record: self.store.counts_beside  # noqa: E731
    return [(MemoryPartitionStore, "_is_written_before", planted)]


def switch_unnoticed() -> list[Place]:
    """Go on with the old generation after a recount."""
    on = Crew.on

    def planted(self: Crew, signal: Any, now_ms: int) -> Any:  # noqa: ANN401 - passed on
        return [] if isinstance(signal, Switched) else on(self, signal, now_ms)

    return [(Crew, "on", planted)]


def stale_answer_accepted() -> list[Place]:
    """Take the answer to an older takeover for one to this takeover."""
    on = Tenure.on

    def planted(self: Tenure, signal: Any, now_ms: int) -> Any:  # noqa: ANN401 - passed on
        if isinstance(signal, sig.Answer):
            signal = dataclasses.replace(signal, takeover=self.takeover)
        return on(self, signal, now_ms)

    return [(Tenure, "on", planted)]


def ledger_kept_after_a_refusal() -> list[Place]:
    """Fence again after a refused commit, and go on with the ledger in memory."""
    fail = Tenure._fail

    def planted(self: Tenure, *said: Any) -> Any:  # noqa: ANN401 - passed on
        kept = self.processor if self.state in {State.COUNTING, State.CUTTING} else None
        found = fail(self, *said)
        self._kept = kept  # type: ignore[attr-defined]
        return found

    read_back = Tenure._on_read_back

    def kept(self: Tenure, signal: sig.ReadBack, now_ms: int) -> Any:  # noqa: ANN401 - passed on
        found = read_back(self, signal, now_ms)
        memory = getattr(self, "_kept", None)
        if memory is not None and self.processor is not None:
            self.processor, self._kept = memory, None  # type: ignore[attr-defined]
        return found

    return [(Tenure, "_fail", planted), (Tenure, "_on_read_back", kept)]


def event_time_forgotten() -> list[Place]:
    """Do not read back how far event time had come: orders that are late are not called so after a takeover."""
    load = PartitionProcessor._load_cursor

    def planted(self: PartitionProcessor, cursor: Any) -> None:  # noqa: ANN401 - passed on
        load(self, cursor)
        for state in self._ledger.topics.values():
            state.max_event_time_ms = None

    return [(PartitionProcessor, "_load_cursor", planted)]


def complete_without_all() -> list[Place]:
    """Call totals complete though partitions have no cursor yet."""
    planted = property(lambda self: self.partitions > 0 and not self.held)
    return [(judgement.Judgement, "is_complete", planted)]


def note_not_left() -> list[Place]:
    """Hold a partition without telling the others why."""
    planted: Callable[..., None] = lambda *_: None  # noqa: E731
    return [(MemoryPartitionStore, "leave_note_now", planted)]


def note_broken_off() -> list[Place]:
    """End a worker all of whose partitions are held before the note of the last one is written."""
    hold = Tenure._hold

    def planted(self: Tenure, *found: Any) -> Any:  # noqa: ANN401 - passed on
        told = hold(self, *found)
        assert self._holding is not None
        self._holding.is_at_rest = True
        return told

    return [(Tenure, "_hold", planted)]


def lag_of_what_is_stable() -> list[Place]:
    """Leave out of the lag what an open transaction holds back."""
    told = judgement._lag_records

    def planted(sources: judgement.Sources, *positions: Any) -> int:  # noqa: ANN401 - passed on
        ranges = {place: r._replace(end=r.stable) for place, r in sources.ranges.items()}
        return told(dataclasses.replace(sources, ranges=ranges), *positions)

    return [(judgement, "_lag_records", planted)]


def shown_while_it_is_read() -> list[Place]:
    """Hand over a checkpoint's cursor before its pages, as a reader does that asks for both by itself."""
    drain = LedgerFollower.drain

    def planted(self: LedgerFollower) -> Any:  # noqa: ANN401 - passed on
        delta = drain(self)
        held_back = getattr(self, "_held_back", {})
        if delta is None or delta.reset:
            return delta
        self._held_back = dict(delta.changed_pages)  # type: ignore[attr-defined]
        return dataclasses.replace(delta, changed_pages=held_back)

    return [(LedgerFollower, "drain", planted)]


def grown_partition_left_out() -> list[Place]:
    """Follow only the partitions that the ledger had in the beginning."""
    return [(LedgerFollower, "_grow", lambda *_: None)]


def own_clock_believed() -> list[Place]:
    """Tell the age of what is committed by the machine's own clock."""
    return [(BrokerClock, "now_ms", lambda self: self._own.now_ms())]


def late_record_believed() -> list[Place]:
    """Take each record for one that was written the moment it came, however long it was on its way."""
    appended = BrokerClock.appended

    def planted(self: BrokerClock, record_time_ms: int, *stream: Any, is_new: bool = True) -> None:  # noqa: ANN401 - passed on
        self._ahead_ms = None
        appended(self, record_time_ms, *stream, is_new=is_new)

    return [(BrokerClock, "appended", planted)]


def beginnings_not_compared() -> list[Place]:
    """Let a recount forget where the generation before it began."""
    take = Reached._take

    def planted(self: Reached, number: int, value: bytes) -> None:
        take(self, number, value)
        self.began.clear()

    return [(Reached, "_take", planted)]


def compared_before_it_begins() -> list[Place]:
    """Compare what a recount would lose before it begins, and not what it has lost by then."""
    return [(recounter, "begun_later", lambda *_: ())]


def loss_not_told() -> list[Place]:
    """Switch to a generation that begins later, and tell nobody."""
    return [(recounting, "told_from", lambda before, _lost: before)]


def loss_not_shown() -> list[Place]:
    """Show a generation without from where on it is counted."""
    drain = LedgerView.drain

    def planted(self: LedgerView) -> Any:  # noqa: ANN401 - passed on
        delta = drain(self)
        return None if delta is None else dataclasses.replace(delta, counted_from={})

    return [(LedgerView, "drain", planted)]


def ids_not_compared() -> list[Place]:
    """Take whatever bears a topic's name for what was counted."""
    return [(judgement, "_of_identity", lambda *_: ())]


def leaders_not_compared() -> list[Place]:
    """Take a log that has grown beyond the position again for the one that was counted."""
    of_end: Callable[..., Any] = judgement._of_end
    return [(judgement, "_of_end", lambda *where: of_end(*where[:-1], None))]


def epochs_not_looked_at() -> list[Place]:
    """Count on what a newer leader wrote before anybody has looked what its election cost."""
    return [(Reading, "must_wait", lambda *_: False)]


def offsets_taken_for_used_once() -> list[Place]:
    """Take what the old generation had set aside of a log that lost its tail for what stands at its offsets now."""
    return [(Generations, "remade_of", lambda *_: ())]


def tail_counted_anew_from_the_beginning() -> list[Place]:
    """Take a log that lost its tail for one of which nothing was counted: all that is bad in it is set aside again."""
    planted: Callable[..., Any] = lambda others, _: {loss.place: 0 for loss in others}  # noqa: E731
    return [(recounter, "other_from", planted)]


def mirrored_ledger_believed() -> list[Place]:
    """Take a copy of the ledger for the ledger."""
    told = judgement._of_identity

    def planted(*of: Any) -> Any:  # noqa: ANN401 - passed on
        return (found for found in told(*of) if found.reason is not HeldReason.LEDGER_REPLACED)

    return [(judgement, "_of_identity", planted)]


def cut_ledger_believed() -> list[Place]:
    """Go on with a ledger that lacks a page of its newest checkpoint."""
    misfit = ledger_records._misfit

    def planted(committed: Digests, found: Digests) -> str | None:
        return misfit(committed, msgspec.structs.replace(found, ledger=committed.ledger))

    return [(ledger_records, "_misfit", planted), (_Generation, "check", lambda _: None)]


def seen_ids_ahead_believed() -> list[Place]:
    """Go on with seen ids of a checkpoint that is gone: what is read again is taken for a resend."""
    misfit = ledger_records._misfit

    def planted(committed: Digests, found: Digests) -> str | None:
        return misfit(committed, msgspec.structs.replace(found, seen=committed.seen))

    return [(ledger_records, "_misfit", planted)]


def late_festival_taken_for_whole() -> list[Place]:
    """Adopt a festival that was declared when it had begun as one that had not."""
    return [(declarations, "may_have_begun", lambda *_: False)]


def festival_dropped() -> list[Place]:
    """Take over a ledger that counts a festival which is not declared here, and drop it."""
    check = Declarations.check

    def planted(self: Declarations, theirs: Any) -> None:  # noqa: ANN401 - JSON
        known = {name: value for name, value in theirs["festivals"].items() if name in self.festivals}
        check(self, {**theirs, "festivals": known})

    return [(Declarations, "check", planted)]


def adoption_not_written() -> list[Place]:
    """Count a festival that was declared, and do not say so in the ledger."""
    cut = PartitionProcessor.cut

    def planted(self: PartitionProcessor, **options: bool) -> Any:  # noqa: ANN401 - passed on
        if self.sequence:
            self._fingerprint = None
        return cut(self, **options)

    return [(PartitionProcessor, "cut", planted)]


BUGS: dict[str, tuple[Callable[[], list[Place]], int]] = {
    plant.__name__: (plant, seed)
    for plant, seed in (
        (cursor_first, 0),
        (no_fence, 0),
        (offsets_of_the_group, 0),
        (page_without_cursor, 0),
        (resend_forgotten, 0),
        (ids_forgotten, 0),
        (lost_answer_taken_for_a_failure, 0),
        (lost_answer_taken_for_a_success, 0),
        (view_before_its_cursor, 0),
        (lost_abort, 0),
        (hole_counted_past, 1),
        (counted_twice, 0),
        (rejected_outside_of_the_transaction, 0),
        (rejected_again_after_a_recount, 0),
        (switch_unnoticed, 5),
        (stale_answer_accepted, 0),
        (ledger_kept_after_a_refusal, 1),
        (event_time_forgotten, 0),
        (complete_without_all, 0),
        (note_not_left, 2),
        (note_broken_off, 1),
        (lag_of_what_is_stable, 0),
        (shown_while_it_is_read, 0),
        (ids_not_compared, 28),
        (leaders_not_compared, 12),
        (epochs_not_looked_at, 146),
        (grown_partition_left_out, 0),
        (bridge_bugs.position_committed_apart, 27),
        (bridge_bugs.superseded_translation_taken, 37),
        (bridge_bugs.reject_written_twice, 27),
        (bridge_bugs.bridge_at_the_groups_offsets, 27),
        (bridge_bugs.added_partition_begun_at_its_end, 37),
        (own_clock_believed, 0),
        (late_record_believed, 0),
        (beginnings_not_compared, 1),
        (compared_before_it_begins, 5),
        (loss_not_told, 5),
        (loss_not_shown, 5),
        (offsets_taken_for_used_once, 22),
        (tail_counted_anew_from_the_beginning, 22),
        (mirrored_ledger_believed, 24),
        (cut_ledger_believed, 1),
        (seen_ids_ahead_believed, 16),
        (late_festival_taken_for_whole, 3),
        (festival_dropped, 22),
        (adoption_not_written, 3),
    )
}
"""Every bug by its name, with the first seed from 0 on that finds it."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Switch a bug on."""
    places = BUGS[name][0]()
    patches = [patch.object(owner, attribute, value) for owner, attribute, value in places]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()

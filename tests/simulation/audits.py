"""What `festival audit` would read of the simulated cluster, and when it refuses: its plan, judged by the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.audit.procedure import plan_of
from streams.audit.spans import Spans, left_of, spans_of, why_beyond, why_missing
from streams.audit.written import WrittenLedger, read_written
from streams.engine.clock import ManualClock
from streams.engine.judgement import epochs_of, judge_partition
from streams.engine.losses import of_topic
from streams.engine.memory.errors import KafkaFaultError
from streams.engine.status import HeldReason
from tests.simulation.readers import Following
from tests.simulation.source import survey
from tests.simulation.subject import FESTIVAL

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

    from streams.engine.memory.cluster import Kafka
    from tests.simulation.checker import Checker
    from tests.simulation.world import World

FOREIGN = frozenset({HeldReason.LOG_REPLACED, HeldReason.LOG_TRUNCATED, HeldReason.BEYOND_END})
READS = 200
"""Fetches until the ledger is read."""


@dataclass(frozen=True)
class Planned:
    """What an audit would do."""

    ledger: WrittenLedger
    spans: Spans
    refusal: str | None


class Audit:
    """One audit, up to where it would begin to read; it stands where `streams.audit.run` and `log` stand."""

    def __init__(self, kafka: Kafka, draw: Random) -> None:
        self._kafka, self._draw = kafka, draw

    def planned(self) -> Planned | None:
        """Return what would be audited; None where nothing is committed, or the broker does not answer."""
        try:
            ledger = self._ledger()
            return None if ledger is None else self._planned(ledger)
        except KafkaFaultError:
            return None

    def _ledger(self) -> WrittenLedger | None:
        following = Following(self._kafka, self._draw, ManualClock(self._kafka.now_ms))
        for _ in range(READS):
            following.turn()
            if following.is_read:
                break
        delta = following.drain()
        if delta is None or not delta.cursors:
            return None
        return read_written(delta.generation, delta.changed_pages, delta.cursors)

    def _planned(self, ledger: WrittenLedger) -> Planned:
        assert not ledger.strange, ledger.strange
        plan = plan_of(ledger)
        assert plan.festivals["day"][:2] == (FESTIVAL.start_ms, FESTIVAL.end_ms), plan.festivals
        spans = spans_of(ledger.cursors, plan.facts())
        described = {topic: self._kafka.describe_topic(topic) for topic in plan.facts()}
        counts = {topic: 0 if found is None else found.partitions for topic, found in described.items()}
        refusal = why_missing(spans, counts)
        if refusal is None:
            ends = {place: self._kafka.end_offset(*place) for place in spans}
            refusal = why_beyond(spans, ends)
        if refusal is None:
            refusal = self._why_held(ledger, plan.facts())
        if refusal is None:
            spans = left_of(spans, {place: self._kafka.beginning_offset(*place) for place in spans})
        return Planned(ledger, spans, refusal)

    def _why_held(self, ledger: WrittenLedger, topics: Collection[str]) -> str | None:
        """Return why what an audit found could not be called exact: the ledger does not belong to these logs."""
        sources = survey(self._kafka, topics, None, epochs_of(ledger.cursors))
        found = (
            judge_partition(number, sources, of_topic(cursor, topic))  # what holds it for another hides none
            for number, cursor in ledger.cursors.items()
            for topic in cursor.positions
        )
        return next((verdict.detail for verdict in found if verdict is not None and verdict.reason in FOREIGN), None)


def judge(planned: Planned, checker: Checker, world: World) -> None:
    """Compare with what was committed, and with what the log held. Raises `AssertionError`."""
    generation = planned.ledger.generation
    if checker.behind:
        return  # whatever it says of a copy, it says that it is one
    expected = {}
    for number, cursor in planned.ledger.cursors.items():
        count = checker.counts[number, generation]
        for topic, (position, _) in count.shown[cursor.sequence].items():
            started, found = count.tallies[topic].started, world.kafka.topics.get(topic)
            if found is not None and planned.refusal is None:
                started = min(max(started, found.logs[number].beginning), position)
            expected[topic, number] = started, position
    assert planned.spans == expected, f"audited would be {planned.spans}, and {expected} is committed"
    is_whole, may_refuse = True, False
    for (topic, number), (start, end) in expected.items():
        found = world.kafka.topics.get(topic)
        log = None if found is None else found.logs[number]
        if log is None or (end > start and log.end < end):
            is_whole = False
            continue
        held = [(record.offset, record.value) for record in log.records(start=start, end=end)]
        lost, tally = world.before.get((topic, number)), checker.counts[number, generation].tallies[topic]
        known = [record[:2] for record in tally.log.between(start, end)]
        if lost is not None and tally.log is lost.oracle:
            # It has grown again: what lies there now may not be what was counted; nothing was, perhaps.
            is_whole, may_refuse = is_whole and held == known, True
        elif planned.refusal is None:
            assert held == known, f"of {topic}/{number} an audit would read what was never counted"
    told = f"an audit refuses: {planned.refusal}; the log is whole: {is_whole}"
    assert (planned.refusal is None) == is_whole or (is_whole and may_refuse), told

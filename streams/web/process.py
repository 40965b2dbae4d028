"""What a process tells of itself on `/metrics` beside its counting: its start, Kafka's answers, the last audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import sysconf
from pathlib import Path
from typing import TYPE_CHECKING, Self

from streams.audit.last_audit import LastAudit, read_record
from streams.engine.clock import SystemClock
from streams.metrics import (
    AUDIT_DIFFERENCE,
    AUDIT_TIME,
    CLOCK_OFFSET,
    KAFKA_CONTACT,
    RESIDENT_MEMORY,
    START_TIME,
    Entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streams.audit.verdict import Verdict
    from streams.board.answers.gauges import Sample
    from streams.web.shown import Shown

ANY_MEASURE = "any"
"""The measure of an audit that ran elsewhere: its verdict counts differences and does not name them."""
_STATM = Path("/proc/self/statm")
"""Sizes in pages, on Linux; the second is what is in RAM."""


@dataclass(frozen=True)
class ProcessFacts:
    """Read at each scrape, from any thread."""

    contacted_ms: Callable[[], int | None] = lambda: None
    audit_record: Path | None = None
    verdicts: Callable[[], Iterable[Verdict]] = tuple
    """What audits found of the generation that is shown, wherever they ran."""
    clock_offset_ms: Callable[[], int | None] = lambda: None
    """What the machine's clock is ahead of the broker's, where that is known."""
    started_ms: int = field(default_factory=lambda: SystemClock().now_ms())

    @classmethod
    def of(cls, source: Shown) -> Self:
        """Return the facts of the process that serves `source` from now on."""

        def verdicts() -> list[Verdict]:
            found = source.verdicts().values()
            return [verdict for verdict in found if verdict.ledger == source.snapshot_of(verdict.festival).generation]

        clock = source.clock
        return cls(source.contacted_ms, source.audit_record, verdicts, clock.offset_ms, clock.now_ms())

    def readers(self) -> Iterator[tuple[Entry, Callable[[], list[Sample]]]]:
        """Return each metric with what reads its samples, which may raise."""
        yield START_TIME, lambda: [((), self.started_ms / 1000)]
        yield RESIDENT_MEMORY, _resident_memory
        yield KAFKA_CONTACT, self._contact
        yield CLOCK_OFFSET, self._clock_offset
        yield AUDIT_DIFFERENCE, self._differences
        yield AUDIT_TIME, lambda: [((), record.ended_ms / 1000) for record in self._audits()]

    def _contact(self) -> list[Sample]:
        contacted_ms = self.contacted_ms()
        return [] if contacted_ms is None else [((), contacted_ms / 1000)]

    def _clock_offset(self) -> list[Sample]:
        offset_ms = self.clock_offset_ms()
        return [] if offset_ms is None else [((), offset_ms / 1000)]

    def _differences(self) -> list[Sample]:
        return [((measure,), by) for record in self._audits() for measure, by in record.difference_by_measure.items()]

    def _audits(self) -> list[LastAudit]:
        """Return the last audit, none where none ran; raises what `read_record` raises.

        An audit of this machine tells each measure. A later one that ran elsewhere has left its verdicts only.
        """
        own = None if self.audit_record is None else read_record(self.audit_record)
        verdicts = list(self.verdicts())
        told_ms = max((verdict.audited_ms for verdict in verdicts), default=-1)
        if own is not None and own.ended_ms >= told_ms:
            return [own]
        worst = max((verdict.differences for verdict in verdicts), default=0)
        return [LastAudit(told_ms, {ANY_MEASURE: worst})] if verdicts else []


def _resident_memory() -> list[Sample]:
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except FileNotFoundError:
        return []
    return [((), pages * sysconf("SC_PAGE_SIZE"))]

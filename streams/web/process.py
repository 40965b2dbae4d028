"""What a process tells of itself on `/metrics` beside its counting: its start, Kafka's answers, the last audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import sysconf
from pathlib import Path
from typing import TYPE_CHECKING, Self

from streams.audit.record import AuditRecord, read_record
from streams.engine.clock import SystemClock
from streams.metrics import AUDIT_DIFFERENCE, AUDIT_TIME, KAFKA_CONTACT, RESIDENT_MEMORY, START_TIME, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.board.gauges import Sample
    from streams.web.source import Source

_STATM = Path("/proc/self/statm")
"""Sizes in pages, on Linux; the second is what is in RAM."""


@dataclass(frozen=True)
class ProcessFacts:
    """Read at each scrape, from any thread."""

    contacted_ms: Callable[[], int | None] = lambda: None
    audit_record: Path | None = None
    started_ms: int = field(default_factory=lambda: SystemClock().now_ms())

    @classmethod
    def of(cls, source: Source) -> Self:
        """Return the facts of the process that serves `source` from now on."""
        return cls(source.contacted_ms, source.audit_record, source.clock.now_ms())

    def readers(self) -> Iterator[tuple[Entry, Callable[[], list[Sample]]]]:
        """Return each metric with what reads its samples, which may raise."""
        yield START_TIME, lambda: [((), self.started_ms / 1000)]
        yield RESIDENT_MEMORY, _resident_memory
        yield KAFKA_CONTACT, self._contact
        yield AUDIT_DIFFERENCE, self._differences
        yield AUDIT_TIME, lambda: [((), record.ended_ms / 1000) for record in self._audits()]

    def _contact(self) -> list[Sample]:
        contacted_ms = self.contacted_ms()
        return [] if contacted_ms is None else [((), contacted_ms / 1000)]

    def _differences(self) -> list[Sample]:
        return [((measure,), by) for record in self._audits() for measure, by in record.difference_by_measure.items()]

    def _audits(self) -> list[AuditRecord]:
        """Return the last audit, none where none ran; raises what `read_record` raises."""
        record = None if self.audit_record is None else read_record(self.audit_record)
        return [] if record is None else [record]


def _resident_memory() -> list[Sample]:
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except FileNotFoundError:
        return []
    return [((), pages * sysconf("SC_PAGE_SIZE"))]

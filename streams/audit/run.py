"""One audit from end to end: read the committed ledger, read the log up to it, count again, compare.

Called by `festival audit`, by the demo and by the fault tests.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streams.audit import comparison
from streams.audit.calendar import read_calendar
from streams.audit.log import read_rejected, read_sources
from streams.audit.plan import Plan, UnknownDocumentError, read_plan
from streams.audit.result import AuditResult
from streams.audit.workbook import Workbook
from streams.audit.written import WrittenLedger, read_written
from streams.errors import UnreachableError, UsageError
from streams.kafka.follower import read_committed_ledger

if TYPE_CHECKING:
    from collections.abc import Collection

    from streams.audit.log import Spans
    from streams.settings import Settings

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much more of it is done, and how much there is in all."""

READING = "reading the log"
COMPARING = "comparing"


def no_report(what: str, done: int, total: int) -> None:
    """Report to nobody."""


async def run_audit(
    settings: Settings, festivals: Collection[str] | None = None, report: Report = no_report
) -> AuditResult:
    """Return what differs between the committed ledger and a recount of the log up to the ledger's positions.

    `festivals`: compare rollups of these only (None: of all); outcomes and rejected records are compared always.
    Workers may go on counting meanwhile. Raises `UnreachableError` where there is no ledger, no broker or no log
    to recount, `UsageError` for a festival the ledger does not have.
    """
    committed = await read_committed_ledger(settings)
    ledger = read_written(committed.generation, committed.changed_pages, committed.cursors)
    if not ledger.cursors:
        raise UnreachableError("nothing is committed yet, so there is nothing to audit: start `festival worker`")
    plan = _plan(ledger)
    unknown = set(festivals or ()) - plan.festivals.keys()
    if unknown:
        known = ", ".join(sorted(plan.festivals))
        raise UsageError(f"the ledger does not count {', '.join(sorted(unknown))}; it counts {known}")
    return await _Run(settings, report, ledger, plan).run(festivals)


def _plan(ledger: WrittenLedger) -> Plan:
    documents = set(ledger.fingerprints.values())
    if len(documents) != 1:
        raise UnreachableError(
            f"the partitions of ledger {ledger.generation} hold {len(documents)} different fingerprints, where each "
            "must hold the same one: count again with `festival recount`"
        )
    try:
        return read_plan(documents.pop())
    except UnknownDocumentError as error:
        raise UnreachableError(f"{error}. Audit with the version that counted.") from error


@dataclass(frozen=True, slots=True)
class _Run:
    """The parts of one audit."""

    settings: Settings
    report: Report
    ledger: WrittenLedger
    plan: Plan

    async def run(self, festivals: Collection[str] | None) -> AuditResult:
        spans = self._spans()
        result = AuditResult(self.ledger.generation, _positions(spans))
        calendar = read_calendar(self.settings.festivals_dir)
        with tempfile.TemporaryDirectory(prefix="festival-audit-") as directory:
            book = Workbook(Path(directory), self.plan)
            try:
                strange = await self._read(spans, book)
                for record in strange:
                    where = {"problem": f"the headers of {record} name no source"}
                    result.differs("rejected_records", where, 1, 0)
                await asyncio.to_thread(
                    comparison.compare, result, book, self.ledger, calendar, festivals, self._report_comparing
                )
            finally:
                book.close()
        return result

    def _spans(self) -> Spans:
        facts = self.plan.facts()
        return {
            (topic, part): (cursor.started.get(topic, 0), position)
            for part, cursor in self.ledger.cursors.items()
            for topic, position in cursor.positions.items()
            if topic in facts
        }

    async def _read(self, spans: Spans, book: Workbook) -> list[str]:
        total = sum(end - start for start, end in spans.values())
        await read_sources(self.settings, spans, book, lambda done: self.report(READING, done, total))
        return await read_rejected(self.settings, self.plan.facts(), spans, book)

    def _report_comparing(self, done: int, total: int) -> None:
        self.report(COMPARING, done, total)


def _positions(spans: Spans) -> dict[str, dict[str, int]]:
    positions: dict[str, dict[str, int]] = {}
    for (topic, part), (_, position) in sorted(spans.items()):
        positions.setdefault(topic, {})[str(part)] = position
    return positions

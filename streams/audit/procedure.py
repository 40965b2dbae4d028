"""One audit from end to end: read the committed ledger, read the log up to it, count again, compare.

Called by `festival audit`, by the demo, by a rehearsal and by the fault tests.
"""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from streams.audit import comparison
from streams.audit.admission import with_declared
from streams.audit.calendar import Edition, read_calendar
from streams.audit.declared import check_declared, declared_of, read_declared
from streams.audit.log import LogDeletedError, read_rejected, read_sources
from streams.audit.plan import Plan, UnknownDocumentError, late_in, plan_of_all, read_plan
from streams.audit.result import AuditResult
from streams.audit.spans import spans_of
from streams.audit.workbook import Workbook
from streams.audit.written import WrittenLedger, read_written
from streams.engine.clock import SystemClock
from streams.engine.judgement import Note, decode_note, judge
from streams.engine.status import HeldReason
from streams.errors import AnswerNo, UnreachableError
from streams.kafka.cluster.open_transactions import look_once
from streams.kafka.ledger.follower import read_committed_ledger

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from decimal import Decimal

    from streams.audit.admission import Shapes
    from streams.audit.spans import Spans
    from streams.engine.ledger_view import FollowerDelta
    from streams.settings import Settings

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much more of it is done, and how much there is in all."""

ANOTHER_LOG = {
    HeldReason.FOREIGN_CLUSTER: "it was counted on another cluster, and offsets are another thing on each",
    HeldReason.LOG_REPLACED: "the topic was deleted and made again since it was counted",
    HeldReason.LOG_TRUNCATED: "the log has lost what was counted last",
}
"""Why a log is not the one that was counted, although it may hold as many records."""
READING = "reading the log"
COMPARING = "comparing"


def no_report(what: str, done: int, total: int) -> None:
    """Report to nobody."""


async def run_audit(
    settings: Settings, festivals: Collection[str] | None = None, report: Report = no_report
) -> AuditResult:
    """Return what differs between the committed ledger and a recount of the log up to the ledger's positions.

    `festivals`: compare rollups of these only (None: of all); outcomes and rejected records are compared always.
    Workers may go on counting meanwhile. Where a log has lost its beginning, what is left of it is compared. Raises
    `UnreachableError` where there is no ledger, no broker or no log to recount, `AnswerNo` for a festival that the
    ledger does not count.
    """
    return await audit_committed(settings, await read_committed_ledger(settings), festivals, report)


async def audit_committed(
    settings: Settings, committed: FollowerDelta, festivals: Collection[str] | None = None, report: Report = no_report
) -> AuditResult:
    """Return what differs between a committed ledger as it was read and a recount; raises like `run_audit`."""
    ledger = read_written(committed.generation, committed.changed_pages, committed.cursors)
    if not ledger.cursors:
        raise UnreachableError("nothing is committed yet, so there is nothing to audit: start `festival worker`")
    plan, declared = plan_of(ledger), read_declared(settings.declarations)
    check_declared(plan, declared)
    unknown = set(festivals or ()) - plan.festivals.keys()
    if unknown:
        known = ", ".join(sorted(plan.festivals))
        raise AnswerNo(f"the ledger does not count {', '.join(sorted(unknown))}; it counts {known}")
    calendar = read_calendar(settings.festivals_dir)
    shapes = with_declared(declared.fields())
    result = await _Run(settings, report, ledger, plan, calendar, shapes, _reused(committed)).run(festivals)
    result.late = {festival: sorted(parts) for festival, parts in ledger.late.items() if festival in result.festivals}
    result.counted_from = {topic: dict(places) for topic, places in committed.counted_from.items()}
    result.lacking = await _lacking(settings, committed, ledger, plan)
    return result


def _reused(committed: FollowerDelta) -> dict[tuple[str, int], int]:
    """Return from which offset on logs were made again or had lost their tail, in whatever generation."""
    found: dict[tuple[str, int], int] = {}
    for remade in committed.remade:
        place = remade.topic, remade.partition
        found[place] = min(remade.from_offset, found.get(place, remade.from_offset))
    return found


@dataclass(frozen=True, slots=True)
class SealedLedger:
    """A sealed festival, as the audit counts it again."""

    committed: FollowerDelta
    """What was committed, the totals of all partitions as one's."""
    festival: str
    home_currency: str
    rates: Mapping[str, Decimal]
    """As it was sealed, home currency for one unit."""
    lacking: list[str]
    """What it says itself that it does not hold."""


async def audit_sealed(settings: Settings, sealed: SealedLedger, report: Report = no_report) -> AuditResult:
    """Return what differs between a sealed festival and a recount of the log up to the positions it was sealed at.

    It is counted under the rules and festivals of that time. What lies on the rejected topics is left out: they keep
    records for less long. Raises `LogDeletedError` where the topics do not hold what was counted.
    """
    committed = sealed.committed
    ledger = read_written(committed.generation, committed.changed_pages, committed.cursors, is_merged=True)
    plan = plan_of(ledger)
    calendar = {
        name: Edition(name, start_ms, end_ms, facts, sealed.home_currency, sealed.rates)
        for name, (start_ms, end_ms, facts) in plan.festivals.items()
    }
    await _refuse_another_log(settings, ledger, plan)
    shapes = with_declared(declared_of(plan).fields())
    result = await _Run(settings, report, ledger, plan, calendar, shapes, {}).run([sealed.festival])
    result.lacking = sealed.lacking
    return result


async def _refuse_another_log(settings: Settings, ledger: WrittenLedger, plan: Plan) -> None:
    """Raise `LogDeletedError` where the topics bear the names of those that were counted, and are others.

    The ledger that was sealed may have gone long ago: its own topics are not asked for.
    """
    sources, _ = await look_once(settings, plan.facts(), ledger.cursors, SystemClock().now_ms())
    cursors = {
        partition: replace(cursor, identity=replace(cursor.identity, own={}))
        for partition, cursor in ledger.cursors.items()
    }
    for held in judge(dataclasses.replace(sources, ledger_partitions=sources.partitions), cursors).held:
        if held.reason in ANOTHER_LOG:
            raise LogDeletedError(f"{held.topic or 'the cluster'}: {ANOTHER_LOG[held.reason]}")


async def _lacking(settings: Settings, committed: FollowerDelta, ledger: WrittenLedger, plan: Plan) -> list[str]:
    """Return what the ledger does not count of the source topics as they are now."""
    sources, _ = await look_once(settings, plan.facts(), ledger.cursors, SystemClock().now_ms())
    notes = {}
    for partition, value in committed.notes.items():
        with suppress(msgspec.MsgspecError):
            notes[partition] = decode_note(value)
    for partition, detail in committed.misfits.items():
        notes[partition] = Note(HeldReason.LEDGER_UNREADABLE, None, 0, detail)
    judgement = judge(sources, ledger.cursors, notes=notes)
    lacking = [f"partition {held.partition} is held ({held.reason}): {held.detail}" for held in judgement.held]
    told = {held.partition for held in judgement.held}
    lacking += [
        f"partition {partition} has no committed total: no worker has taken it over"
        for partition in judgement.uncovered
        if partition not in told
    ]
    return lacking


def plan_of(ledger: WrittenLedger) -> Plan:
    """Return the rules of all partitions: they may differ in what was declared since, and in nothing else."""
    try:
        plans = {part: read_plan(document) for part, document in ledger.fingerprints.items()}
    except UnknownDocumentError as error:
        raise UnreachableError(f"{error}. Audit with the version that counted.") from error
    plan = plan_of_all(plans.values())
    if plan is None:
        raise UnreachableError(
            f"the partitions of ledger {ledger.generation} hold different fingerprints, where each must count by the "
            "same rules: count again with `festival recount`"
        )
    ledger.late = late_in(plans, plan, ledger.cursors)
    return plan


@dataclass(frozen=True, slots=True)
class _Run:
    """The parts of one audit."""

    settings: Settings
    report: Report
    ledger: WrittenLedger
    plan: Plan
    calendar: Mapping[str, Edition]
    shapes: Shapes
    reused: Mapping[tuple[str, int], int]
    """From which offset on logs are others than they were: of what is gone there something may be set aside."""

    async def run(self, festivals: Collection[str] | None) -> AuditResult:
        spans = spans_of(self.ledger.cursors, self.plan.facts())
        positions = _by_topic({place: end for place, (_, end) in spans.items()})
        compared = tuple(sorted(f for f in self.plan.festivals if festivals is None or f in festivals))
        result = AuditResult(self.ledger.generation, positions, festivals=compared)
        result.rejected_from_ms = self.settings.rejected_kept_from_ms(SystemClock().now_ms())
        with tempfile.TemporaryDirectory(prefix="festival-audit-") as directory:
            book = Workbook(Path(directory), self.plan, self.shapes)
            book.reuse(self.reused)
            try:
                left, strange = await self._read(spans, book)
                result.began = _by_topic({place: start for place, (start, _) in left.items()})
                result.cut = _by_topic({place: spans[place][0] for place in book.cuts})
                for record in strange:
                    where = {"problem": f"the headers of {record} name no source"}
                    result.differs("rejected_records", where, 1, 0)
                await asyncio.to_thread(
                    comparison.compare, result, book, self.ledger, self.calendar, festivals, self._report_comparing
                )
            finally:
                book.close()
        return result

    async def _read(self, spans: Spans, book: Workbook) -> tuple[Spans, list[str]]:
        total = sum(end - start for start, end in spans.values())
        is_merged = self.ledger.is_merged
        left = await read_sources(
            self.settings, spans, book, lambda done: self.report(READING, done, total), wants_all=is_merged
        )
        if is_merged:
            return left, []
        return left, await read_rejected(self.settings, self.plan.facts(), left, book)

    def _report_comparing(self, done: int, total: int) -> None:
        self.report(COMPARING, done, total)


def _by_topic(offsets: Mapping[tuple[str, int], int]) -> dict[str, dict[str, int]]:
    """Return offsets by topic and partition."""
    places: dict[str, dict[str, int]] = {}
    for (topic, part), offset in sorted(offsets.items()):
        places.setdefault(topic, {})[str(part)] = offset
    return places

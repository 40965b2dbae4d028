"""Compares the recount with the ledger, table by table and number by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streams.audit import statements
from streams.audit.currencies import CURRENCIES, LAST_YEARS
from streams.audit.distinct import compare_distinct
from streams.audit.result import KEPT_PER_MEASURE, AuditResult, Difference, SeenTwice
from streams.audit.written import MalformedPageError, WrittenLedger, WrittenPage, cell_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from streams.audit.calendar import Edition
    from streams.audit.plan import Plan, Rollup
    from streams.audit.workbook import Workbook

OUTCOMES = ("rejected", "duplicate", "counted", "expired", "outside", "late")
ADMITTED = frozenset({"counted", "expired", "outside"})
PAGES_AT_ONCE = 500
"""Pages handed to DuckDB in one insert: many are small."""


def compare(  # noqa: PLR0917 - two sides and what to look at
    result: AuditResult,
    book: Workbook,
    ledger: WrittenLedger,
    calendar: Mapping[str, Edition],
    festivals: Collection[str] | None,
    report: Callable[[int, int], None],
) -> None:
    """Count what `book` holds and note in `result` whatever of `ledger` differs.

    `report` is called with the number of rollups just done, and of all.
    """
    book.settle()
    result.records = book.records
    for part, problem in ledger.strange:
        result.differs("page", {"partition": part, "problem": f"does not belong in a ledger: {problem}"}, 1, 0)
    for part in sorted(ledger.cursors.keys() - ledger.fingerprints.keys()):
        result.differs("fingerprint", {"partition": part, "problem": "missing"}, 0, 1)
    editions = compare_declarations(result, book.plan, calendar)
    compare_cursors(result, book, ledger, editions.values())
    if not ledger.is_merged:
        compare_rejected_records(result, book)
    note_ids_in_two_partitions(result, book)
    book.drop_repeats()
    wanted = [e for name, e in editions.items() if (festivals is None or name in festivals) and name not in ledger.late]
    total = len(wanted) * len(book.plan.rollups)
    compare_rollups(result, book, ledger, wanted, lambda done: report(done, total))


def compare_declarations(result: AuditResult, plan: Plan, calendar: Mapping[str, Edition]) -> dict[str, Edition]:
    """Compare the ledger's edges and currencies with the files and ISO 4217; return the festivals to recount.

    A festival in the ledger without a file cannot be checked: a difference.
    """
    recounted = {}
    for festival, (start_ms, end_ms, facts) in sorted(plan.festivals.items()):
        edition = calendar.get(festival)
        if edition is None:
            result.differs("festival", {"festival": festival, "problem": "no such file, see --festivals"}, 1, 0)
            continue
        recounted[festival] = edition
        for name, ledger, own in (("start_ms", start_ms, edition.start_ms), ("end_ms", end_ms, edition.end_ms)):
            if ledger != own:
                result.differs("festival", {"festival": festival, "field": name}, ledger, own)
        if facts != edition.facts:
            names = (" ".join(sorted(facts)), " ".join(sorted(edition.facts)))
            result.differs("festival", {"festival": festival, "field": "facts"}, *names)
    known = {code: f"{digits} digits, {LAST_YEARS.get(code, 'active')}" for code, digits in CURRENCIES.items()}
    told = {
        code: f"{digits} digits, {'active' if year is None else year + 1}"
        for code, (digits, year) in plan.currencies.items()
    }
    for code in sorted(told.keys() | known.keys()):
        if told.get(code) != known.get(code):
            result.differs("currencies", {"currency": code}, told.get(code), known.get(code))
    return recounted


def compare_cursors(result: AuditResult, book: Workbook, ledger: WrittenLedger, editions: Iterable[Edition]) -> None:
    """Compare outcomes, reasons, stream times and largest event times of every topic and partition."""
    editions = list(editions)
    for name in (*OUTCOMES, "stream_time_ms", "max_event_time_ms"):
        result.measured(name, 0)
    for topic in book.plan.facts():
        recounted = _outcomes(book, topic, editions)
        reasons = {
            (part, reason): count
            for part, reason, count in book.rows(
                f"SELECT part, reason, count(*) FROM rejections WHERE topic = '{topic}' GROUP BY ALL"  # noqa: S608
            )
        }
        for (part, _), count in reasons.items():
            recounted[part, "rejected"] = recounted.get((part, "rejected"), 0) + count
        for (_, outcome), count in recounted.items():
            totals = result.outcomes.setdefault(topic, dict.fromkeys(OUTCOMES, 0))
            totals[outcome] += count
        for partition, cursor in sorted(ledger.cursors.items()):
            is_cut = (topic, partition) in book.cuts
            is_late = any(partition in parts for parts in ledger.late.values())
            written = {(partition, name): count for name, count in cursor.outcomes.get(topic, {}).items()}
            of_partition = {key: count for key, count in recounted.items() if key[0] == partition}
            if is_late:
                written, of_partition = _admitted_as_one(written), _admitted_as_one(of_partition)
            _compare_counts(result, "", topic, written, of_partition, is_cut=is_cut)
            written = {(partition, reason): count for reason, count in cursor.rejected.get(topic, {}).items()}
            of_partition = {key: count for key, count in reasons.items() if key[0] == partition}
            _compare_counts(result, "rejected_", topic, written, of_partition, is_cut=is_cut)
            for name, in_cursor, in_log in (
                ("stream_time_ms", cursor.stream_times_ms, book.stream_times_ms),
                ("max_event_time_ms", cursor.max_event_times_ms, book.max_event_times_ms),
            ):
                pair = in_cursor.get(topic), in_log.get((topic, partition))
                if pair[0] != pair[1] and not (is_cut and (pair[0] or 0) >= (pair[1] or 0)):
                    result.differs(name, {"topic": topic, "partition": partition}, *pair)


def _outcomes(book: Workbook, topic: str, editions: list[Edition]) -> dict[tuple[int, str], int]:
    counts: dict[tuple[int, str], int] = {}
    for part, outcome, records, late in book.rows(statements.count_outcomes(topic, book.plan, editions)):
        counts[part, outcome] = records
        counts[part, "late"] = counts.get((part, "late"), 0) + late
    return counts


def _admitted_as_one(counts: dict[tuple[int, str], int]) -> dict[tuple[int, str], int]:
    """Return the counts with what was counted, expired or outside as one sum.

    Which of them a record was told as depended on the festivals that were known by then.
    """
    summed: dict[tuple[int, str], int] = {}
    for (part, outcome), count in counts.items():
        name = "admitted" if outcome in ADMITTED else outcome
        summed[part, name] = summed.get((part, name), 0) + count
    return summed


def _compare_counts(
    result: AuditResult,
    prefix: str,
    topic: str,
    written: dict[tuple[int, str], int],
    recounted: dict[tuple[int, str], int],
    *,
    is_cut: bool,
) -> None:
    """Compare counts; of a log that has lost its beginning the ledger may have counted more."""
    for part, name in sorted(written.keys() | recounted.keys()):
        pair = written.get((part, name), 0), recounted.get((part, name), 0)
        result.measured(f"{prefix}{name}", 0)
        if pair[0] < pair[1] or (pair[0] > pair[1] and not is_cut):
            result.differs(f"{prefix}{name}", {"topic": topic, "partition": part}, *pair)


def compare_rejected_records(result: AuditResult, book: Workbook) -> None:
    """Compare the rejected topics with the bad records: each exactly once, for the same reason, with the same bytes.

    Those that are older than the topics keep them are counted, where they are gone.
    """
    result.measured("rejected_records", 0)
    ((result.rejected_gone,),) = book.rows(statements.count_gone(result.rejected_from_ms))
    for topic, part, offset, copies, expected, found, is_same in book.rows(
        statements.compare_rejected(result.rejected_from_ms)
    ):
        where = {"topic": topic, "partition": part, "offset": offset}
        if expected is None:
            result.differs("rejected_records", {**where, "problem": f"a good record set aside as {found}"}, copies, 0)
        elif copies != 1:
            result.differs("rejected_records", {**where, "problem": f"not once, {expected}"}, copies, 1)
        elif expected != found:
            result.differs("rejected_records", {**where, "problem": "another reason"}, found, expected)
        elif not is_same:
            result.differs("rejected_records", {**where, "problem": "other bytes or headers"}, 0, 1)


def note_ids_in_two_partitions(result: AuditResult, book: Workbook) -> None:
    """Note ids that two partitions of a topic saw within the horizon: each partition counts them, as it must."""
    for topic in book.plan.facts():
        statement = statements.find_ids_in_two_partitions(topic, book.plan.horizon_minutes)
        ((ids, example),) = book.rows(statement)
        if ids:
            event_id, *places = example
            first, second = ((int(places[i]), int(places[i + 1])) for i in (0, 2))
            result.notes.append(SeenTwice(topic, ids, event_id, (first, second)))


def compare_rollups(
    result: AuditResult,
    book: Workbook,
    ledger: WrittenLedger,
    editions: Iterable[Edition],
    report: Callable[[int], None],
) -> None:
    """Compare every cell of every rollup of `editions`; `report` is called with 1 for each rollup done."""
    known = {rollup.name for rollup in book.plan.rollups} | {distinct.name for distinct in book.plan.distincts}
    for (festival, name), pages in sorted(ledger.pages.items()):
        if name not in known or festival not in book.plan.festivals:
            result.differs("page", {"festival": festival, "rollup": name, "problem": "not declared"}, len(pages), 0)
    for edition in editions:
        for rollup in book.plan.rollups:
            pages = ledger.pages.get((edition.id, rollup.name), [])
            if rollup.fact in edition.facts:
                _compare_rollup(result, book, rollup, edition, pages, is_merged=ledger.is_merged)
            elif pages:
                where = {"festival": edition.id, "rollup": rollup.name, "problem": "its topic is not counted"}
                result.differs("page", where, len(pages), 0)
            report(1)
        compare_distinct(result, book, edition, ledger.pages)
        _convert_home(result, edition)


def _compare_rollup(
    result: AuditResult,
    book: Workbook,
    rollup: Rollup,
    edition: Edition,
    pages: list[WrittenPage],
    *,
    is_merged: bool,
) -> None:
    book.db.execute(statements.create_pieces(rollup))
    for first in range(0, len(pages), PAGES_AT_ONCE):
        _insert_pages(result, book, rollup, edition, pages[first : first + PAGES_AT_ONCE])
    for statement in (
        statements.create_recount(rollup, book.plan, edition),
        *([statements.add_partitions(rollup)] if is_merged else []),
        statements.create_compared(rollup, edition),
    ):
        book.db.execute(statement)
    (summary,) = book.rows(statements.summarise(rollup))
    for i, measure in enumerate(rollup.measures):
        cells, amount = summary[2 * i], int(summary[2 * i + 1])
        result.compared_cells += cells
        result.measured(measure.name, amount)
        if amount:
            _list_cells(result, book, rollup, edition, i, is_merged=is_merged)
    if rollup.dimension is None:
        totals = result.totals.setdefault(edition.id, {})
        for currency, *sums in book.rows(statements.sum_recounted(rollup)):
            for measure, total in zip(rollup.measures, sums, strict=True):
                totals.setdefault(measure.name, {})[currency] = int(total)
    for table in ("pieces", "recount", "compared"):
        book.db.execute(f"DROP TABLE {table}")


def _insert_pages(
    result: AuditResult, book: Workbook, rollup: Rollup, edition: Edition, pages: list[WrittenPage]
) -> None:
    chunks: list[dict[str, np.ndarray[Any, Any]]] = []
    for page in pages:
        try:
            chunks.extend(cell_columns([page], rollup))
        except MalformedPageError as error:
            where = {"festival": edition.id, "rollup": rollup.name, "partition": page.partition, "page": page.number}
            result.differs("page", {**where, "problem": str(error)}, 1, 0)
    if chunks:
        book.insert("pieces", {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]})


def _list_cells(
    result: AuditResult, book: Workbook, rollup: Rollup, edition: Edition, index: int, *, is_merged: bool
) -> None:
    measure = rollup.measures[index].name
    ((count,),) = book.rows(f"SELECT count(*) FROM compared WHERE w{index} <> r{index}")  # noqa: S608
    result.differing_by_festival[edition.id] += count
    for part, win, dim, cur, in_ledger, in_log in book.rows(statements.list_differences(index, KEPT_PER_MEASURE)):
        where: dict[str, Any] = {"festival": edition.id, "rollup": rollup.name}
        if not is_merged:
            where["partition"] = part
        if rollup.window_ms is not None:
            where["window_start_ms"] = edition.start_ms + win * rollup.window_ms
        if rollup.dimension is not None:
            where[rollup.dimension] = dim
        if rollup.currency is not None:
            where["currency"] = cur
        result.differences.append(Difference(measure, where, int(in_ledger), int(in_log)))


def _convert_home(result: AuditResult, edition: Edition) -> None:
    totals = result.totals.get(edition.id, {})
    gross = totals.get("gross_minor", {})
    net = {c: gross[c] - totals["coupons_minor"].get(c, 0) - totals["credits_minor"].get(c, 0) for c in gross}
    home: dict[str, Any] = {"currency": edition.home_currency}
    missing: set[str] = set()
    for name, money in (("gross", gross), ("net", net), ("paid", totals.get("paid_minor", {}))):
        home[name], without_rate = edition.home_minor({c: minor for c, minor in money.items() if minor})
        missing.update(without_rate)
    result.home[edition.id] = {**home, "missing": sorted(missing)}

"""A counted day is sealed, and read back as it was: every answer is the same, but for the mark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.audit.result import AuditResult
from streams.board.answers.home_curve import HomeCurve
from streams.board.answers.series import series_document
from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.board.view.sealed import read_sealed
from streams.domain.built_in import DIMENSIONS
from streams.domain.rollups import OTHER
from streams.engine.judgement import Held, Judgement
from streams.engine.memory import CellLedger
from streams.engine.sealed.container import SealError
from streams.engine.sealed.contents import unseal
from streams.engine.status import HeldReason
from streams.errors import UsageError
from streams.handover.export_rows import STEPS_MS, fact_tables
from streams.handover.sealing import Audited, reasons_against
from streams.handover.verdict import sealed_verdict
from streams.sealed_files import read_sealed_file
from tests.unit.handover.days import counted
from tests.unit.handover.seals import PLACES, SEALED_MS, incomplete, sealed_day, state_of, with_member

if TYPE_CHECKING:
    from streams.board.answers.documents import Document
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.sealed import SealedState
    from streams.domain.festivals import Festival
    from streams.handover.sealing import State

FESTIVALS = ("singles-day-2019", "cardboard-day-2019", "black-friday-2014")


def told(snapshot: Snapshot, festival: Festival, judgement: Judgement, by: str | None, at_ms: int | None) -> Document:
    """Return the totals document, or why there is none."""
    try:
        return totals_document(snapshot, festival, by=by, at_ms=at_ms, judgement=judgement)
    except UsageError as error:
        return {"refused": str(error)}


def opened(state: State) -> SealedState:
    return read_sealed(unseal(sealed_day(state)))


@pytest.mark.parametrize("festival_id", FESTIVALS)
def test_every_totals_document_is_the_same_but_for_the_mark(festival_id: str) -> None:
    state = state_of(festival_id, 200)
    read = opened(state)
    hour_ms = state.snapshot.as_counted(state.festival).start_ms + 3_600_000 - 1
    for by in (None, *DIMENSIONS):
        for at_ms in (None, hour_ms, hour_ms + 1_000):
            of_the_ledger = told(state.snapshot, state.festival, state.judgement, by, at_ms)
            of_the_file = told(read.snapshot, read.festival, read.judgement, by, at_ms)
            assert of_the_file.pop("sealed", read.sealed.digest) == read.sealed.digest
            assert of_the_file == of_the_ledger, (by, at_ms)


@pytest.mark.parametrize("festival_id", FESTIVALS)
def test_every_export_is_the_same(festival_id: str) -> None:
    state = state_of(festival_id, 200)
    read = opened(state)
    for by in (None, "platform", "method", "merchant", "city"):
        for step in STEPS_MS:
            try:
                tables = fact_tables(state.snapshot, [state.festival], (), by, step)
            except UsageError:
                continue
            assert fact_tables(read.snapshot, [read.festival], (), by, step) == tables


def test_every_second_is_the_same() -> None:
    state = state_of()
    read = opened(state)
    for measure, currency in (("orders", None), ("gross", "CNY"), ("paid", "CNY"), ("delivered", None)):
        series = series_document(state.snapshot, state.festival, measure, currency, "second")
        assert series_document(read.snapshot, read.festival, measure, currency, "second") == series


def test_one_state_makes_one_file() -> None:
    assert sealed_day() == sealed_day()


def test_a_finished_exact_day_has_nothing_against_it_and_is_the_last_edition_of_the_next() -> None:
    state = state_of()
    assert reasons_against(state, state.document(), SEALED_MS) == []
    header = unseal(sealed_day(state)).header
    document = state.document()
    assert header.edition is not None
    assert (header.edition.name, header.edition.orders) == (state.festival.name, document["orders"])
    assert (header.edition.total_minor, header.edition.currency) == (document["home"]["gross"], "CNY")
    curve = HomeCurve(state.snapshot, state.snapshot.as_counted(state.festival))
    assert header.edition.curve[59] == (3_600, curve.before(3_600).amount_minor)
    assert header.why_no_edition is None


def test_a_day_that_goes_on_is_not_over() -> None:
    state = state_of()
    end_ms = state.snapshot.as_counted(state.festival).end_ms
    assert reasons_against(state, state.document(), end_ms - 1) == ["singles-day-2019 is not over yet"]
    assert reasons_against(state, state.document(), end_ms) == []


def test_an_incomplete_day_says_so_wherever_it_is_read() -> None:
    state = incomplete(state_of())
    (reason,) = reasons_against(state, state.document(), SEALED_MS)
    assert reason == "the totals of singles-day-2019 are not complete: partition 1 has no total"
    read = opened(state)
    assert (read.sealed.header.complete, read.sealed.header.reasons) == (False, (reason,))
    assert (read.sealed.header.edition, read.sealed.header.why_no_edition) == (None, reason)
    document = totals_document(read.snapshot, read.festival, judgement=read.judgement)
    assert (document["complete"], document["lag_records"]) == (False, 3)


def test_a_held_partition_is_named_once() -> None:
    held = Held(1, HeldReason.LOG_DELETED, "orders", 5, "gone")
    state = state_of(judgement=Judgement((held,), (1,), 2, 0))
    (reason,) = reasons_against(state, state.document(), SEALED_MS)
    assert reason.endswith("are not complete: partition 1 is held (log_deleted)")
    read = opened(state)
    assert totals_document(read.snapshot, read.festival, judgement=read.judgement)["held"][0]["detail"] == "gone"


def test_an_unreadable_page_of_a_dimension_makes_the_whole_incomplete() -> None:
    festival, _, _ = counted("singles-day-2019", 300)
    ledger = CellLedger(1)
    ledger.count_only(festival)
    ledger.add(0, festival, "orders_by_second", ("CNY",), festival.start_ms, orders=1)
    ledger.write(0, b'["g1","page","singles-day-2019","orders_by_merchant",0]', b"no page")
    ledger.write(0, b'["g1","page","singles-day-2019","buyers",0]', b"no sketch")
    ledger.commit(0)
    view = CommittedView()
    view.feed(ledger.drain())
    state = state_of(snapshot=view.snapshot(), judgement=Judgement(partitions=1, lag_records=0))
    assert reasons_against(state, state.document(), SEALED_MS) == [
        "the totals of singles-day-2019 are not complete: pages of the ledger cannot be read"
    ]
    read = opened(state)
    document = totals_document(read.snapshot, read.festival, judgement=read.judgement)
    assert (document["complete"], document["orders"], document["distinct"]["buyers"]) == (False, 1, None)


def test_groups_of_zeros_values_beyond_64_bits_and_the_rest_are_kept() -> None:
    festival, _, _ = counted("singles-day-2019", 300)
    ledger = CellLedger(2)
    ledger.count_only(festival)
    for partition in (0, 1):
        for second in (0, 500, 86_399):
            at_ms = festival.start_ms + second * 1_000
            ledger.add(partition, festival, "orders_by_second", ("CNY",), at_ms, orders=1, gross_minor=2**62)
            ledger.add(partition, festival, "orders_by_platform", (OTHER, "CNY"), at_ms, orders=1, gross_minor=2**62)
        ledger.add(partition, festival, "payer_by_second", ("USD",), at_ms, payer_paid_minor=0)
        ledger.commit(partition)
    view = CommittedView()
    view.feed(ledger.drain())
    state = state_of(snapshot=view.snapshot(), judgement=Judgement(partitions=2, lag_records=0))
    read = opened(state)
    document = totals_document(read.snapshot, read.festival, judgement=read.judgement, by="platform")
    assert document["money"]["CNY"]["gross"] == 6 * 2**62
    assert (document["payer"]["USD"]["paid"], document["by"][0]["at_least"]) == (0, True)


def test_a_day_that_was_not_audited_is_not_called_exact() -> None:
    state = state_of(audited=Audited(None, "the log was deleted", SEALED_MS))
    (reason,) = reasons_against(state, state.document(), SEALED_MS)
    assert reason == "it is not known whether singles-day-2019 is exact: the log was deleted"
    read = opened(state)
    assert (read.sealed.header.exact, read.sealed.audit, sealed_verdict(read.sealed)) == (None, None, None)
    assert totals_document(read.snapshot, read.festival, judgement=read.judgement)["exact"] is False


def test_a_day_with_differences_says_how_many() -> None:
    result = AuditResult("g1", PLACES, {}, ("singles-day-2019",), lacking=["partition 1 has no committed total"])
    result.differs("orders", {"festival": "singles-day-2019"}, 2, 1)
    state = state_of(audited=Audited(result, "", SEALED_MS))
    (reason,) = reasons_against(state, state.document(), SEALED_MS)
    assert reason == (
        "singles-day-2019 is not exact: the audit found 1 differences and 1 partitions not counted; see "
        "`festival audit`"
    )
    verdict = sealed_verdict(unseal(sealed_day(state)))
    assert verdict is not None
    assert (verdict.exact, verdict.differences, verdict.positions) == (False, 1, PLACES)


def test_a_verdict_that_the_file_does_not_hold_is_refused() -> None:
    state = state_of()
    data = sealed_day(state)
    audit = {**(unseal(data).audit or {})}
    del audit["positions"]
    with pytest.raises(SealError, match="does not say 'positions'"):
        sealed_verdict(unseal(with_member(data, "audit.json", audit)))


def test_a_file_of_format_1_is_read_by_every_later_version() -> None:
    """The file was sealed when the format was new, and is never made again: a later version reads it, or this fails."""
    path = Path(__file__).parent / "sealed" / "format-1.zip"
    read = read_sealed(read_sealed_file(path))
    assert (read.sealed.header.format, read.sealed.header.made_by) == (1, "1.2.3")
    document = totals_document(read.snapshot, read.festival, judgement=read.judgement)
    assert {name: document[name] for name in read.sealed.totals} == read.sealed.totals
    assert (document["sealed"], document["recycling"]["scans"]) == (read.sealed.digest, 40)
    rows = totals_document(read.snapshot, read.festival, by="city", judgement=read.judgement)["by"]
    assert sum(row["recycling"]["scans"] for row in rows) == 40

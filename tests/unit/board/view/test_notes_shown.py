"""Why workers hold partitions, as the board reads it from their notes."""

from __future__ import annotations

from streams.board.view.committed_view import CommittedView, Snapshot
from streams.engine.judgement import Note, encode_note
from streams.engine.memory import CellLedger
from streams.engine.status import HeldReason


def shown(ledger: CellLedger) -> Snapshot:
    view = CommittedView()
    view.feed(ledger.drain())
    return view.snapshot()


def test_a_note_is_shown_as_its_worker_wrote_it_until_the_partition_goes_on() -> None:
    ledger, note = CellLedger(2), Note(HeldReason.LOG_REPLACED, "orders", 5_000, "why")
    ledger.hold(1, encode_note(note))
    assert shown(ledger).notes == {1: note}
    ledger.commit(1)
    assert shown(ledger).notes == {}


def test_a_note_of_another_version_still_says_that_the_partition_is_held() -> None:
    ledger = CellLedger(2)
    ledger.hold(0, b'{"reason":"of tomorrow"}')
    note = shown(ledger).notes[0]
    assert (note.reason, note.topic) == (HeldReason.LEDGER_UNREADABLE, None)
    assert "its log says why" in note.detail

"""What goes onto the topic of totals: only what is new, never a state that goes back, rows with a rest that adds up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.domain.rollups import OTHER
from streams.engine.judgement import UNKNOWN, Judgement
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.handover.published import ROWS, Published, Record

DAY = load_festivals()["singles-day-2019"]
COMPLETE = Judgement(partitions=1, lag_records=0)


class Board:
    """A ledger, its view, and what was published of it."""

    def __init__(self, generation: str = "g1") -> None:
        self.ledger, self.view, self.published = CellLedger(1, generation), CommittedView(), Published()
        self.ledger.count_only(DAY)
        self.offset = 0

    def count(
        self, platform: str = "tmall", merchant: str = "m1", gross_minor: int = 100, currency: str = "CNY"
    ) -> None:
        """Count an order and commit it."""
        cells = {"orders": 1, "gross_minor": gross_minor}
        self.ledger.add(0, DAY, "orders_by_second", (currency,), DAY.start_ms, **cells)
        self.ledger.add(0, DAY, "orders_by_platform", (platform, currency), DAY.start_ms, **cells)
        self.ledger.add(0, DAY, "orders_by_merchant", (merchant, currency), DAY.start_ms, **cells)
        self.commit()

    def commit(self) -> None:
        """Commit one more record."""
        self.offset += 1
        self.ledger.commit(0, {"orders": self.offset})
        self.view.feed(self.ledger.drain())

    def news(self, judgement: Judgement = COMPLETE, *, with_rows: bool = True) -> list[Record]:
        """Return what is new."""
        return self.published.news(self.view.snapshot(), [DAY], judgement, with_rows=with_rows)

    def publish(self, judgement: Judgement = COMPLETE) -> dict[str, dict[str, Any]]:
        """Write what is new, and return it."""
        records = self.news(judgement)
        self.published.written(records)
        return {key.decode(): json.loads(value) for key, value in (record.encoded() for record in records)}


def test_a_state_is_a_totals_document_and_the_rows_of_each_dimension_that_has_some() -> None:
    board = Board()
    board.count()
    told = board.publish()
    assert list(told) == [DAY.id, f"{DAY.id}/platform", f"{DAY.id}/merchant"]
    assert told[DAY.id] == totals_document(board.view.snapshot(), DAY, judgement=COMPLETE)
    assert "by" not in told[DAY.id]
    rows = told[f"{DAY.id}/platform"]
    assert {name: rows[name] for name in ("festival", "ledger", "committed_ms", "complete", "dimension")} == {
        "festival": DAY.id,
        "ledger": "g1",
        "committed_ms": None,
        "complete": True,
        "dimension": "platform",
    }
    assert rows["positions"] == {"orders": {"0": 1}}
    assert [(row["platform"], row["orders"]) for row in rows["by"]] == [("tmall", 1)]


def test_only_what_has_changed_is_written_again() -> None:
    board = Board()
    board.count()
    board.publish()
    assert board.publish() == {}
    board.count()
    assert list(board.publish()) == [DAY.id, f"{DAY.id}/platform", f"{DAY.id}/merchant"]
    board.commit()
    assert list(board.publish()) == [DAY.id], "positions have moved, and no row has"
    assert list(board.publish(UNKNOWN)) == [DAY.id, f"{DAY.id}/platform", f"{DAY.id}/merchant"], "not complete now"


def test_rows_may_wait_and_are_told_later() -> None:
    board = Board()
    board.count()
    first = board.news(with_rows=False)
    assert [record.key for record in first] == [DAY.id]
    board.published.written(first)
    assert list(board.publish()) == [f"{DAY.id}/platform", f"{DAY.id}/merchant"]


def test_a_festival_that_is_not_counted_is_not_published() -> None:
    board = Board()
    board.count()
    others = load_festivals().values()
    keys = [record.key for record in board.published.news(board.view.snapshot(), others, COMPLETE)]
    assert {key.partition("/")[0] for key in keys} == {DAY.id}


def test_who_goes_on_writes_only_what_the_topic_does_not_say_yet() -> None:
    board = Board()
    board.count()
    topic = [record.encoded() for record in board.news()]
    board.published = Published()
    for key, value in topic:
        board.published.take(key, value)
    assert board.publish() == {}
    board.count(platform="taobao")
    assert list(board.publish()) == [DAY.id, f"{DAY.id}/platform", f"{DAY.id}/merchant"]


def test_a_state_behind_what_the_topic_holds_may_not_follow() -> None:
    ahead, behind = Board(), Board()
    behind.count()
    ahead.count()
    ahead.count()
    for record in ahead.news():
        behind.published.take(*record.encoded())
    assert not behind.published.may_follow(behind.view.snapshot())
    with pytest.raises(AssertionError):
        behind.news()
    behind.commit()
    assert behind.published.may_follow(behind.view.snapshot())


def test_a_partition_that_the_topic_has_a_position_of_must_be_there() -> None:
    published = Published()
    document = {"ledger": "g1", "positions": {"orders": {"0": 0, "7": 1}}}
    published.take(b"day", json.dumps(document).encode())
    board = Board()
    board.count()
    assert not published.may_follow(board.view.snapshot())


@pytest.mark.parametrize(("held", "own", "is_allowed"), [("g1", "g2", True), ("g2", "g1", False), ("g9", "g10", True)])
def test_a_later_ledger_begins_anew_and_a_former_one_does_not_come_back(held: str, own: str, is_allowed: bool) -> None:  # noqa: FBT001 - a case
    published = Published()
    published.take(b"day", json.dumps({"ledger": held, "positions": {"orders": {"0": 99}}}).encode())
    board = Board(own)
    board.count()
    assert published.may_follow(board.view.snapshot()) is is_allowed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b"{}"),
        (b"x", None),
        (b"x", b"{"),
        (b"\xff", b'{"ledger": "g1", "positions": {}}'),
        (b"x", b"[]"),
        (b"x", b"{}"),
        (b"x", b'{"ledger": "old", "positions": {}}'),
        (b"x", b'{"ledger": "g1", "positions": {"orders": {"0": "many"}}}'),
        (b"x", b"[" * 100_000),
    ],
)
def test_a_record_that_is_none_of_ours_is_passed_over(key: bytes | None, value: bytes | None) -> None:
    board = Board()
    board.published.take(key, value)
    board.count()
    assert next(iter(board.publish())) == DAY.id


def test_of_many_values_the_largest_are_told_and_the_rest_is_summed() -> None:
    board = Board()
    for number in range(ROWS + 3):
        board.count(merchant=f"m{number:03}", gross_minor=1_000 - number, currency="CNY" if number else "USD")
    board.count(merchant=OTHER, gross_minor=10**9)
    rows = board.publish()[f"{DAY.id}/merchant"]["by"]
    assert len(rows) == ROWS + 1
    assert [row["merchant"] for row in rows[:2]] == ["m000", "m001"], "by money in the home currency"
    rest = rows[-1]
    assert (rest["merchant"], rest["orders"], rest["at_least"]) == (OTHER, 4, True)
    assert rest["money"]["CNY"]["gross"] == 10**9 + sum(1_000 - number for number in (200, 201, 202))
    totals = totals_document(board.view.snapshot(), DAY)
    assert sum(row["orders"] for row in rows) == totals["orders"]
    assert sum(row["money"].get("CNY", {}).get("gross", 0) for row in rows) == totals["money"]["CNY"]["gross"]

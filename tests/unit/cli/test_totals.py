"""`festival totals`: what it asks of the ledger, what it prints, what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

import pytest

from streams.board.view.live_board import COUNTED_TOPICS
from streams.cli import main
from streams.domain.built_in import DIMENSIONS, ROLLUPS
from streams.domain.rollups import Window
from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.judgement import OpenTransaction, Sources
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from tests.unit.cli.ledgers import serve
from tests.unit.looks import sources_ending_at

if TYPE_CHECKING:
    from pathlib import Path

    from streams.engine.ledger_view import FollowerDelta


DAY = load_festivals()["singles-day-2019"]


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command read a ledger in memory: two orders, a minute apart."""
    ledger = CellLedger(1)
    for elapsed_ms in (0, 60_000):
        for rollup, group in (("orders_by_second", ("CNY",)), ("orders_by_platform", ("tmall", "CNY"))):
            ledger.add(0, DAY, rollup, group, DAY.start_ms + elapsed_ms, orders=1, gross_minor=150)
    ledger.commit(0, {"orders": 2})

    serve(monkeypatch, ledger, OpenTransaction("orders", 0, 2, DAY.start_ms, 4711, "hang"))


def test_json_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["totals", "--json"]) == 0
    totals = json.loads(capsys.readouterr().out)
    assert (totals["festival"], totals["orders"], totals["lag_records"]) == (DAY.id, 2, 18)
    assert "by" not in totals


def test_rows_and_an_instant_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["totals", "--festival", DAY.id, "--at", "00:00:59", "--by", "platform", "--top", "1", "--json"]
    assert main.run(arguments) == 0
    totals = json.loads(capsys.readouterr().out)
    assert totals["as_of_ms"] == DAY.start_ms + 59_999
    assert [(row["platform"], row["orders"]) for row in totals["by"]] == [("tmall", 1)]


def test_without_json_it_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["totals"]) == 0
    shown = capsys.readouterr().out
    assert "gross in CNY  3.00" in shown
    assert "complete, 18 records behind" in shown
    assert "WAITING: orders[0] stands at offset 2, where a producer (hang) has left a transaction open" in shown


def test_the_home_total_is_told_in_other_currencies_with_rate_and_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["totals", "--in", "JPY", "--in", "USD", "--json"]) == 0
    totals = json.loads(capsys.readouterr().out)
    assert list(totals["in"]) == ["USD", "EUR", "JPY"]
    assert totals["in"]["JPY"] == {"gross": 47, "net": 47, "paid": 0, "rate": "0.06434783", "date": "2019-11-11"}
    assert totals["exponents"] == {"CNY": 2, "EUR": 2, "JPY": 0, "USD": 2}


def test_a_terminal_is_told_the_rate_and_its_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["totals", "--in", "JPY"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "gross in JPY 47 converted, 1 JPY = 0.06434783 CNY on 2019-11-11" in text
    assert "gross in EUR 0.39 converted, 1 EUR = 7.7404 CNY on 2019-11-11" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--festival", "x"], "festival 'x' is not known; there are"),
        (["--at", "noon"], "'noon' is no time"),
        (["--at", "00:00:30", "--by", "platform"], "kept per minute"),
        (["--at", "00:00:59", "--by", "merchant"], "for the whole festival only"),
        (["--top", "3"], "--top: say of which dimension"),
        (["--top", "0", "--by", "platform"], "0 is not in the range x>=1"),
        (["--by", "buyer"], "by: no totals are kept by 'buyer'; there are platform"),
        (["--in", "SEK"], f"in: 'SEK' has no rate to CNY in the file of {DAY.id}"),
        (["--in", "DOLLAR"], "'DOLLAR' is not one of"),
        (["--festivals", "/nowhere"], "/nowhere"),
    ],
)
def test_bad_input_exits_2_with_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["totals", *arguments]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert not shown.out


def test_an_unreadable_festival_file_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.toml").write_text('id = "mine"\ntimezone = "Mars/Olympus"\n', encoding="utf-8")
    assert main.run(["totals", "--festivals", str(tmp_path)]) == 2
    assert "Mars/Olympus" in capsys.readouterr().err


def test_the_help_names_every_declared_dimension_and_which_are_kept_per_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["totals", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"the largest first: {', '.join(DIMENSIONS)}, or one that was declared." in told
    told = told.partition("Kept per minute: ")[2]
    minutes = told.partition("; the other built-in ones for the whole festival.")[0].split(", ")
    for dimension in DIMENSIONS:
        of_it = {rollup.window for rollup in ROLLUPS if rollup.dimension == dimension}
        assert of_it == {Window.MINUTE if dimension in minutes else Window.FESTIVAL}, dimension
    assert len(minutes) == 5


def test_a_festival_that_the_ledger_does_not_count_exits_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = CellLedger(1)
    ledger.count_only(DAY)
    ledger.commit(0, {"orders": 2})
    serve(monkeypatch, ledger)
    assert main.run(["totals", "--festival", "cardboard-day-2019", "--json"]) == 1
    totals = json.loads(capsys.readouterr().out)
    assert (totals["counted"], totals["complete"], totals["recycling"]["boxes"]) == (False, False, None)


class Follower:
    """Hands over what it was given, one by one; the topics end at the second order."""

    deltas: ClassVar[list[FollowerDelta | None]] = []

    def __init__(self, _: object) -> None:
        """Connect to nothing."""
        self.clock = BrokerClock(SystemClock())

    def start(self) -> None:
        """Nothing to start."""

    def drain(self) -> FollowerDelta | None:
        return self.deltas.pop(0) if self.deltas else None

    async def survey(self, topics: tuple[str, ...], _epochs: object) -> Sources:
        return sources_ending_at({topic: {0: 2} for topic in topics})

    async def open_transactions(self, *_: object) -> tuple[OpenTransaction, ...]:
        return ()

    async def stop(self) -> None:
        """Nothing to stop."""


def test_watching_shows_a_state_once_and_each_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, deltas = CellLedger(1), []
    for orders in (1, 2):
        ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1, gross_minor=150)
        ledger.commit(0, dict.fromkeys(COUNTED_TOPICS, orders))
        deltas.append(ledger.drain())
    Follower.deltas = [deltas[0], None, None, deltas[1]]
    again = CellLedger(1)
    again.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1, gross_minor=150)
    again.commit(0, dict.fromkeys(COUNTED_TOPICS, 1))
    serve(monkeypatch, again, end=2)
    monkeypatch.setattr("streams.cli.watching.LedgerFollower", Follower)
    shown: list[str] = []

    def echo(text: str) -> None:
        shown.append(text)
        if '"orders": 2' in text:
            raise KeyboardInterrupt

    monkeypatch.setattr("streams.cli.watching.click.echo", echo)
    assert main.run(["totals", "--watch", "--json"]) == 130
    told = [json.loads(line) for line in shown]
    assert [one["orders"] for one in told] == [1, 2]
    assert [one["lag_records"] for one in told] == [4, 0]

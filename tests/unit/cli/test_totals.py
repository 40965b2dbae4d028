"""`festival totals`: what it asks of the ledger, what it prints, what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from streams.board.memory import MemoryDelta, MemoryLedger
from streams.cli import main
from streams.festivals import load_festivals

if TYPE_CHECKING:
    from pathlib import Path

DAY = load_festivals()["singles-day-2019"]


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command read a ledger in memory: two orders, a minute apart."""
    ledger = MemoryLedger(1)
    for elapsed_ms in (0, 60_000):
        for rollup, group in (("orders_by_second", ("CNY",)), ("orders_by_platform", ("tmall", "CNY"))):
            ledger.add(0, DAY, rollup, group, DAY.start_ms + elapsed_ms, orders=1, gross_minor=150)
    ledger.commit(0, {"orders": 2})

    async def read(_: object) -> MemoryDelta:
        return ledger.drain()

    async def ends(_: object, topics: tuple[str, ...], partitions: int) -> dict[str, dict[int, int]]:
        return {topic: dict.fromkeys(range(partitions), 5) for topic in topics}

    monkeypatch.setattr("streams.cli.totals.read_committed_ledger", read)
    monkeypatch.setattr("streams.cli.totals.source_end_offsets", ends)
    monkeypatch.setattr("streams.cli.totals.quiet_clients", lambda *_: None)  # loggers outlive a test
    monkeypatch.setenv("FESTIVAL_BROKER", "127.0.0.1:1")


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
    assert "gross in CNY  3.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--festival", "x"], "festival 'x' is not known; there are"),
        (["--at", "noon"], "'noon' is no time"),
        (["--at", "00:00:30", "--by", "platform"], "kept per minute"),
        (["--at", "00:00:59", "--by", "merchant"], "for the whole festival only"),
        (["--top", "3"], "--top: say of which dimension"),
        (["--top", "0", "--by", "platform"], "0 is not in the range x>=1"),
        (["--by", "buyer"], "'buyer' is not one of"),
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

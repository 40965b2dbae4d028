"""`festival festivals`: the list, and the file of a new one."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
import pytest

from streams.cli import main
from streams.domain.festivals import Previous, parse_festival
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from tests.unit.cli.ledgers import serve

if TYPE_CHECKING:
    from pathlib import Path

DAY = load_festivals()["singles-day-2019"]
NEEDED = ["--id", "spring", "--starts", "2027-03-20T00:00:00", "--timezone", "Europe/Berlin"]
OWN = 'id = "own"\nname = "Ours"\nstarts = 2026-05-01T10:00:00\ntimezone = "Europe/Berlin"\nhours = 6\n'


def new(*arguments: str) -> int:
    return main.run(["festivals", "new", *arguments])


def made(capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - what the text is read as
    return parse_festival(capsys.readouterr().out, "stdout")


def test_the_list_has_every_festival_and_says_where_it_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    assert main.run(["festivals", "--festivals", str(tmp_path), "--json"]) == 0
    listed = {one["id"]: one for one in json.loads(capsys.readouterr().out)["festivals"]}
    assert listed.keys() == {*load_festivals(), "own"}
    assert listed["own"] == {
        "id": "own",
        "name": "Ours",
        "starts": "2026-05-01T10:00:00",
        "timezone": "Europe/Berlin",
        "hours": 6,
        "start_ms": 1_777_622_400_000,
        "end_ms": 1_777_644_000_000,
        "home_currency": "CNY",
        "display": [],
        "facts": ["orders", "payments", "parcels", "recycling"],
        "retired": False,
        "source": str(tmp_path / "own.toml"),
    }
    assert listed[DAY.id]["source"] == "built-in"
    assert main.run(["festivals", "--festivals", str(tmp_path)]) == 0
    assert str(tmp_path / "own.toml") in capsys.readouterr().out


def test_a_new_file_is_commented_and_says_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--name", "Spring", "--hours", "48", "--home-currency", "EUR", "--facts", "payments,orders"]
    assert new(*NEEDED, *more, "--milestones", "1000,2500.50") == 0
    text = capsys.readouterr().out
    assert text.count("#") > 20
    festival = parse_festival(text, "stdout")
    assert (festival.id, festival.name, festival.timezone) == ("spring", "Spring", "Europe/Berlin")
    assert (festival.end_ms - festival.start_ms, festival.home_currency) == (48 * 3_600_000, "EUR")
    assert (festival.facts, festival.milestones_minor) == (("orders", "payments"), (100_000, 250_050))


def test_every_comment_of_a_new_file_is_a_line_that_may_be_taken_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the lines that hold an example: those that would be TOML without their sign."""
    assert new(*NEEDED) == 0
    lines = capsys.readouterr().out.splitlines()
    taken_out = [line.removeprefix("# ") if "= " in line or line.startswith("# [") else line for line in lines]
    festival = parse_festival("\n".join(taken_out), "taken out")
    assert festival.previous is not None
    assert festival.plausible.growth_ratio == (Decimal("-0.5"), Decimal("1.5"))
    assert [rate.currency for rate in festival.rates] == ["USD"]


def test_the_newest_known_rate_of_a_displayed_currency_comes_along(capsys: pytest.CaptureFixture[str]) -> None:
    assert new(*NEEDED, "--display", "USD,CHF") == 0
    shown = capsys.readouterr()
    festival = parse_festival(shown.out, "stdout")
    assert festival.display == ("USD",)
    assert festival.rate_of("USD") == Decimal("6.9933")
    assert "no rate of CHF is known" in shown.err


def test_a_file_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "spring.toml"
    assert new(*NEEDED, "--out", str(out)) == 0
    assert load_festivals(tmp_path)["spring"].name == "spring"
    assert "spring.toml: spring, 2027-03-20T00:00:00 Europe/Berlin" in capsys.readouterr().out
    assert new(*NEEDED, "--out", str(out)) == 2
    assert "exists already" in capsys.readouterr().err
    assert new(*NEEDED, "--out", str(tmp_path / "nowhere" / "x.toml")) == 2
    assert new("--id", "summer", *NEEDED[2:], "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["festival"]["id"], parse_festival(told["toml"], "json").id) == ("summer", "summer")


def test_all_that_is_wrong_is_told_at_once_by_option(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--starts", "2026-13-01", "--timezone", "X", "--hours", "0", "--facts", "order", "--milestones", "much"]
    assert new(*wrong, "--home-currency", "EURO", "--display", "ZZZ") == 2
    shown = capsys.readouterr()
    assert not shown.out
    told = [line.removeprefix("festival: --").split(":")[0].split(" ")[0] for line in shown.err.splitlines()]
    assert sorted(told) == sorted(
        ["id", "starts", "timezone", "hours", "facts", "milestones", "home-currency", "display"]
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--id", DAY.id, *NEEDED[2:]], f"--id: {DAY.id} is taken"),
        ([*NEEDED, "--from", "nothing"], "'nothing' is not known"),
        ([*NEEDED, "--from", DAY.id, "--home-currency", "EUR"], "--home-currency: totals of singles-day-2019"),
        (["--id", "dst", "--starts", "2026-03-29T02:30", "--timezone", "Europe/Berlin"], "skips"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert new(*arguments) == 2
    assert sentence in capsys.readouterr().err


def test_on_a_terminal_it_asks_for_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    answers = {"id": "autumn", "starts": "2026-10-01", "time zone": "Asia/Tokyo"}

    def answer(question: str, **_: object) -> str:
        asked.append(question)
        (name,) = [name for name in answers if re.match(rf"(Its|When it) {name}", question)]
        return answers[name]

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(click, "prompt", answer)
    assert new() == 0
    festival = made(capsys)
    assert (festival.id, festival.timezone, len(asked)) == ("autumn", "Asia/Tokyo", 3)
    asked.clear()
    assert new(*NEEDED[:4]) == 0
    assert len(asked) == 1


def counted(*, currency: str = "CNY", end: int = 2) -> CellLedger:
    """Return a ledger of the 2019 day: an order in its first second, one after an hour and a half."""
    ledger = CellLedger(1)
    for elapsed_ms, gross_minor in ((0, 150), (5_400_000, 1_050)):
        at_ms = DAY.start_ms + elapsed_ms
        ledger.add(0, DAY, "orders_by_second", (currency,), at_ms, orders=1, gross_minor=gross_minor)
    ledger.commit(0, dict.fromkeys(("orders", "payments", "parcels", "recycling"), end))
    return ledger


def test_the_last_edition_comes_out_of_the_ledger(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(monkeypatch, counted())
    assert new("--id", "singles-day-2020", "--starts", "2020-11-11T00:00:00", "--from", DAY.id) == 0
    festival = made(capsys)
    assert isinstance(festival.previous, Previous)
    assert (festival.previous.name, festival.previous.total_minor) == (DAY.name, 1_200)
    assert DAY.previous is not None
    assert festival.previous.before_minor == DAY.previous.total_minor
    curve = festival.previous.curve
    assert [second for second, _ in curve] == [60 * minute for minute in range(1, 1_441)]
    assert (curve[0][1], curve[89][1], curve[90][1], curve[-1][1]) == (150, 150, 1_200, 1_200)
    assert (festival.timezone, festival.facts) == (DAY.timezone, DAY.facts)


@pytest.mark.parametrize(
    ("ledger", "end", "sentence"),
    [
        (counted(currency="CHF"), 2, "no rate for CHF"),
        (counted(end=9), 2, "not complete"),
    ],
    ids=["no rate", "not complete"],
)
def test_a_last_edition_that_would_mislead_is_none(
    ledger: CellLedger, end: int, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(monkeypatch, ledger, end=end)
    assert new("--id", "x", "--starts", "2020-11-11T00:00:00", "--from", DAY.id) == 1
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert not shown.out

"""Commands that read a sealed file in place of a ledger: without a broker, and marked."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from streams.cli import main
from streams.engine.sealed.container import Members
from tests.unit.handover.seals import incomplete, sealed_at, state_of, with_member

if TYPE_CHECKING:
    from pathlib import Path

DAY = "singles-day-2019"


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FESTIVAL_BROKER", raising=False)
    monkeypatch.setenv("FESTIVAL_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return sealed_at(tmp_path / "sealed.zip")


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:  # noqa: ANN401 - JSON
    assert main.run([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_totals_are_those_of_the_ledger_with_the_digest_beside_them(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = told(capsys, "totals", "--sealed", file)
    assert document.pop("sealed") == Members(file.read_bytes()).digest
    assert document == state_of().document()


def test_rows_instants_and_currencies_are_told_as_of_a_ledger(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("totals", "--sealed", file, "--festival", DAY, "--by", "platform", "--top", "1", "--at", "00:59:59")
    document = told(capsys, *asked, "--in", "JPY")
    assert document["by"][0]["platform"] == "tmall"
    assert document["by"][0]["orders"] < document["orders"]
    assert "JPY" in document["in"]


def test_a_terminal_is_told_that_it_is_sealed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["totals", "--sealed", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f"sealed as {Members(file.read_bytes()).digest}" in shown
    assert "NOT EXACT" not in shown


def test_a_terminal_is_told_that_what_is_sealed_was_not_exact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = json.loads(Members(sealed_at(tmp_path / "whole.zip").read_bytes()).read("seal.json"))
    file = tmp_path / "forced.zip"
    file.write_bytes(with_member((tmp_path / "whole.zip").read_bytes(), "seal.json", {**header, "exact": False}))
    assert main.run(["totals", "--sealed", str(file)]) == 0
    assert "NOT EXACT: what was sealed was not audited" in capsys.readouterr().out
    assert told(capsys, "totals", "--sealed", file)["exact"] is False


def test_an_export_has_the_digest_in_its_state(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "export", "--sealed", file, "--out", tmp_path / "out", "--format", "csv", "--by", "platform")
    state = json.loads((tmp_path / "out" / "state.json").read_text("utf-8"))["festivals"][0]
    assert (state["festival"], state["sealed"]) == (DAY, Members(file.read_bytes()).digest)
    assert (tmp_path / "out" / "orders.csv").read_text("utf-8").startswith("festival,platform,currency,orders")


@pytest.mark.parametrize(("language", "words"), [("en", "Sealed "), ("de", "Versiegelt "), ("zh", "封存于 ")])
def test_a_report_shows_when_and_as_what_it_was_sealed(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str, words: str
) -> None:
    out = tmp_path / "report.html"
    document = told(capsys, "report", "--sealed", file, "--out", out, "--lang", language)
    assert (document["exact"], document["complete"]) == (True, True)
    html = out.read_text("utf-8")
    mark = re.search(r'<p class="sealed">(.*?)</p>', html)
    assert mark is not None
    assert mark[1].startswith(words)
    assert mark[1].endswith(Members(file.read_bytes()).digest)
    assert "festival audit --sealed FILE" in html


def test_a_report_of_a_forced_file_says_that_it_is_incomplete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sealed_at(tmp_path / "forced.zip", incomplete(state_of()))
    assert told(capsys, "report", "--sealed", file, "--out", tmp_path / "report.html")["complete"] is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["totals", "--sealed", "{file}", "--festival", "other"], "other is not in the sealed file, singles-day-2019"),
        (["totals", "--sealed", "{file}", "--watch"], "--watch: what is sealed does not change"),
        (["report", "--sealed", "{file}", "--out", "r.html", "--audit"], "`festival audit --sealed` counts again"),
        (["totals", "--sealed", "nowhere.zip"], "nowhere.zip: cannot be read: No such file or directory"),
        (["totals", "--sealed", "{changed}"], "changed.zip: it was changed or cut off since it was sealed"),
        (["export", "--sealed", "{changed}", "--out", "x", "--format", "csv"], "it was changed or cut off"),
        (["report", "--sealed", "{other}", "--out", "r.html"], "other.zip: this is no sealed festival"),
        (["totals", "--sealed", "{strange}"], "orders_by_second: the columns are not start"),
    ],
)
def test_what_cannot_be_read_is_refused(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    files = {name: tmp_path / f"{name}.zip" for name in ("changed", "other", "strange")}
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    files["changed"].write_bytes(data)
    files["other"].write_bytes(b"something else")
    files["strange"].write_bytes(with_member(file.read_bytes(), "totals/orders_by_second.csv", b"x"))
    assert main.run([word.format(file=file, **files) for word in arguments]) == 2
    assert sentence in capsys.readouterr().err

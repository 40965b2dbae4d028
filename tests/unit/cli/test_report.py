"""`festival report`: what it writes, what it refuses, and with which exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from streams.audit.result import AuditResult
from streams.audit.verdict import Verdict
from streams.cli import main
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.handover.verdict import newest
from tests.unit.cli.ledgers import serve

if TYPE_CHECKING:
    from pathlib import Path

DAY = load_festivals()["singles-day-2019"]
RECORDED = Verdict(DAY.id, "g1", True, 0, {}, {}, 1_573_500_000_000)


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = CellLedger(1)
    ledger.count_only(DAY)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms + 60_000, orders=3, gross_minor=60_000)
    ledger.commit(0, dict.fromkeys(("orders", "payments", "parcels", "recycling"), 5))
    serve(monkeypatch, ledger)

    async def recorded(*_: object) -> Verdict:
        return RECORDED

    monkeypatch.setattr("streams.cli.report.recorded_verdict", recorded)


def report(out: Path, *arguments: str) -> int:
    return main.run(["report", "--out", str(out), "--festival", DAY.id, *arguments])


def test_the_report_is_written_and_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    assert report(out, "--lang", "de", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(out), "festival": DAY.id, "lang": "de", "complete": True, "exact": True}
    html = out.read_text("utf-8")
    assert '<html lang="de">' in html
    assert "600,00\u00a0CNY" in html
    assert "Unabhängig nachgezählt: keine Abweichung" in html
    assert report(out) == 2
    assert "exists already" in capsys.readouterr().err
    assert out.read_text("utf-8") == html


def test_an_audit_that_finds_a_difference_is_told_and_exits_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = AuditResult("g1", {}, {}, (DAY.id,))
    for _ in range(2):
        found.differs("orders", {"festival": DAY.id}, 1, 2)

    async def audit(_: object, festivals: list[str], __: object) -> AuditResult:
        assert festivals == [DAY.id]
        return found

    monkeypatch.setattr("streams.cli.report.run_audit", audit)
    out = tmp_path / "report.html"
    assert report(out, "--audit") == 1
    assert "2 differences" in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("report.txt", [], "neither of .html and .pdf"),
        ("nowhere/report.html", [], "is no directory"),
        ("report.html", ["--lang", "fr"], "'fr' is not one of"),
        ("report.html", ["--prometheus", "here"], "'here' is no address"),
        ("report.html", ["--festival", "x"], "'x' is not known"),
    ],
)
def test_bad_arguments_exit_2_before_anything_is_read(
    name: str, arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(tmp_path / name, *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_festival_that_is_not_counted_has_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["report", "--out", str(tmp_path / "r.html"), "--festival", "cardboard-day-2019"]) == 1
    assert "does not count cardboard-day-2019" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_pdf_needs_a_chromium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report(tmp_path / "r.pdf") == 3
    assert "no Chromium" in capsys.readouterr().err
    monkeypatch.setenv("FESTIVAL_CHROMIUM", str(tmp_path / "chromium"))
    assert report(tmp_path / "r.pdf") == 3
    assert "FESTIVAL_CHROMIUM" in capsys.readouterr().err
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 4\n", encoding="utf-8")
    broken.chmod(0o755)
    assert report(tmp_path / "r.pdf") == 3
    assert "exit status 4" in capsys.readouterr().err
    assert not (tmp_path / "r.pdf").exists()


def test_a_prometheus_that_does_not_answer_exits_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def first(*_: object) -> int:
        return DAY.start_ms

    monkeypatch.setattr("streams.cli.report.first_record_ms", first)
    assert report(tmp_path / "r.html", "--prometheus", "http://127.0.0.1:9") == 3
    assert "http://127.0.0.1:9 does not answer" in capsys.readouterr().err


def test_the_newest_verdict_on_the_festival_is_the_one_that_counts() -> None:
    text = (
        b'{"festival": "f", "ledger": "g%d", "exact": true, "differences": 0, "positions": {}, "from": {}, '
        b'"audited_ms": 1}'
    )
    records = [(b"f", text % 1), (b"other", text % 2), (b"f", text % 3), (b"f", b"no verdict")]
    found = newest(records, "f")
    assert found is not None
    assert found.ledger == "g3"
    assert newest([*records, (b"f", None)], "f") is None
    assert newest([], "f") is None

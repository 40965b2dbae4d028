"""A board of sealed files: each festival out of its own file, without a broker, and marked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from streams.board.view.sealed import read_sealed
from streams.cli import main
from streams.engine.sealed.container import Members
from streams.engine.sealed.contents import unseal
from streams.handover.verdict import sealed_verdict
from streams.web.exposition import FestivalCollector, render
from streams.web.process import ProcessFacts
from streams.web.shown import Shown
from tests.unit.handover.seals import incomplete, sealed_at, sealed_day, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY, BOXES = "singles-day-2019", "cardboard-day-2019"


@pytest.fixture
def shown() -> Shown:
    files = [unseal(sealed_day(state_of(name))) for name in (DAY, BOXES)]
    verdicts = {file.header.festival: verdict for file in files if (verdict := sealed_verdict(file)) is not None}
    return Shown.of_sealed([read_sealed(file) for file in files], verdicts)


def test_each_festival_is_told_out_of_its_own_file(shown: Shown) -> None:
    for name, festival in shown.festivals.items():
        document = shown.totals(festival, None, None, None)
        assert document.pop("sealed") == shown.sealed[name].sealed.digest
        assert document == state_of(name).document()


def test_the_latest_is_shown_where_none_is_named_and_it_is_ready(shown: Shown) -> None:
    assert shown.festival(None).id == max(shown.festivals.values(), key=lambda festival: festival.start_ms).id
    assert shown.readiness() == (True, "showing sealed festivals")
    assert shown.freshness()["loaded"] is True


def test_metrics_are_those_of_all_files_and_say_which(shown: Shown) -> None:
    page = render(FestivalCollector(shown.scenes, process=ProcessFacts.of(shown)), "")[0].decode()
    for name in (DAY, BOXES):
        digest = shown.sealed[name].sealed.digest
        assert f'festival_sealed_info{{festival="{name}",sealed="{digest}"}} 1.0' in page
        assert f'festival_complete{{festival="{name}"}} 1.0' in page
    assert f'festival_orders{{festival="{DAY}"}} 300.0' in page
    newest_ms = max(state.snapshot.committed_ms or 0 for state in shown.sealed.values())
    (told,) = [line for line in page.splitlines() if line.startswith("festival_committed_timestamp_seconds")]
    assert float(told.split()[1]) == newest_ms / 1_000
    assert "streams_collect_failures_total{" not in page


def get(url: str) -> Any:  # noqa: ANN401 - JSON
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - a server of our own
        return json.loads(answer.read())


@pytest.fixture
def board(tmp_path: Path) -> Iterator[str]:
    """Run `festival board` over two files, one of them forced, and give its address; it ends with 0."""
    files = [sealed_at(tmp_path / "day.zip"), sealed_at(tmp_path / "boxes.zip", incomplete(state_of(BOXES)))]
    named = [word for file in files for word in ("--sealed", str(file))]
    command = [sys.executable, "-m", "streams.cli", "board", *named, "--web-port", "0", "--json"]
    with subprocess.Popen([*command, "--data", str(tmp_path)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline())["url"].rstrip("/")
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
        finally:
            running.kill()


def test_a_board_serves_several_files_without_a_broker(board: str, tmp_path: Path) -> None:
    document = get(f"{board}/api/totals?festival={DAY}&by=platform&top=1")
    digest = Members((tmp_path / "day.zip").read_bytes()).digest
    assert (document["festival"], document["sealed"], document["complete"]) == (DAY, digest, True)
    assert document["by"][0]["platform"] == "tmall"
    forced = get(f"{board}/api/totals?festival={BOXES}")
    assert (forced["complete"], forced["sealed"] != digest) == (False, True)
    series = get(f"{board}/api/series?festival={DAY}&measure=orders&step=hour")
    assert sum(series["values"]) == document["orders"]
    listed = get(f"{board}/api/festivals")
    assert {one["id"]: (one["has_totals"], one["counted"]) for one in listed["festivals"]} == {
        DAY: (True, True),
        BOXES: (True, True),
    }
    assert get(f"{board}/readyz")["ready"] is True
    with urllib.request.urlopen(f"{board}/api/stream?festival={DAY}", timeout=20) as stream:  # noqa: S310 - ours
        lines = (line.decode() for line in stream)
        events = {}
        while "totals" not in events:
            name = next(line for line in lines if line.startswith("event: ")).removeprefix("event: ").strip()
            events[name] = json.loads(next(lines).removeprefix("data: "))
    assert (events["totals"]["sealed"], events["totals"]["audit"]["exact"]) == (digest, True)


def test_two_files_of_one_festival_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(sealed_at(tmp_path / "day.zip"))
    assert main.run(["board", "--sealed", file, "--sealed", file]) == 2
    assert f"--sealed: several files hold {DAY}" in capsys.readouterr().err

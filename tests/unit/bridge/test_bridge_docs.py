"""The examples of docs/bridge.md give what stands below them; the page of metrics is what is declared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from streams.bridge import metrics
from streams.cli.main import run

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "bridge.md").read_text("utf-8")
EXAMPLES = re.findall(r"```\n(festival bridge [^\n]* --check [^\n]*)\n```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("command", "shown"), EXAMPLES, ids=[shlex.split(command)[3].split("/")[-2] for command, _ in EXAMPLES]
)
def test_each_example_gives_what_stands_below_it(
    command: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert run(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out.startswith(shown)


def test_there_is_an_example_for_each_encoding() -> None:
    assert len(EXAMPLES) == len(list((ROOT / "docs" / "examples" / "bridge").iterdir())) == 6


def test_the_committed_page_of_metrics_is_what_the_declarations_make() -> None:
    page = (ROOT / "docs" / "bridge-metrics.md").read_text("utf-8")
    assert page == metrics.markdown(), "run: python -m streams.bridge.metrics > docs/bridge-metrics.md"

"""Every command in the diagnosis of a runbook is tried: on the stage, as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.deploy.monitoring import RUNBOOKS, tool
from tests.deploy.stage import FOREIGN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_800)]


def commands() -> list[str]:
    """Return every command of every diagnosis, once."""
    found: dict[str, None] = {}
    for path in sorted(RUNBOOKS.glob("*.md")):
        diagnosis = path.read_text("utf-8").partition("## Diagnosis")[2].partition("## Mitigation")[0]
        for block in re.findall(r"```\n(.*?)```", diagnosis, re.DOTALL):
            found |= dict.fromkeys(block.splitlines())
    return list(found)


@pytest.fixture(scope="module")
def shell(bridged: Stage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of somebody on call, with `festival` on the path."""
    stage = bridged
    for name in ("promtool", "amtool", "curl", "jq"):
        tool(name)
    bin_directory: Path = tmp_path_factory.mktemp("bin")
    festival = bin_directory / "festival"
    festival.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streams.cli "$@"\n')
    festival.chmod(0o755)
    environment = stage.environment()
    return environment | {
        "PATH": f"{bin_directory}:{environment['PATH']}",
        "WORKER": stage.url("worker"),
        "PROMETHEUS": stage.url("prometheus"),
        "ALERTMANAGER": stage.url("alertmanager"),
        "MAP": str(stage.map_file),
        "TOPIC": FOREIGN,
    }


@pytest.mark.parametrize("command", commands())
def test_a_command_of_a_runbook_does_what_it_says(shell: dict[str, str], command: str) -> None:
    done = subprocess.run(["sh", "-c", command], env=shell, capture_output=True, text=True, check=False)  # noqa: S607
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    if command.startswith("curl") and "|" not in command:
        assert done.stdout.strip(), "an answer"

"""docs/first-festival.md, from its first command to its last: somebody's own festival, counted, audited and told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.festivals import load_festivals

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "first-festival.md"
SECONDS = 120.0
ORDERS = 10_000
BROKER = "festival broker"
"""The session's broker stands in for it."""
WORKER = "festival worker"
CHECK = "festival check"


def blocks() -> list[str]:
    """Return the blocks of commands in order."""
    return re.findall(r"^```\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


class Reader:
    """Somebody who does what the page says, in a folder of their own."""

    def __init__(self, directory: Path, kafka: str) -> None:
        self.directory = directory
        (directory / ".venv" / "bin").mkdir(parents=True)
        festival = directory / ".venv" / "bin" / "festival"
        festival.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streams.cli "$@"\n')
        festival.chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(directory),
            "FESTIVAL_BROKER": kafka,
            "FESTIVAL_PREFIX": f"first-{time.monotonic_ns()}.",
            "FESTIVAL_DATA_DIR": str(directory / "data"),
            "FESTIVAL_WEB_PORT": "0",
        }
        self.worker: subprocess.Popen[bytes] | None = None

    def follow(self, block: str) -> str:
        """Run a block; what it exports stays. Return what it prints."""
        if block.strip() == BROKER:
            return ""
        if block.strip() == WORKER:
            log = (self.directory / "worker.log").open("wb")
            self.worker = subprocess.Popen(
                ["sh", "-c", f"exec {WORKER}"],  # noqa: S607 - as a reader does
                cwd=self.directory,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
            log.close()
            return ""
        script = f"set -e\n{block}\nenv > environment"
        done = subprocess.run(
            ["sh", "-c", script],  # noqa: S607 - as a reader does
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        for line in (self.directory / "environment").read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "PATH" or name.startswith("FESTIVAL_"):
                self.environment[name] = value
        return done.stdout

    def until_counted(self) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            told = json.loads(self.follow("festival totals --festival spring-2025 --json") or "{}")
            if told.get("orders") == ORDERS and told["lag_records"] == 0:
                return
            assert self.worker is not None
            assert self.worker.poll() is None, (self.directory / "worker.log").read_text()
            assert time.monotonic() < deadline, told


@pytest.fixture
def reader(kafka: str, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, kafka)
    yield reader
    if reader.worker is not None:
        reader.worker.terminate()
        reader.worker.wait(30)


@pytest.mark.kafka
def test_the_page_leads_to_an_own_festival(reader: Reader) -> None:
    told = {}
    for block in blocks():
        told[block.split("\n")[0]] = reader.follow(block)
        if block.startswith("festival replay"):
            reader.until_counted()
    page = "\n".join(told.values())
    assert "spring-2025" in page
    assert "DE" in page
    assert "webshop" not in page, "the rows of markets were asked for"
    # How far it is behind is not asked: the group's offsets stand a moment after the ledger's cursors.
    assert "group stable, 1 members, " in page
    document = (reader.directory / "spring-2025.html").read_text("utf-8")
    assert "Recounted by an independent path: no difference" in document
    known = load_festivals(reader.directory / "festivals")
    counted, coming = known["spring-2025"], known["spring-2027"]
    assert coming.previous is not None
    assert coming.previous.name == counted.name
    assert coming.previous.total_minor == pytest.approx(ORDERS * 6_490, rel=0.02)
    assert len(coming.previous.curve) == 48 * 60
    assert (coming.home_currency, coming.timezone) == ("EUR", "Europe/Berlin")

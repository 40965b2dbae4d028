"""docs/declarations.md, done as it says: a worker counts by fields of a shop's own, and the audit agrees."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams.cli.main import run
from tests.integration.ledgers import send
from tests.integration.worker_processes import WorkerProcess, eventually

if TYPE_CHECKING:
    from streams.settings import Settings

pytestmark = pytest.mark.kafka
DAY = "singles-day-2019"
PAGE = (Path(__file__).parents[2] / "docs" / "declarations.md").read_text("utf-8")


def block(language: str) -> str:
    """Return the block of the page in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


class Reader:
    """Does what the page says, in its order."""

    def __init__(self, settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.settings, self.folder, self._capsys = settings, folder, capsys
        self.file = folder / "shop.toml"
        self.file.write_text(block("toml"), encoding="utf-8")
        self.commands = [line.split() for line in block("sh").splitlines()]

    def worker(self, name: str) -> WorkerProcess:
        """Return a worker of that name, not started yet."""
        worker = WorkerProcess(self.settings, name, {"FESTIVAL_DATA_DIR": str(self.folder / name)})
        worker.log_file = self.folder / f"{name}.log"
        return worker

    async def follow(self, command: list[str], *options: str, status: int = 0) -> str:
        """Return what a command prints."""
        place = ["--broker", self.settings.bootstrap_servers, "--prefix", self.settings.prefix]
        words = [str(self.folder / word) if word in {"shop.toml", "numbers"} else word for word in command[1:]]
        ended = await asyncio.to_thread(run, [*words, *options, *place, "--data", str(self.folder / "data")])
        told = self._capsys.readouterr()
        assert ended == status, told.err
        return told.out or told.err

    async def counted(self) -> dict[str, Any]:
        """Return the totals once all is counted."""
        for _ in range(120):
            document: dict[str, Any] = json.loads(await self.follow(self.commands[1], "--json"))
            if document["lag_records"] == 0 and document["complete"]:
                break
            await asyncio.sleep(0.5)
        return document

    def exported(self) -> dict[str, tuple[str, str]]:
        """Return orders and shipping by channel, as they were exported."""
        with (self.folder / "numbers" / "orders.csv").open(encoding="utf-8", newline="") as file:
            return {row["channel"]: (row["orders"], row["shipping"]) for row in csv.DictReader(file)}


@pytest.fixture
def reader(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Reader:
    return Reader(settings, tmp_path, capsys)


async def test_the_page_leads_to_a_dimension_and_an_amount_of_ones_own(reader: Reader) -> None:
    commands = reader.commands
    assert commands[0] == ["festival", "worker", "--declarations", "shop.toml"]
    await send(reader.settings, [line.encode() for line in block("json").splitlines()])
    worker, other = reader.worker("declared"), reader.worker("undeclared")
    try:
        worker.start("--declarations", str(reader.file))
        await worker.counting(2, timeout=90)
        document = await reader.counted()
        assert (document["orders"], document["rejected"]) == (4, 1)
        assert document["money"]["EUR"] == document["money"]["EUR"] | {"gross": 10990, "net": 10990, "shipping": 980}
        rows = {row["channel"]: (row["orders"], row["money"]["EUR"]["shipping"]) for row in document["by"]}
        assert rows == {"search": (2, 980), "mail": (1, 0), "__none__": (1, 0)}

        assert "Exact: " in await reader.follow(commands[2], "--no-record")
        told = await reader.follow(["festival", "audit"], "--no-record", status=2)
        assert "channel of orders is not declared here" in told
        await reader.follow(commands[3])
        assert reader.exported() == {"search": ("2", "9.80"), "mail": ("1", "0.00"), "__none__": ("1", "0.00")}

        assert worker.stop() == 0
        other.start()
        await eventually("it refuses", other.has_ended, 60)
        assert other.process.wait() == 2
        for name in ("dimension channel of orders", "amount shipping_minor of orders", "dimension channel of payments"):
            assert f"{name}: the ledger counts it, and nothing here declares it" in other.log()
    finally:
        worker.end()
        other.end()

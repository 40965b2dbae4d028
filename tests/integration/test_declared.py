"""Next year's festival is declared beside a ledger that counts: nothing is recounted, and no other total changes."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from streams.cli.main import festival
from tests.integration import worker_processes as w

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka

DAY = "singles-day-2019"
BEGUN = ("black-friday-2014", "singles-day-2014", DAY)
"""Built-in festivals about orders."""
REFUSED = 2
SECONDS = 10.0
"""In which a running worker that lacks a declared festival has ended (contract 2)."""


def festivals(directory: Path, **starts: dt.datetime) -> str:
    """Write files of festivals, each with its start in UTC; return their folder."""
    directory.mkdir()
    for name, start in starts.items():
        text = f'id = "{name}"\nname = "{name}"\nstarts = {start:%Y-%m-%dT%H:%M:%S}\ntimezone = "UTC"\n'
        (directory / f"{name}.toml").write_text(text)
    return str(directory)


async def asked(settings: Settings, *arguments: str) -> dict[str, Any]:
    """Return the document of a command."""
    flags = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, festival, [*arguments, *flags], standalone_mode=False)
    assert result.exception is None, result.exception
    document: dict[str, Any] = json.loads(result.stdout)
    return document


async def test_next_years_festival_needs_no_recount_and_changes_no_other_total(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings = await w.prepare(kafka, prefix, tmp_path)
    following = festivals(tmp_path / "next", next=dt.datetime.now(dt.UTC) + dt.timedelta(days=300))
    old, new = w.WorkerProcess(settings, "old"), w.WorkerProcess(settings, "new")
    with w.ended(old, new):
        old.start()
        await w.Load(settings).run(500, 2)
        await old.counting(w.PARTITIONS)
        await w.counted_up(settings)
        before = await asked(settings, "totals", "--festival", DAY)
        began = time.monotonic()
        new.start("--festivals", following)
        await w.eventually("the worker without the file has ended", old.has_ended)
        assert old.process.returncode == REFUSED
        assert "festival next: the ledger counts it, and no file here declares it" in old.log()
        assert time.monotonic() - began < SECONDS + 5  # with the start of the other
        await new.counting(w.PARTITIONS)
        after = await asked(settings, "totals", "--festival", DAY)
        assert after == {**before, "committed_ms": after["committed_ms"]}
        told = await asked(settings, "totals", "--festival", "next", "--festivals", following)
        assert (told["ledger"], told["counted"], told["complete"], told["orders"]) == ("g1", True, True, 0)

        # A worker without it does not start, and does not touch the group.
        rebalances = new.log().count("partition assigned")
        old.start()
        await w.eventually("refused", old.has_ended)
        assert old.process.returncode == REFUSED
        assert new.log().count("partition assigned") == rebalances
        assert new.stop() == 0


async def test_a_festival_that_has_begun_is_incomplete_and_the_others_are_not(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    settings = await w.prepare(kafka, prefix, tmp_path)
    both = festivals(tmp_path / "files", begun=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    worker = w.WorkerProcess(settings, "one")
    with w.ended(worker):
        worker.start()
        await w.Load(settings).run(500, 1)
        await worker.counting(w.PARTITIONS)
        await w.counted_up(settings)
        assert worker.stop() == 0
        worker.start("--festivals", both)
        await worker.counting(2 * w.PARTITIONS)
        await w.eventually_async("known", lambda: _counts(settings, "begun", both))
        told = await asked(settings, "totals", "--festival", "begun", "--festivals", both)
        assert (told["counted"], told["complete"]) == (True, False)
        assert (await asked(settings, "totals", "--festival", DAY, "--festivals", both))["complete"]
        audit = await asked(settings, "audit", "--no-record", "--festival", DAY, "--festivals", both)
        assert (audit["exact"], audit["differences"]) == (True, [])
        audit = await asked(settings, "audit", "--no-record", "--festivals", both)
        assert (audit["exact"], audit["differing"]) == (False, 0)
        assert audit["lacking"][0].startswith("begun could have begun when it, or something of it,")
        assert worker.stop() == 0

        # A dimension more makes incomplete what is about its topic, and may have begun.
        (tmp_path / "own.toml").write_text('[[dimension]]\nfact = "orders"\nfield = "channel"\n')
        own = ("--festivals", both, "--declarations", str(tmp_path / "own.toml"))
        worker.start(*own)
        await worker.counting(3 * w.PARTITIONS)
        told = await asked(settings, "totals", "--festival", DAY, *own)
        assert (told["counted"], told["complete"]) == (True, False)
        assert (await asked(settings, "totals", "--festival", "cardboard-day-2019", *own))["complete"]
        audit = await asked(settings, "audit", "--no-record", *own)
        assert (audit["differences"], sorted(text.split()[0] for text in audit["lacking"])) == ([], ["begun", *BEGUN])
        lacking = w.WorkerProcess(settings, "lacking").start("--festivals", both)
        with w.ended(lacking):
            await w.eventually("refused", lacking.has_ended)
        assert lacking.process.returncode == REFUSED
        assert "dimension channel of orders: the ledger counts it, and nothing here declares it" in lacking.log()
        assert worker.stop() == 0


async def _counts(settings: Settings, name: str, directory: str) -> bool:
    told = await asked(settings, "totals", "--festival", name, "--festivals", directory)
    counted: bool = told["counted"]
    return counted

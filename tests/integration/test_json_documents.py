"""The documents of `--json` have the keys that docs/json.md promises."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from streams.cli.main import run
from streams.cli.scrapes import Delay, Scrape, Standstill
from streams.domain.declarations import Declarations
from streams.festivals import load_festivals
from streams.kafka.group.roster import Member, Partition, Roster
from tests.integration.ledgers import count, send
from tests.unit.domain import samples

if TYPE_CHECKING:
    from streams.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")


def promised() -> dict[str, set[str]]:
    """Return the keys of each command's document, as the first table has them."""
    table = PAGE.partition("## `festival festivals`")[0]
    rows = re.findall(r"^\| `festival ([a-z ]+)` \| (`.*) \|$", table, re.MULTILINE)
    return {command: set(re.findall(r"`(\w+)`", keys)) for command, keys in rows}


def documented(heading: str) -> set[str]:
    """Return every key that a section names in the first column of its table or in its text."""
    section = re.split(r"^## ", PAGE.partition(f"## `festival {heading}`\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return {name for span in re.findall(r"`([\w.\[\]]+)`", section) for name in re.findall(r"\w+", span)}


def test_the_parts_of_top_are_documented_field_by_field() -> None:
    for part in (Member, Partition, Roster, Scrape, Standstill, Delay):
        names = {field.name for field in msgspec.structs.fields(part)}
        assert names <= documented("top"), part.__name__


def first_watched(arguments: list[str]) -> Any:  # noqa: ANN401 - JSON
    """Return the first document of `totals --watch`."""
    command = [sys.executable, "-m", "streams.cli", "totals", "--watch", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        line = watching.stdout.readline()
        watching.terminate()
    return json.loads(line)


def totals_of(capsys: pytest.CaptureFixture[str], place: list[str], festival: str) -> Any:  # noqa: ANN401 - JSON
    assert run(["totals", *place, "--festival", festival]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.kafka
async def test_each_command_prints_the_keys_that_are_promised(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = load_festivals()["singles-day-2019"]
    await send(settings, [samples.encode(samples.order(event_id="e", order_id="o", ts=day.start_ms + 5))])
    declarations = Declarations(load_festivals(), settings.settle_ms, settings.dedup_horizon_minutes)
    counting = await count(settings, declarations)
    await counting.close()
    place = ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix, "--data", str(tmp_path), "--json"]
    more = {
        "report": ["--festival", day.id, "--out", str(tmp_path / "report.html")],
        "top": ["--once"],
        "export": ["--out", str(tmp_path / "exported"), "--format", "csv"],
        "seal": ["--festival", day.id, "--out", str(tmp_path / "sealed.zip")],
        "festivals new": ["--id", "next", "--starts", "2030-11-11", "--timezone", "Asia/Shanghai"],
    }
    documents: dict[str, Any] = {}
    for command in promised():
        status = await asyncio.to_thread(run, [*command.split(), *place, *more.get(command, [])])
        told = capsys.readouterr()
        assert status in {0, 1}, told.err
        documents[command] = json.loads(told.out)
    assert {command: set(document) for command, document in documents.items()} == promised()
    watched = await asyncio.to_thread(first_watched, [*place, "--festival", day.id])
    assert watched.keys() == (await asyncio.to_thread(totals_of, capsys, place, day.id)).keys()
    assert (watched["festival"], watched["orders"]) == (day.id, 1)
    entries = documents["festivals"]["festivals"]
    assert set(entries[0]) <= documented("festivals")
    assert set(documents["festivals new"]["festival"]) == set(entries[0])

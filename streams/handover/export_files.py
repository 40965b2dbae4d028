"""Writes the tables of an export: a folder of CSV or Parquet files with `state.json`, or one XLSX workbook.

Money is written as decimals of major units and never passes through a float. What is written appears whole under its
name, or not at all.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.utils.escape import escape

from streams.domain.currencies import EXPONENTS
from streams.errors import UsageError
from streams.handover.export_rows import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

    from streams.handover.export_rows import FactTable, Row

    Document = Mapping[str, Any]

FORMATS = ("parquet", "csv", "xlsx")
STATE = "state"
SHEET_ROWS = 1_048_576
"""More a sheet cannot hold, its header included."""
EXACT_DIGITS = 15
"""A spreadsheet's number keeps so many digits; what has more is written as text."""
_COUNT_LIMIT = 1 << 63


def write_export(path: Path, kind: str, tables: Sequence[FactTable], state: Document) -> list[Path]:
    """Write `tables` and the totals document `state` to `path`, which must not exist; return the files.

    Raises `UsageError` where that cannot be: the path is taken, or the format cannot hold a table.
    """
    if path.exists():
        raise UsageError(f"--out: {path} exists: name another path, or move it away")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            if kind == "xlsx":
                _write_workbook(draft / path.name, tables, state)
                (draft / path.name).rename(path)
                return [path]
            files = [_write_table(draft, kind, table) for table in tables]
            (draft / f"{STATE}.json").write_text(json.dumps(state, ensure_ascii=False, indent=1) + "\n", "utf-8")
            draft.chmod(0o755)  # a temporary folder is its maker's alone
            draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"--out: {path} cannot be written: {error.strerror or error}") from error
    return [path / file.name for file in files] + [path / f"{STATE}.json"]


def decimal_text(amount_minor: int, currency: str) -> str:
    """Return an amount in major units with all digits of its currency: 1234.50."""
    digits = EXPONENTS[currency]
    sign, amount = "-" if amount_minor < 0 else "", str(abs(amount_minor)).rjust(digits + 1, "0")
    return f"{sign}{amount[:-digits]}.{amount[-digits:]}" if digits else f"{sign}{amount}"


def _write_table(folder: Path, kind: str, table: FactTable) -> Path:
    path = folder / f"{table.fact}.{kind}"
    if kind == "csv":
        _write_csv(path, table)
    else:
        _write_parquet(path, table)
    return path


def _write_csv(path: Path, table: FactTable) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in table.columns)
        places = range(len(table.columns))
        writer.writerows([_told(table, place, row) for place in places] for row in table.rows)


def _currency(table: FactTable, row: Row) -> str:
    assert table.currency is not None, f"amounts of {table.fact} have a currency"
    return str(row[table.currency])


def _instant(time_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC)


def _write_parquet(path: Path, table: FactTable) -> None:
    """Write by DuckDB, which casts texts to decimals exactly."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    selected = []
    for place, column in enumerate(table.columns):
        columns[f"c{place}"], cast = _parquet_column(table, place)
        selected.append(f'{cast.format(f"c{place}")} AS "{column.name}"')
    with duckdb.connect(":memory:") as database:
        # Sampling guesses the type of an object column from its first values; all of ours are texts.
        database.execute("SET pandas_analyze_sample = 0; SET threads = 2; SET TimeZone = 'UTC'")
        told = database.sql(f"SELECT {', '.join(selected)} FROM columns")  # noqa: S608 - names of our own
        told.write_parquet(str(path), compression="zstd")


def _parquet_column(table: FactTable, place: int) -> tuple[np.ndarray[Any, Any], str]:
    """Return a column as DuckDB reads it, and the cast to what is written."""
    kind, values = table.columns[place].kind, [row[place] for row in table.rows]
    if kind is Kind.START:
        return np.array(values, dtype=np.int64), "CAST(make_timestamp({} * 1000) AS TIMESTAMPTZ)"
    cast = "CAST({} AS VARCHAR)"
    if kind is Kind.COUNT:
        is_small = all(abs(int(value)) < _COUNT_LIMIT for value in values)
        cast = "CAST({} AS BIGINT)" if is_small else "CAST({} AS DECIMAL(38,0))"
    elif kind is Kind.MONEY:
        cast = "CAST({} AS DECIMAL(38,4))"
    return np.array([_told(table, place, row) for row in table.rows], dtype=object), cast


def _told(table: FactTable, place: int, row: Row) -> str:
    """Return a value of a row as text."""
    kind, value = table.columns[place].kind, row[place]
    if isinstance(value, str):
        return value
    if kind is Kind.START:
        return _instant(value).strftime("%Y-%m-%dT%H:%M:%SZ")
    return decimal_text(value, _currency(table, row)) if kind is Kind.MONEY else str(value)


def _write_workbook(path: Path, tables: Sequence[FactTable], state: Document) -> None:
    book = Workbook(write_only=True)
    for table in tables:
        if len(table.rows) >= SHEET_ROWS:
            raise UsageError(
                f"--format: {table.fact} has {len(table.rows):,} rows, a sheet holds {SHEET_ROWS - 1:,}: take parquet "
                "or csv, or a wider --step"
            )
        sheet = book.create_sheet(table.fact)
        sheet.append([column.name for column in table.columns])
        for row in table.rows:
            sheet.append(_cells(sheet, table, row))
    sheet = book.create_sheet(STATE)
    sheet.append(["key", "value"])
    for key, value in _flat(state):
        sheet.append([_text(sheet, key), _cell(sheet, value)])
    book.save(path)


def _cells(sheet: WriteOnlyWorksheet, table: FactTable, row: Row) -> list[Any]:
    cells = []
    for column, value in zip(table.columns, row, strict=True):
        if column.kind is Kind.START:
            assert isinstance(value, int)
            cells.append(_formatted(sheet, _instant(value).replace(tzinfo=None), "yyyy-mm-dd hh:mm:ss"))
        elif column.kind is Kind.MONEY:
            assert isinstance(value, int)
            currency = _currency(table, row)
            cells.append(_amount(sheet, value, currency))
        else:
            cells.append(_cell(sheet, value))
    return cells


def _amount(sheet: WriteOnlyWorksheet, amount_minor: int, currency: str) -> Any:  # noqa: ANN401 - openpyxl has no types
    text, digits = decimal_text(amount_minor, currency), EXPONENTS[currency]
    if len(str(abs(amount_minor))) > EXACT_DIGITS:
        return _text(sheet, text)
    return _formatted(sheet, Decimal(text), "0." + "0" * digits if digits else "0")


def _cell(sheet: WriteOnlyWorksheet, value: Any) -> Any:  # noqa: ANN401 - of a document
    """Return a number as far as it is exact, else a text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and (isinstance(value, float) or len(str(abs(value))) <= EXACT_DIGITS):
        return value
    return _text(sheet, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _text(sheet: WriteOnlyWorksheet, value: str) -> Any:  # noqa: ANN401 - openpyxl has no types
    """Return a text that no program takes for a formula, whatever it begins with."""
    cell = WriteOnlyCell(sheet, escape(value))
    cell.data_type = "s"
    return cell


def _formatted(sheet: WriteOnlyWorksheet, value: dt.datetime | Decimal, number_format: str) -> Any:  # noqa: ANN401 - the same
    cell = WriteOnlyCell(sheet, value)
    cell.number_format = number_format
    return cell


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - of a document
    """Yield the leaves of a document, each with the names on its way."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{key}.{number}")
    else:
        yield key, value

"""Files that are tables: NDJSON and Parquet, and which reader a file has.

A row that cannot be read is handed over with what is wrong with it, and the next one is read. No reader guesses a
column's type: CSV is text, JSON numbers are integers or exact decimals, Parquet and workbooks say what they hold.
"""

from __future__ import annotations

import datetime as dt
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from streams.errors import UsageError
from streams.imports.csv_file import CsvTable
from streams.imports.rows import Row, Table, readable
from streams.imports.sheet import SheetTable
from streams.imports.text_files import Lines, LineTooLongError, open_text
from streams.mapping.values import JsonExponent, JsonFraction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from streams.imports.mapping import FileMapping, Layout

FETCH_ROWS = 5_000
DUCKDB_MEMORY = "512MB"
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}


def open_table(path: Path, mapping: FileMapping) -> Table:
    """Return the reader of a file, by the mapping's format or else its name's ending. Raises `UsageError`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    is_packed = bool(suffixes) and suffixes[-1] == ".gz"
    ending = (suffixes[:-1] if is_packed else suffixes)[-1:]
    name = mapping.format or (SUFFIXES.get(ending[0]) if ending else None)
    with readable(path):
        match name:
            case "csv":
                return CsvTable(path, mapping.layout, is_tabbed=ending == [".tsv"], is_packed=is_packed)
            case "ndjson":
                return NdjsonTable(path, mapping.layout, is_packed=is_packed)
            case "parquet":
                return ParquetTable(path)
            case "xlsx":
                return SheetTable(path, mapping.layout, mapping.sheet)
    raise UsageError(f"{path}: neither .csv, .tsv, .ndjson, .parquet nor .xlsx: say `format` in the mapping file")


class NdjsonTable:
    """A JSON object per line."""

    header = None

    def __init__(self, path: Path, layout: Layout, *, is_packed: bool = False) -> None:
        """Open it once, to see that it can be read."""
        self._path = path
        self._encoding = layout.encoding
        self._is_packed = is_packed
        self.lines: dict[str, int] = {}
        with open_text(path, self._encoding, is_packed=is_packed) as file:
            file.read(1)

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones; an absent key is an empty cell."""
        with readable(self._path), open_text(self._path, self._encoding, is_packed=self._is_packed) as file:
            lines = Lines(file)
            number = 0
            while True:
                problem, line = "", None
                try:
                    line = lines.take()
                    if line is None:
                        break
                except LineTooLongError as error:
                    problem = str(error)
                if line is not None and not line.strip():
                    lines.tell("blank")
                    continue
                lines.tell("rows")
                number += 1
                if number > after:
                    yield self._row(number, lines.taken, line or "", columns, problem)
            lines.reconcile()
            self.lines = dict(lines.kinds)

    @staticmethod
    def _row(number: int, line_number: int, line: str, columns: Sequence[str], problem: str) -> Row:
        if not problem:
            try:
                found = _JSON.decode(line.strip())
            except RecursionError:
                problem = "nested too deeply"
            except ValueError as error:
                problem = f"not JSON: {error}"
            else:
                if isinstance(found, dict):
                    return Row(number, line_number, [found.get(column) for column in columns])
                problem = "not a JSON object"
        return Row(number, line_number, (), problem)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _fraction(text: str) -> JsonFraction:
    exponent = text.lower().partition("e")[2]
    return JsonExponent(text) if exponent and not exponent.startswith("-") else JsonFraction(text)


_JSON = json.JSONDecoder(parse_float=_fraction, parse_constant=_refuse_constant)


class ParquetTable:
    """A Parquet file, read by DuckDB with the types the file has."""

    def __init__(self, path: Path) -> None:
        """Read the names and types of its columns. Raises `UsageError`."""
        self._path = path
        self.lines: dict[str, int] = {}
        with self._query(f"DESCRIBE FROM {self._source()}", ()) as result:
            self._types = {name: kind for name, kind, *_ in result.fetchall()}
        self.header = tuple(self._types)
        with self._query("SELECT num_rows FROM parquet_file_metadata(?)", (str(path),)) as result:
            self.count: int = result.fetchone()[0]

    def _source(self) -> str:
        name = str(self._path).replace("'", "''")
        return f"read_parquet('{name}', binary_as_string = true)"

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones."""
        wanted = ", ".join(["file_row_number", *(self._expression(column) for column in columns)])
        source = self._source().replace(", binary", ", file_row_number = true, binary")
        instants = [i for i, column in enumerate(columns) if self._types[column] == "TIMESTAMP WITH TIME ZONE"]
        with self._query(f"SELECT {wanted} FROM {source} WHERE file_row_number >= ?", (after,)) as result:  # noqa: S608
            number = after
            while found := result.fetchmany(FETCH_ROWS):
                for place, *cells in found:
                    # Its own numbers decide where an import goes on, so they must come in order and without a hole.
                    assert place == number, (place, number)
                    number += 1
                    for i in instants:
                        cells[i] = cells[i] and cells[i].replace(tzinfo=dt.UTC)
                    yield Row(number, None, cells)

    def _expression(self, column: str) -> str:
        name = '"' + column.replace('"', '""') + '"'
        kind = self._types[column]
        if kind == "TIMESTAMP WITH TIME ZONE":
            return f"make_timestamp(epoch_us({name}))"
        if kind == "TIMESTAMP_NS":
            return f"make_timestamp(epoch_ns({name}) // 1000)"  # a cast would round, at worst into the next second
        if kind.startswith(("TIMESTAMP", "DATE")):
            return f"CAST({name} AS TIMESTAMP)"
        is_number = kind.endswith(("INT", "INTEGER", "FLOAT", "DOUBLE")) or kind.startswith("DECIMAL")
        return name if is_number or kind in {"VARCHAR", "BOOLEAN"} else f"CAST({name} AS VARCHAR)"

    @contextmanager
    def _query(self, statement: str, parameters: Sequence[object]) -> Iterator[Any]:
        # Imported here: loading the database takes a while, and CSV does without.
        import duckdb  # noqa: PLC0415

        connection = duckdb.connect(":memory:", config={"memory_limit": DUCKDB_MEMORY, "threads": 2})
        try:
            yield connection.execute(statement, list(parameters))
        except duckdb.Error as error:
            raise UsageError(f"{self._path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
        finally:
            connection.close()

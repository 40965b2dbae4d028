"""Readers of files: rows in order, numbered, as exact as the file is, in bounded memory.

A row that cannot be read is handed over with what is wrong with it, and the next one is read. No reader guesses a
column's type: CSV is text, JSON numbers are integers or exact decimals, Parquet says itself what it holds.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, TextIO

from streams.errors import UsageError
from streams.replay.imports.values import JsonFraction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from streams.replay.imports.mapping import FileMapping, TextLayout

LINE_LIMIT = 1024 * 1024
"""Characters of a line: a longer one is a bad row, of which no more is kept in memory."""
FETCH_ROWS = 5_000
DUCKDB_MEMORY = "512MB"
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Row(NamedTuple):
    """One row: its cells in the order asked for, or what is wrong with it."""

    number: int
    """From 1 on; header and blank lines are no rows."""
    line: int | None
    """Of a text file: where the row begins, from 1 on."""
    cells: Sequence[Any]
    problem: str = ""


class Table(Protocol):
    """A file that can be read more than once."""

    @property
    def header(self) -> tuple[str, ...] | None:
        """Return the names of all columns, None where every row has its own (NDJSON)."""

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones, with the cells of `columns`. Raises `UsageError`."""


def open_table(path: Path, mapping: FileMapping) -> Table:
    """Return the reader of a file, by the mapping's format or else its name's ending. Raises `UsageError`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    is_packed = bool(suffixes) and suffixes[-1] == ".gz"
    ending = (suffixes[:-1] if is_packed else suffixes)[-1:]
    name = mapping.format or (SUFFIXES.get(ending[0]) if ending else None)
    with readable(path):
        match name:
            case "csv":
                return CsvTable(path, mapping.layout, "\t" if ending == [".tsv"] else ",", is_packed=is_packed)
            case "ndjson":
                return NdjsonTable(path, mapping.layout, is_packed=is_packed)
            case "parquet":
                return ParquetTable(path)
    raise UsageError(f"{path}: neither .csv, .ndjson nor .parquet: say `format` in the mapping file")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a damaged or missing file raises in the block into a `UsageError`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error


class _Lines:
    """The lines of a text file, their ends included. One that is too long raises `ValueError`; the next is read."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.count = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LINE_LIMIT + 1)
        if not line:
            raise StopIteration
        self.count += 1
        if len(line) > LINE_LIMIT:
            while line and not line.endswith(("\n", "\r")):
                line = self._file.readline(LINE_LIMIT)
            raise ValueError(f"a line of more than {LINE_LIMIT:,} characters")
        return line


def _open_text(path: Path, encoding: str, *, is_packed: bool) -> TextIO:
    # What is not of the encoding comes as lone surrogates: only its row is bad, not the rest of the file.
    if is_packed:
        return gzip.open(path, "rt", encoding=encoding, errors="surrogateescape", newline="")
    return path.open(encoding=encoding, errors="surrogateescape", newline="")


class CsvTable:
    """A CSV file: every cell is text."""

    def __init__(self, path: Path, layout: TextLayout, delimiter: str, *, is_packed: bool = False) -> None:
        """Read the header. Raises `UsageError` where there is none, or it names a column twice."""
        self._path = path
        self._layout = layout
        self._is_packed = is_packed
        self._delimiter = layout.delimiter or delimiter
        header = layout.header
        if header is None:
            with _open_text(path, layout.encoding, is_packed=is_packed) as file:
                try:
                    header = tuple(name.strip() for name in next(self._reader(_Lines(file)), []))
                except (csv.Error, ValueError) as error:
                    raise UsageError(f"{path}: its header cannot be read: {error}") from error
        twice = sorted({name for name in header if header.count(name) > 1})
        if not header or twice:
            raise UsageError(f"{path}: {'columns named twice: ' + ', '.join(twice) if twice else 'it has no header'}")
        self.header: tuple[str, ...] = header

    def _reader(self, lines: _Lines) -> Any:  # noqa: ANN401 - the csv module does not name its class
        return csv.reader(lines, delimiter=self._delimiter, quotechar=self._layout.quote, strict=True)

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones."""
        places = [self.header.index(column) for column in columns]
        width = len(self.header)
        with readable(self._path), _open_text(self._path, self._layout.encoding, is_packed=self._is_packed) as file:
            lines = _Lines(file)
            reader = self._reader(lines)
            if self._layout.header is None:
                next(reader)
            number = 0
            while True:
                line = lines.count + 1
                problem = ""
                try:
                    found = next(reader)
                except StopIteration:
                    return
                except (csv.Error, ValueError) as error:
                    found, problem = [], str(error)
                if not found and not problem:
                    continue
                number += 1
                if number <= after:
                    continue
                if not problem and len(found) != width:
                    problem = f"{len(found)} cells, the header has {width}"
                yield Row(number, line, () if problem else [found[place] for place in places], problem)


class NdjsonTable:
    """A JSON object per line."""

    header = None

    def __init__(self, path: Path, layout: TextLayout, *, is_packed: bool = False) -> None:
        """Open it once, to see that it can be read."""
        self._path = path
        self._encoding = layout.encoding
        self._is_packed = is_packed
        with _open_text(path, self._encoding, is_packed=is_packed) as file:
            file.read(1)

    def rows(self, columns: Sequence[str], after: int) -> Iterator[Row]:
        """Yield the rows behind the first `after` ones; an absent key is an empty cell."""
        with readable(self._path), _open_text(self._path, self._encoding, is_packed=self._is_packed) as file:
            lines = _Lines(file)
            number = 0
            while True:
                problem = line = ""
                try:
                    line = next(lines)
                except StopIteration:
                    return
                except ValueError as error:
                    problem = str(error)
                if not problem and not line.strip():
                    continue
                number += 1
                if number > after:
                    yield self._row(number, lines.count, line, columns, problem)

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


_JSON = json.JSONDecoder(parse_float=JsonFraction, parse_constant=_refuse_constant)


class ParquetTable:
    """A Parquet file, read by DuckDB with the types the file has."""

    def __init__(self, path: Path) -> None:
        """Read the names and types of its columns. Raises `UsageError`."""
        self._path = path
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

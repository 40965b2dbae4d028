"""Readers of files: every row in order and numbered, as exact as the file is; a bad one does not stop the rest."""

from __future__ import annotations

import datetime as dt
import gzip
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pytest

from streams.errors import UsageError
from streams.imports import text_files
from streams.imports.mapping import NO_MAPPING, Layout
from streams.imports.rows import Row
from streams.imports.tables import open_table
from streams.mapping.values import JsonFraction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(path: Path, columns: Sequence[str], after: int = 0, layout: Layout | None = None) -> list[Row]:
    mapping = replace(NO_MAPPING, layout=layout or Layout())
    return list(open_table(path, mapping).rows(columns, after))


def test_csv_cells_are_texts_in_the_order_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id, n ,"a, ""b"""\r\n1,007,x\r\n\r\n2,,"two\nlines"\r\n3,1.0,"é"')
    layout = Layout(is_multiline=True)
    assert rows(path, ['a, "b"', "id", "n"], layout=layout) == [
        Row(1, 2, ["x", "1", "007"]),
        Row(2, 4, ["two\nlines", "2", ""]),
        Row(3, 6, ["é", "3", "1.0"]),
    ]
    assert rows(path, ["id"], after=2, layout=layout) == [Row(3, 6, ["3"])]
    assert rows(path, ["id"], after=3, layout=layout) == []


def test_csv_in_other_layouts(tmp_path: Path) -> None:
    assert rows(write(tmp_path / "a.tsv", "\ufeffid\tn\n1\t2\n"), ["n"]) == [Row(1, 2, ["2"])]
    layout = Layout(delimiter=";", quote="'", encoding="gb18030", header=("店", "n"))
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress("'杭;州';5\n".encode("gb18030")))
    assert rows(packed, ["店", "n"], layout=layout) == [Row(1, 1, ["杭;州", "5"])]


def test_a_bad_csv_row_is_named_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "LINE_LIMIT", 50)
    lines = ["id,n", "1,2", "1", "1,2,3", '"a"b,2', "x" * 120, "3,4", "é,\udcff5", ""]
    path = write(tmp_path / "a.csv", "\n".join(lines).encode("utf-8", "surrogateescape"))
    found = rows(path, ["id", "n"])
    assert [(row.number, row.line, bool(row.problem)) for row in found] == [
        (1, 2, False),
        (2, 3, True),
        (3, 4, True),
        (4, 5, True),
        (5, 6, True),
        (6, 7, False),
        (7, 8, False),
    ]
    assert found[1].problem == "1 cells, the header has 2"
    assert "50 characters" in found[4].problem
    assert found[6].cells == ["é", "\udcff5"], "what is not UTF-8 is told where the cell is used"
    assert rows(path, ["id", "n"], after=4) == found[4:]


@pytest.mark.parametrize("is_multiline", [False, True])
def test_a_quote_that_is_never_closed_costs_its_own_line(tmp_path: Path, *, is_multiline: bool) -> None:
    path = write(tmp_path / "a.csv", 'id,n\n1,2\n"3,4\n5,6\n')
    found = rows(path, ["id"], layout=Layout(is_multiline=is_multiline))
    assert [(row.number, row.line, row.reason, bool(row.problem)) for row in found] == [
        (1, 2, "unreadable", False),
        (2, 3, "open_quote", True),
        (3, 4, "unreadable", False),
    ]


@pytest.mark.parametrize("text", ["", "\n\n", '"id"x,n\n', '"id,n\n1,2\n'])
def test_a_csv_file_needs_a_header(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="header"):
        rows(write(tmp_path / "a.csv", text), [])


def test_json_numbers_are_as_they_are_written(tmp_path: Path) -> None:
    text = '{"n": 12345678901234567890, "f": 0.10000000000000000001, "t": "1.0", "b": true}\n\n{"n": null}\n{}\n'
    found = rows(write(tmp_path / "a.ndjson", text), ["n", "f", "t", "b"])
    assert found == [
        Row(1, 1, [12_345_678_901_234_567_890, Decimal("0.10000000000000000001"), "1.0", True]),
        Row(2, 3, [None] * 4),
        Row(3, 4, [None] * 4),
    ]
    assert isinstance(found[0].cells[1], JsonFraction)


def test_a_bad_line_of_json_is_named_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "LINE_LIMIT", 300_000)
    bad = ["[1]", '{"a": 1', '{"a": NaN}', "[" * 200_000, "9" * 5_000, '{"a": "' + "x" * 700_000 + '"}']
    path = write(tmp_path / "a.jsonl", "\n".join([*bad, '{"a": 2}']))
    found = rows(path, ["a"])
    assert [bool(row.problem) for row in found] == [True] * len(bad) + [False]
    assert (found[-1].number, found[-1].line, list(found[-1].cells)) == (7, 7, [2])
    assert rows(path, ["a"], after=5) == found[5:]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "it's.parquet"
    statement = """
        SELECT 9007199254740993 AS big, 0.1::DOUBLE AS double, 0.5::FLOAT AS float, 12.30::DECIMAL(10, 2) AS dec,
            TIMESTAMP '2019-11-11 12:00:00.123456' AS local, TIMESTAMPTZ '2019-11-11 12:00:00+08' AS instant,
            TIMESTAMP_NS '2019-11-11 12:00:00.123456789' AS nanos, DATE '2019-11-11' AS day, 'x' AS "te""xt",
            true AS flag, NULL::BIGINT AS nothing, 'abc'::BLOB AS bytes, 7::UINTEGER AS small, [1, 2] AS list,
            UUID '00000000-0000-0000-0000-000000000001' AS uuid
    """
    name = str(path).replace("'", "''")
    duckdb.execute(f"COPY ({statement}) TO '{name}' (FORMAT parquet)")
    (row,) = rows(path, open_table(path, NO_MAPPING).header or ())
    local = dt.datetime(2019, 11, 11, 12, 0, 0, 123_456)  # noqa: DTZ001 - as the file has it
    assert row.cells == [
        9_007_199_254_740_993,
        0.1,
        0.5,
        Decimal("12.30"),
        local,
        dt.datetime(2019, 11, 11, 4, tzinfo=dt.UTC),
        local,
        dt.datetime(2019, 11, 11),  # noqa: DTZ001
        "x",
        True,
        None,
        "abc",
        7,
        "[1, 2]",
        "00000000-0000-0000-0000-000000000001",
    ]
    assert isinstance(row.cells[0], int)


def test_parquet_rows_come_in_order_from_any_row_on(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    count = 30_000
    statement = f"COPY (FROM range({count}) SELECT range AS i) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
    duckdb.execute(statement)
    table = open_table(path, NO_MAPPING)
    assert [row.cells[0] for row in table.rows(["i"], 0)] == list(range(count))
    assert [(row.number, row.cells[0]) for row in table.rows(["i"], 29_990)] == [
        (i + 1, i) for i in range(29_990, count)
    ]
    # Left in the middle, the reader lets the file go.
    reader = table.rows(["i"], 0)
    assert next(reader).cells == [0]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    damaged = write(tmp_path / "damaged.parquet", b"PAR1 no")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"id\n" + b"".join(b"%d\n" % i for i in range(100_000)))[:-20_000])
    for path in (
        damaged,
        tmp_path / "absent.csv",
        tmp_path / "absent.ndjson",
        tmp_path / "absent.xlsx",
        tmp_path / "x",
    ):
        with pytest.raises(UsageError, match=path.name):
            rows(path, [])
    with pytest.raises(UsageError, match=r"cut\.csv\.gz"):
        rows(cut, ["id"])

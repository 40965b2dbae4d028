"""Workbooks: the types that cells have, and ids only where no digit can be lost."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
from openpyxl import Workbook

from streams.errors import UsageError
from streams.imports.mapping import FileMapping, Layout
from streams.imports.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streams.imports.rows import Row

WHEN = dt.datetime(2019, 11, 11, 10, 0, 5)  # noqa: DTZ001 - as a sheet has it


def write(path: Path, *sheets: Sequence[Sequence[Any]]) -> Path:
    workbook = Workbook()
    workbook.remove(workbook.worksheets[0])
    for number, rows in enumerate(sheets, 1):
        sheet = workbook.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(list(row))
    workbook.save(path)
    return path


def read(path: Path, columns: Sequence[str], after: int = 0, **mapping: Any) -> list[Row]:  # noqa: ANN401 - of any kind
    return list(open_table(path, FileMapping("", **mapping)).rows(columns, after))


def test_cells_keep_their_types_and_numbers_that_may_be_rounded_are_floating(tmp_path: Path) -> None:
    rows = [
        (" id ", None, "n"),
        (" A1 ", "x", WHEN),
        (999_999_999_999_999, None, dt.date(2019, 11, 11)),
        (10**15, None, 12.5),
        (12.0, None, True),
        (None, " ", None),
        (None, None, 5, None, None),
    ]
    path = write(tmp_path / "a.xlsx", rows)
    table = open_table(path, FileMapping(""))
    assert table.header == ("id", "", "n")
    found = list(table.rows(["n", "id"], 0))
    assert [(row.number, row.line, list(row.cells)) for row in found] == [
        (1, 2, [WHEN, "A1"]),
        (2, 3, [dt.datetime(2019, 11, 11), 999_999_999_999_999]),  # noqa: DTZ001
        (3, 4, [12.5, 10.0**15]),
        (4, 5, [True, 12]),
        (5, 7, [5, None]),
    ]
    assert [type(row.cells[1]) for row in found[1:4]] == [int, float, int]
    assert list(table.rows(["n", "id"], 3)) == found[3:]


def test_a_sheet_is_chosen_by_name_and_the_first_by_default(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", [("a",), (1,)], [("a",), (2,)])
    assert [row.cells for row in read(path, ["a"])] == [[1]]
    assert [row.cells for row in read(path, ["a"], sheet="Sheet 2")] == [[2]]
    with pytest.raises(UsageError, match="no sheet Orders; there are Sheet 1, Sheet 2"):
        read(path, ["a"], sheet="Orders")
    other = path.rename(tmp_path / "a.download")
    assert [row.cells for row in read(other, ["a"], format="xlsx")] == [[1]]
    with pytest.raises(UsageError, match="no header"):
        read(write(tmp_path / "b.xlsx", [()]), [])


def test_rows_around_the_table_are_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", [("Report", 1, 2), ("a", "b"), (1, 2), ("--- end",), (3, 4)])
    layout = Layout(skip=1, until="---")
    assert [(row.line, row.cells) for row in read(path, ["b"], layout=layout)] == [(3, [2])]
    layout = Layout(header=("x", "y", "z"))
    assert [row.cells for row in read(path, ["z"], layout=layout)] == [[2], [None], [None], [None], [None]]


def test_a_range_that_is_too_small_hides_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", [("a", "b"), (1, 2), (3, 4)])
    with ZipFile(path) as found:
        parts = {name: found.read(name) for name in found.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1"')
    assert b'ref="A1"' in parts[sheet]
    with ZipFile(path, "w") as changed:
        for name, part in parts.items():
            changed.writestr(name, part)
    assert [row.cells for row in read(path, ["b"])] == [[2], [4]]


def test_errors_and_cells_without_a_column_make_a_bad_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", [("a", "b"), ("#N/A", 1), (1, "#N/A"), (1, 2, 3), (1, 2)])
    found = read(path, ["a"])
    assert [row.problem for row in found] == [
        "a: the cell holds the error #N/A",
        "",
        "cells behind column 2, the last that has a name",
        "",
    ]


def test_a_damaged_workbook_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", [("a",), (1,)])
    whole = path.read_bytes()
    encrypted = bytearray(whole)
    for entry in re.finditer(b"PK\x01\x02", whole):
        encrypted[entry.start() + 8] |= 0x41  # the flags of a part in the directory
    for content in (b"PK\x03\x04 no", whole[:-200], bytes(encrypted), b""):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"a\.xlsx: cannot be read as a workbook"):
            read(path, ["a"])

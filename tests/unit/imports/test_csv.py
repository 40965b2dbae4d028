"""CSV files: each physical line is accounted for, and a stray quotation mark costs its own line at most."""

from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import UsageError
from streams.imports import csv_file, text_files
from streams.imports.csv_file import CsvTable, split
from streams.imports.mapping import Layout

if TYPE_CHECKING:
    from pathlib import Path

    from streams.imports.rows import Row


def read(path: Path, text: str | bytes, layout: Layout | None = None) -> tuple[list[Row], dict[str, int]]:
    """Return the rows of all columns, and how many lines were what."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    table = CsvTable(path, layout or Layout(), is_tabbed=path.suffix == ".tsv", is_packed=path.suffix == ".gz")
    return list(table.rows(table.header, 0)), table.lines


def told(rows: list[Row]) -> list[tuple[int | None, list[str] | str]]:
    """Return the line of each row with its cells or the reason why it is bad."""
    return [(row.line, row.reason if row.problem else list(row.cells)) for row in rows]


def test_one_stray_quote_costs_one_row_of_five_thousand(tmp_path: Path) -> None:
    lines = [f"{n},{n}" for n in range(1, 5_001)]
    lines[9] = '"10,10'
    lines[4_000] = '4001,40"01'
    rows, kinds = read(tmp_path / "a.csv", "\n".join(["id,n", *lines]))
    assert [row.number for row in rows if row.problem] == [10]
    assert (len(rows), kinds) == (5_000, {"header": 1, "rows": 5_000})
    assert rows[4_000].cells == ["4001", '40"01'], "a quote inside an unquoted cell is text"


def test_quoting_can_be_switched_off_and_is_in_tsv_files(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "a.csv", 'id,n\n"1,2"\n', Layout(quote=""))
    assert rows[0].cells == ['"1', '2"']
    tabbed = 'id\tn\n1\t"2\n"3\t4"\n'
    assert told(read(tmp_path / "a.tsv", tabbed)[0]) == [(2, ["1", '"2']), (3, ['"3', '4"'])]
    assert told(read(tmp_path / "a.tsv", tabbed, Layout(quote='"'))[0]) == [(2, "open_quote"), (3, "unreadable")]


def test_cells_of_several_lines_are_read_where_the_mapping_says_so(tmp_path: Path) -> None:
    text = 'id,n\n1,"two\r\nlines, ""quoted"""\n"3\n4,5\n'
    rows, kinds = read(tmp_path / "a.csv", text, Layout(is_multiline=True))
    assert told(rows) == [(2, ["1", 'two\r\nlines, "quoted"']), (4, "open_quote"), (5, ["4", "5"])]
    assert kinds == {"header": 1, "rows": 4}


def test_a_cell_of_more_than_a_hundred_lines_is_a_bad_row_and_reading_goes_on_behind_its_first(tmp_path: Path) -> None:
    def cell(lines: int) -> str:
        return '1,"' + "\n".join(f"{n},x" for n in range(lines)) + '"\n'

    layout = Layout(is_multiline=True)
    rows, _ = read(tmp_path / "a.csv", "id,n\n" + cell(100) + "2,y\n", layout)
    assert told(rows)[1:] == [(102, ["2", "y"])]
    rows, kinds = read(tmp_path / "a.csv", "id,n\n" + cell(101) + "2,y\n", layout)
    assert (rows[0].reason, rows[1].line, rows[1].cells) == ("open_quote", 3, ["1", "x"])
    assert rows[-1].cells == ["2", "y"]
    assert kinds == {"header": 1, "rows": 102}


def test_a_cell_that_goes_on_in_a_line_that_is_too_long_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "LINE_LIMIT", 50)
    monkeypatch.setattr(csv_file, "LINE_LIMIT", 50)
    layout = Layout(is_multiline=True)
    for second in ("x" * 60, "x" * 30 + "\n" + "y" * 30):
        rows, kinds = read(tmp_path / "a.csv", f'id,n\n1,"a\n{second}"\n2,y\n', layout)
        assert rows[0].reason == "open_quote"
        assert rows[-1].cells == ["2", "y"]
        assert sum(kinds.values()) == 4 + second.count("\n")


def test_the_first_line_of_spreadsheets_names_the_delimiter(tmp_path: Path) -> None:
    assert told(read(tmp_path / "a.csv", "sep=;\r\nid;n\r\n1;2\r\n")[0]) == [(3, ["1", "2"])]
    rows, kinds = read(tmp_path / "a.csv", "sep=|\nid;n\n1;2\n", Layout(delimiter=";"))
    assert (told(rows), kinds) == ([(3, ["1", "2"])], {"skipped": 1, "header": 1, "rows": 1})
    rows, _ = read(tmp_path / "a.csv", "sep=\t\n1\t2\n", Layout(header=("a", "b")))
    assert told(rows) == [(2, ["1", "2"])]


def test_lines_before_the_header_are_skipped_whatever_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "LINE_LIMIT", 30)
    text = 'Report "of\n' + "x" * 100 + "\n\nid,n\n1,2\n\n---\n---,\nend"
    rows, kinds = read(tmp_path / "a.csv", text, Layout(skip=3, until="---"))
    assert told(rows) == [(5, ["1", "2"])]
    assert kinds == {"skipped": 3, "header": 1, "rows": 1, "blank": 1, "behind": 3}
    rows, _ = read(tmp_path / "a.csv", "Report\n1,2\n", Layout(skip=1, header=("a", "b")))
    assert told(rows) == [(2, ["1", "2"])]
    assert read(tmp_path / "a.csv", "Report\n", Layout(skip=5, header=("a", "b"))) == ([], {"skipped": 1})
    with pytest.raises(UsageError, match="no header"):
        read(tmp_path / "a.csv", "Report\n", Layout(skip=5))
    with pytest.raises(UsageError, match="header cannot be read"):
        read(tmp_path / "a.csv", "x" * 40 + "\n", Layout(header=("a",)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str) -> None:
    text = "\ufeffid,n\n1,é\n".encode(encoding.removesuffix("-sig"))
    for name, packed in (("a.csv", text), ("a.csv.gz", gzip.compress(text))):
        rows, _ = read(tmp_path / name, packed)
        assert told(rows) == [(2, ["1", "é"])]


def test_a_byte_order_mark_is_no_part_of_a_name_where_the_mapping_says_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffid,n\n1,2\n".encode())
    assert CsvTable(path, Layout(encoding="utf-8")).header == ("id", "n")


def test_white_space_at_the_ends_of_cells_is_none_of_theirs(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "a.csv", 'id ,\tn\n 1\t, "a" \n"2 " ,\u3000b\n')
    assert told(rows) == [(2, ["1", '"a"']), (3, ["2", "b"])]


@given(st.lists(st.lists(st.text(st.sampled_from('ab,"\n\r '), max_size=6), min_size=2, max_size=2), max_size=6))
def test_what_another_program_writes_is_read(rows: list[list[str]]) -> None:
    """An independent writer: the standard library's, with every cell in quotes."""
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    lines = iter(io.StringIO(file.getvalue(), newline="").readlines())
    found = [split(line, ",", '"', lambda: next(lines, None)) for line in lines]
    assert found == rows


@settings(max_examples=300)
@given(
    st.text(st.sampled_from('ab1,";\n\r\t -'), max_size=120),
    st.builds(
        Layout,
        header=st.just(("a", "b")),
        is_multiline=st.booleans(),
        skip=st.integers(0, 2),
        until=st.sampled_from([None, "-"]),
    ),
    st.integers(0, 5),
)
def test_no_line_is_unaccounted_for(
    tmp_path_factory: pytest.TempPathFactory, text: str, layout: Layout, after: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.encode())
    table = CsvTable(path, layout)
    rows = list(table.rows(("a",), 0))
    assert sum(table.lines.values()) == len(io.StringIO(text, newline="").readlines())
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) <= table.lines.get("rows", 0)
    assert list(table.rows(("a",), after)) == rows[after:], "a resumed import reads the same rows"

"""`festival import --check`: everything but the sending, told on stdout and stderr."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import threading
from pathlib import Path

import click
import pytest

from streams.cli import import_
from streams.cli.main import run
from streams.imports import progress
from streams.imports.file_import import PART_ROWS, Imported
from streams.imports.files import look_at

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = "order_id,platform,merchant,market,currency,amount_minor,ts"


def write(path: Path, amounts: list[str]) -> Path:
    rows = [f"o{n},tmall,m,CN,CNY,{amount},2019-11-11T01:00:00+08:00" for n, amount in enumerate(amounts)]
    path.write_text("\n".join([COLUMNS, *rows, ""]), encoding="utf-8")
    return path


def test_good_rows_are_summed_by_festival(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "orders.csv", ["100", "250"])
    assert run(["import", "--check", str(path)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        f"{path}: checked: 2 rows: 2 good",
        "  singles-day-2019: 2 orders",
        "    CNY: gross 3.50, net 3.50",
    ]
    assert "orders.csv: 2 of 2 rows" in shown.err


def test_the_first_bad_rows_are_told_all_are_counted_and_the_status_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "orders.csv", ["free"] * 30 + ["1"])
    assert run(["import", "--check", str(path)]) == 1
    shown = capsys.readouterr()
    assert "30 bad (bad_number)" in shown.out
    told = [line for line in shown.err.splitlines() if "(bad_number)" in line]
    assert len(told) == 20
    assert told[0] == f"{path}: row 1 (line 2): amount_minor: 'free' is not a number (bad_number)"
    assert f"{path}: 10 more bad rows" in shown.err


def test_json_lists_the_bad_rows_of_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.imports.file_import.BAD_ROWS_KEPT", 25)
    first, second = write(tmp_path / "a.csv", ["x"] * 30), write(tmp_path / "b.csv", ["1", "1.5"])
    assert run(["import", "--check", "--json", str(first), str(second)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert {name: document[name] for name in ("rows", "sent", "bad", "left_out")} == {
        "rows": 32,
        "sent": 1,
        "bad": 31,
        "left_out": 0,
    }
    assert [len(file["bad_rows"]) for file in document["files"]] == [25, 1]
    assert document["files"][1]["bad_rows"] == [
        {"row": 2, "line": 3, "reason": "bad_amount", "detail": "amount_minor: '1.5' is finer than one minor unit"}
    ]


def test_orders_of_no_festival_are_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "orders.csv.gz"
    text = f"{COLUMNS}\n" + "o1,tmall,m,CN,CNY,1,2017-01-01T00:00:00Z\n" * (PART_ROWS + 1)
    path.write_bytes(gzip.compress(text.encode()))
    assert run(["import", "--check", str(path)]) == 0
    shown = capsys.readouterr()
    assert "none of these orders falls into a festival" in shown.out
    assert "orders.csv.gz: 5,001 rows" in shown.err, "how many rows a packed file has is not known before"


def test_the_documentation_shows_what_the_command_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    documentation = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```\n\$ festival (.*?)```", documentation, re.DOTALL)
    line, *expected = block.splitlines()
    assert run(line.split()) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines()[:-1] + shown.out.splitlines() == expected


MAP = """
[fields]
order_id = "order_id"
event_id = "order_id"
platform = "platform"
merchant = "merchant"
market = "market"
currency = "currency"
ts = "ts"
amount_minor = "amount_minor"
"""


def test_several_mappings_are_imports_of_their_own_over_each_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders, payments = tmp_path / "orders.toml", tmp_path / "payments.toml"
    orders.write_text(MAP, encoding="utf-8")
    payments.write_text('to = "payments"' + MAP + 'method = { constant = "card" }', encoding="utf-8")
    files = [str(write(tmp_path / name, amounts)) for name, amounts in (("a.csv", ["1", "2"]), ("b.csv", ["4"]))]
    arguments = ["import", "--check", "--map", str(orders), "--map", str(payments), *files]
    assert run([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["sent"]) == (6, 6)
    assert [(file["file"], file["map"], file["to"]) for file in document["files"]] == [
        (file, str(mapping), to) for file in files for mapping, to in ((orders, "orders"), (payments, "payments"))
    ]
    assert run(arguments) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:6] == [
        f"{files[0]} by {orders}: checked: 2 rows: 2 good",
        "  singles-day-2019: 2 orders",
        "    CNY: gross 0.03, net 0.03",
        f"{files[0]} by {payments}: checked: 2 rows: 2 good",
        "  singles-day-2019: 2 captured",
        "    CNY: paid 0.03",
    ]


def test_what_is_wrong_with_several_mappings_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, same = (tmp_path / name for name in ("first.toml", "second.toml", "same.toml"))
    first.write_text('to = "parcels"\n' + MAP, encoding="utf-8")
    for path in (second, same):
        path.write_text(MAP, encoding="utf-8")
    maps = [part for path in (first, second, same) for part in ("--map", str(path))]
    assert run(["import", "--check", *maps, str(write(tmp_path / "a.csv", ["1"]))]) == 2
    told = capsys.readouterr().err
    assert "first.toml: line 1: `to`: 'parcels' is none of orders, payments" in told
    assert f"--map: {same} and {second} say the same" in told


def test_lines_that_are_no_rows_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, mapping = write(tmp_path / "a.csv", ["1", "2"]), tmp_path / "map.toml"
    path.write_text("Report\n" + path.read_text(encoding="utf-8") + "-- end\n", encoding="utf-8")
    mapping.write_text('[csv]\nskip = 1\nuntil = "--"' + MAP, encoding="utf-8")
    assert run(["import", "--check", "--map", str(mapping), str(path)]) == 0
    assert "  lines: 1 skipped, 1 header, 2 rows, 1 behind" in capsys.readouterr().out.splitlines()


def test_rows_of_one_event_are_listed_as_duplicates_and_the_status_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP.replace('event_id = "order_id"', 'event_id = "amount_minor"'), encoding="utf-8")
    path = write(tmp_path / "a.csv", [str(n % PART_ROWS) for n in range(PART_ROWS + 2)])
    assert run(["import", "--check", "--json", "--map", str(mapping), str(path)]) == 1
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert (file["sent"], file["bad"]) == (PART_ROWS, {"duplicate": 2})
    assert [row["row"] for row in file["bad_rows"]] == [PART_ROWS + 1, PART_ROWS + 2]
    assert file["festivals"]["singles-day-2019"]["orders"] == PART_ROWS


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Missing argument"),
        (["--map", "absent.toml", "orders.csv"], "absent.toml cannot be read"),
        (["--map", "orders.csv", "orders.csv"], "not TOML"),
        (["absent.csv"], "absent.csv: cannot be read"),
        (["empty.csv"], "has no header"),
        (["orders.csv", "other.csv"], "other.csv: no column is called ts, platform"),
    ],
)
def test_wrong_usage_is_status_2_before_any_row_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "orders.csv", ["1"])
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "other.csv").write_text("a,b\n", encoding="utf-8")
    assert run(["import", "--check", *arguments]) == 2
    shown = capsys.readouterr()
    assert problem in shown.err
    assert shown.out == ""


def test_an_import_that_waits_for_a_broker_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(import_, "STOP_SECONDS", 0.001)
    stop, endings = threading.Event(), []

    async def waits() -> Imported:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            endings.append("cancelled")
        raise AssertionError

    with pytest.raises(click.Abort):
        asyncio.run(import_._unless_stuck(waits(), stop))
    assert endings == ["cancelled"]


def test_progress_and_bad_rows_survive_their_records() -> None:
    bad = [progress.BadRow(7, None, "bad_time", "x" * 500), progress.BadRow(8, 9, "bad_text", "é")]
    part = progress.Part(
        9, [(b"k", b"v")], bad, {"filter": 2}, {"f": {"orders": 1, "money": {"CNY": {"gross": 2**62}}}}
    )
    found = progress.Progress(file="a.csv")
    for _ in range(4):
        found = found.after(part)
    assert progress.decode(progress.encode(found)) == found
    assert found.festivals["f"]["money"]["CNY"]["gross"] == 2**64, "sums beyond 64 bits"
    assert (found.rows, found.sent, found.bad_count, found.left_out) == (9, 4, 8, {"filter": 8})
    assert progress.decode_bad(progress.encode_bad(bad)) == [bad[0]._replace(detail="x" * 200), bad[1]]


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    for path in (first, second):
        path.write_bytes(b"x\n" * 3)
    read: list[int] = []
    content = look_at(first, read.append)
    assert (content.sha256, content.lines, sum(read)) == (look_at(second).sha256, 3, 6)

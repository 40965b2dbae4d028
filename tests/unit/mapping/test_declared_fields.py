"""Maps and mappings may name what a shop has declared: tried by the commands that send nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

DECLARED = """
[[dimension]]
fact = "orders"
field = "channel"

[[amount]]
fact = "orders"
field = "shipping_minor"
"""
MAP = """
[[source]]
topic = "shop"
to = "orders"
encoding = "json"
type = { constant = "order_placed" }

[source.fields]
event_id = "id"
order_id = "id"
ts = { path = "at", unit = "ms" }
platform = { constant = "web" }
merchant = { constant = "m" }
market = { constant = "DE" }
currency = { constant = "EUR" }
amount = "total"
channel = "from"
shipping = "freight"
"""
RECORDS = [
    {"id": "1", "at": 1573401601000, "total": "64.90", "from": "search", "freight": "4.90"},
    {"id": "2", "at": 1573401601000, "total": "1.00"},
    {"id": "3", "at": 1573401601000, "total": "1.00", "from": "__x"},
]
HEADER = "event_id,ts,order_id,platform,merchant,market,currency,amount_minor,channel,shipping_minor"
ROWS = ["a,1573401601000,1,web,m,DE,EUR,100,search,490", "b,1573401601000,2,web,m,DE,EUR,100,__x,490"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.toml").write_text(DECLARED, encoding="utf-8")
    (tmp_path / "map.toml").write_text(MAP, encoding="utf-8")
    (tmp_path / "records.ndjson").write_text("\n".join(map(json.dumps, RECORDS)), encoding="utf-8")
    (tmp_path / "orders.csv").write_text("\n".join([HEADER, *ROWS]), encoding="utf-8")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> Any:  # noqa: ANN401 - JSON
    """Return the document that a command prints."""
    ended = run([*map(str, arguments), "--json"])
    shown = capsys.readouterr()
    assert ended == status, shown.err
    return json.loads(shown.out)


def test_a_bridge_translates_onto_declared_fields_and_judges_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ("bridge", "--map", folder / "map.toml", "--check", folder / "records.ndjson")
    document = told(capsys, 1, *place, "--declarations", folder / "own.toml")
    assert (document["sent"], document["rejected"]) == (2, 1)
    first, second, third = document["results"]
    assert (first["events"][0]["channel"], first["events"][0]["shipping_minor"]) == ("search", 490)
    assert not {"channel", "shipping_minor"} & second["events"][0].keys()
    assert third["reason"] == "out_of_range"
    assert document["sources"][0]["sums"]["order_placed"]["EUR"]["shipping_minor"] == 490


def test_without_the_declarations_the_map_names_fields_that_are_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bridge", "--map", str(folder / "map.toml"), "--check", str(folder / "records.ndjson")]) == 2
    assert "`source[0].fields.channel` is not known here" in capsys.readouterr().err


def test_an_import_takes_declared_columns_and_judges_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = told(capsys, 1, "import", folder / "orders.csv", "--check", "--declarations", folder / "own.toml")
    (file,) = document["files"]
    assert "channel" in json.dumps(file)
    assert file["festivals"]["singles-day-2019"]["money"]["EUR"]["shipping"] == 490
    assert run(["import", str(folder / "orders.csv"), "--check"]) == 0, "an unknown column is passed over"

"""Persons as keyed hashes: by import and replay as by the bridge, whose test is in tests/unit/bridge."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from streams.cli import main
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.imports.conversion import Conversion
from streams.imports.mapping import NO_MAPPING, parse_mapping
from streams.imports.rows import Row
from streams.mapping.hashing import hash_with
from streams.replay.drawn_events import columns
from streams.replay.load import festival_load
from streams.replay.rendering import Renderer
from streams.replay.timeline import Timeline

if TYPE_CHECKING:
    from pathlib import Path

    from streams.mapping.hashing import Hash

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
NOW_MS = DAY.end_ms + 3_600_000
KEY = b"a key"
HEADER = ("ts", "platform", "merchant", "market", "currency", "amount_minor", "buyer", "brand")
ROW = (str(DAY.start_ms), "shop", "m1", "DE", "EUR", "100", "Ann", "b1")
FIELDS = "[fields]\n" + "".join(f'{name} = "{name}"\n' for name in HEADER[:-2])


def expected(text: str) -> str:
    """Return the hash as the contract has it, by nothing of ours."""
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()[:32]


def imported(fields: str | None, hashing: Hash | None, row: tuple[str, ...] = ROW) -> dict[str, Any]:
    """Return the event that a row becomes."""
    mapping = NO_MAPPING if fields is None else parse_mapping(fields, "map.toml", FESTIVALS)
    conversion = Conversion(mapping, HEADER, "id", FESTIVALS.values(), hashing=hashing)
    cells = dict(zip(HEADER, row, strict=True))
    part = conversion.convert([Row(1, 2, [cells[column] for column in conversion.columns])], NOW_MS)
    assert part.bad == []
    event: dict[str, Any] = json.loads(part.records[0][1])
    return event


def test_an_import_hashes_buyers_wherever_there_is_a_key() -> None:
    for fields in (None, FIELDS + 'buyer = "buyer"\n', FIELDS + 'buyer = { template = "{buyer}" }\n'):
        assert imported(fields, hash_with(KEY))["buyer"] == expected("Ann")
        assert imported(fields, None)["buyer"] == "Ann"


def test_a_field_of_a_mapping_asks_for_it() -> None:
    event = imported(FIELDS + 'brand = { column = "brand", hash = true }\n', hash_with(KEY))
    assert (event["brand"], event["merchant"]) == (expected("b1"), "m1")
    with pytest.raises(UsageError, match=r"map\.toml: brand: hash = true needs FESTIVAL_HASH_KEY_FILE"):
        imported(FIELDS + 'brand = { column = "brand", hash = true }\n', None)


def test_who_is_not_told_has_no_hash_and_a_long_name_fits() -> None:
    assert "buyer" not in imported(None, hash_with(KEY), (*ROW[:-2], "", "b1"))
    assert imported(None, hash_with(KEY), (*ROW[:-2], "x" * 200, "b1"))["buyer"] == expected("x" * 200)


@pytest.mark.parametrize("field", ["currency", "type", "ts"])
def test_what_the_counter_must_read_is_not_hashed(field: str) -> None:
    wrong = FIELDS.replace(f'{field} = "{field}"\n', "") + f'{field} = {{ column = "{field}", hash = true }}\n'
    with pytest.raises(UsageError, match=f"`fields.{field}.hash` is not known here: it is for texts"):
        parse_mapping(wrong, "map.toml", FESTIVALS)
    with pytest.raises(UsageError, match="hash is true or false"):
        parse_mapping(FIELDS + 'brand = { column = "brand", hash = 1 }\n', "map.toml", FESTIVALS)


def values(festival_id: str, hashing: Hash | None) -> list[dict[str, Any]]:
    load = festival_load(FESTIVALS[festival_id], NOW_MS + 90 * 86_400_000, orders=100, partitions=1, seed=3)
    timeline, events = Timeline(load, range(1)), []
    renderer = Renderer(load, hashing=hashing)
    while not timeline.is_done:
        drawn = columns(load, timeline.take_orders(1_000))
        events += [json.loads(value) for value in renderer.values(drawn) if value is not None]
    return events


@pytest.mark.parametrize(("festival_id", "field"), [("singles-day-2019", "buyer"), ("cardboard-day-2019", "user")])
def test_a_replay_sends_the_same_events_with_hashes_in_place_of_persons(festival_id: str, field: str) -> None:
    plain, hashed = values(festival_id, None), values(festival_id, hash_with(KEY))
    told = [{**event, field: expected(event[field])} if field in event else event for event in plain]
    assert hashed == told
    assert sum(field in event for event in plain) == 100


def test_a_key_that_cannot_be_used_is_told_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESTIVAL_HASH_KEY_FILE", str(tmp_path / "nowhere"))
    file = tmp_path / "orders.csv"
    file.write_text(",".join(HEADER) + "\n" + ",".join(ROW) + "\n")
    for command in (["replay", "--broker", "127.0.0.1:1"], ["import", "--check", str(file)]):
        assert main.run(command) == 2
        assert "FESTIVAL_HASH_KEY_FILE: " in capsys.readouterr().err
    (tmp_path / "nowhere").write_bytes(KEY + b"\n")
    assert main.run(["import", "--check", str(file)]) == 0

"""Public examples of order and payment events, with the result that each must give: by the map that stands beside them.

A sample is a record with what becomes of it: the event, `ignored`, or the reason it is rejected for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.bridge.audit.records import Judge
from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.given import read_given
from streams.bridge.map import load_map
from streams.bridge.schemas import GivenSchemas
from streams.bridge.trial import Trial
from streams.cli.main import run

FOLDER = Path(__file__).parent / "samples"
SAMPLES = sorted(FOLDER.glob("[0-9]-*.json"))
OWN = FOLDER / "own"
SCHEMAS = {"7": json.loads((FOLDER / "1-avro-confluent.avsc").read_text("utf-8"))}
NOW_MS = 1_794_326_460_000


def read(file: Path) -> list[dict[str, Any]]:
    """Return the records in a file of samples."""
    records: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))["records"]
    return records


def expected(record: dict[str, Any]) -> object:
    """Return what a sample says of its record."""
    if record.get("ignored"):
        return "ignored"
    return record["rejected"] if "rejected" in record else record.get("events", [record.get("canonical")])


async def found(file: Path, map_file: Path) -> list[object]:
    """Return what becomes of each record of a file, by the bridge; the audit must say the same."""
    bridge_map = load_map(map_file)
    given = read_given(file, bridge_map, None, NOW_MS)
    decoders = {name: AvroDecoder(schema) for name, schema in SCHEMAS.items()}
    schemas = given.schemas or GivenSchemas(decoders)
    trial = Trial(bridge_map, schemas)
    judges = {source.topic: Judge(source, schemas, None) for source in bridge_map.sources}  # type: ignore[arg-type]
    is_past: dict[str, bool] = {}
    results: list[object] = []
    for record in given.records:
        result = await trial.take(record, NOW_MS)
        judged = await judges[record.topic].judge(record, is_past_snapshot=is_past.get(record.topic, False))
        if judged.op not in (None, "r"):
            is_past[record.topic] = True
        events = [event.fields for event in result.events]
        if result.rejection is not None and result.rejection.reason == "future_event":
            assert judged.verdict.may_be_ahead(NOW_MS)
            results.append("future_event")
            continue
        assert judged.verdict.outcome == result.outcome
        assert list(judged.verdict.events) == events
        if result.rejection is not None:
            assert judged.verdict.reason == result.rejection.reason
        results.append(events or (result.rejection.reason if result.rejection is not None else "ignored"))
    return results


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
async def test_each_sample_gives_the_result_that_stands_beside_it(file: Path) -> None:
    records = read(file)
    assert await found(file, FOLDER / "map.toml") == [expected(record) for record in records]


@pytest.mark.parametrize("folder", sorted(OWN.iterdir()), ids=lambda folder: folder.name)
async def test_each_sample_of_our_own_does_too(folder: Path) -> None:
    file = folder / "records.json"
    records = read(file)
    assert await found(file, folder / "map.toml") == [expected(record) for record in records]


def test_check_tells_counts_sums_and_the_result_of_each_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [record for file in SAMPLES for record in json.loads(file.read_text("utf-8"))["records"]]
    file = tmp_path / "all.json"
    file.write_text(json.dumps({"schemas": SCHEMAS, "records": records}), "utf-8")
    assert run(["bridge", "--map", str(FOLDER / "map.toml"), "--check", str(file), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert {name: document[name] for name in ("map", "records", "sent", "ignored", "rejected", "events")} == {
        "map": "shop",
        "records": 11,
        "sent": 6,
        "ignored": 4,
        "rejected": 1,
        "events": 6,
    }
    first, second = document["sources"][:2]
    assert first == {
        "topic": "shop.order-events",
        "to": "orders",
        "records": 3,
        "sent": 2,
        "ignored": 1,
        "rejected": 0,
        "types": {"order_placed": 1, "order_cancelled": 1},
        "reasons": {},
        "sums": {
            "order_placed": {"EUR": {"amount_minor": 12990, "coupon_minor": 500}},
            "order_cancelled": {"EUR": {"amount_minor": 12990, "coupon_minor": 500}},
        },
    }
    assert second["reasons"] == {"missing_before": 1}
    by_place = {(one["topic"], one["offset"]): one for one in document["results"]}
    assert by_place["shop.order-events", 0]["events"] == [records[0]["canonical"]]
    assert by_place["shop.order-events", 2]["rule"] == "type: PAID"
    assert by_place["shopdb.shop.orders", 1]["rule"] == "when"
    assert by_place["shopdb.shop.orders", 5]["rule"] == "tombstone"
    rejected = by_place["shopdb.shop.orders", 4]
    assert (rejected["reason"], rejected["path"]) == ("missing_before", "before.status")

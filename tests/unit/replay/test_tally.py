"""Tallies: read, written, merged and compared."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.replay.load import festival_load
from streams.truth.tally import compare, merge_parts, merge_tallies, read_tally, write_tally
from tests.unit.replay.memory import RECORD_TIME_MS, send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.truth.tally import Tally

FESTIVAL = "singles-day-2019"


def tally_of(seed: int = 1, partitions: tuple[int, ...] = (0, 1, 2)) -> Tally:
    festivals = load_festivals()
    load = festival_load(
        festivals[FESTIVAL],
        RECORD_TIME_MS,
        orders=400,
        partitions=3,
        seed=seed,
        shares=dict.fromkeys(("duplicates", "late", "poison", "cancel"), Decimal("0.1")),
    )
    return send(load, tuple(festivals.values()), partitions=partitions)[1]


def document_of(tally: Tally) -> dict[str, Any]:
    """Return the totals document that a tally expects."""
    festival = tally["festivals"][FESTIVAL]
    outcomes = tally["outcomes"].values()
    return {
        "festival": FESTIVAL,
        **{name: copy.deepcopy(festival[name]) for name in ("orders", "cancelled", "payments", "money", "payer")},
        "parcels": copy.deepcopy(festival["parcels"]),
        "duplicates": sum(counts["duplicate"] for counts in outcomes),
        **{name: sum(counts[name] for counts in outcomes) for name in ("rejected", "expired", "outside")},
        "late": sum(tally["late"].values()),
        "by": [{"platform": name, **copy.deepcopy(row)} for name, row in festival["by"]["platform"].items()],
    }


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    """Give the path of each number in a document."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, (*path, key))
    elif isinstance(value, int):
        yield path


def test_the_expected_document_has_no_difference() -> None:
    tally = tally_of()
    assert compare(tally, document_of(tally)) == []


def test_a_difference_in_any_number_is_found() -> None:
    tally = tally_of()
    for path in numbers(document_of(tally)):
        changed = document_of(tally)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] += 1
        assert len(compare(tally, changed)) == 1, path


def test_what_is_missing_or_too_much_in_the_document_is_a_difference() -> None:
    tally = tally_of()
    document = document_of(tally)
    del document["payments"]
    document["money"]["USD"] = {"gross": 5}
    document["by"].pop()
    told = "\n".join(compare(tally, document))
    assert "payments captured" in told
    assert "money USD gross: expected 0, found 5" in told
    assert "platform" in told


def test_unknown_records_are_a_difference() -> None:
    tally = tally_of()
    tally["unknown"] = [{"topic": "orders", "partition": 0, "first_record": 3, "records": 7}]
    assert compare(tally, document_of(tally_of())) == ["unknown: 7 records of orders/0"]


def test_the_parts_of_processes_add_up_to_the_tally_of_one() -> None:
    merged = merge_parts([tally_of(partitions=(0, 2)), tally_of(partitions=(1,))])
    assert merged == tally_of()


def test_merged_replays_add_up_but_for_lateness_which_depends_on_their_order() -> None:
    first, second = tally_of(1), tally_of(2)
    merged = merge_tallies([first, second])
    assert merged["late"] is None
    assert merged["festivals"][FESTIVAL]["orders"] == 800
    gross = [t["festivals"][FESTIVAL]["money"]["CNY"]["gross"] for t in (first, second, merged)]
    assert gross[0] + gross[1] == gross[2]
    assert merged["rejected"]["orders"]["empty"] == first["rejected"]["orders"]["empty"] * 2
    assert merge_tallies([first]) == first


def test_a_tally_survives_its_file(tmp_path: Path) -> None:
    tally = tally_of()
    write_tally(tmp_path / "tally.json", tally)
    assert read_tally(tmp_path / "tally.json") == tally
    assert [path.name for path in tmp_path.iterdir()] == ["tally.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}'])
def test_a_file_that_is_no_tally_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tally.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="no tally"):
        read_tally(path)

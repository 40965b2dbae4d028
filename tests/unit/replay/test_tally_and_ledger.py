"""The tally against the product's own count: two ways from the same records to the same totals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.domain.declarations import Declarations
from streams.domain.festivals import Festival, parse_festival
from streams.engine.batch import RecordBatch
from streams.engine.ledger_records import Live
from streams.engine.processor import PartitionProcessor
from streams.festivals import load_festivals
from streams.replay.load import festival_load
from streams.truth.tally import DIMENSIONS, compare, merge_tallies
from tests.unit.domain.samples import IDENTITY
from tests.unit.replay.memory import DAY_MS, RECORD_TIME_MS, Log, send

if TYPE_CHECKING:
    from collections.abc import Mapping

FESTIVAL = "singles-day-2019"
EVENING = """
id = "evening"
starts = 2019-11-11T10:00:00
timezone = "Europe/Berlin"
hours = 3
home_currency = "EUR"
facts = ["orders"]
"""
"""A festival that overlaps with the 2019 day: from 17:00 to 20:00 in Shanghai."""


@dataclass
class Delta:
    """All pages of some partitions, as the follower of the ledger topic hands them on."""

    generation: str = "g1"
    changed_pages: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    cursors: dict[int, bytes] = field(default_factory=dict)
    notes: dict[int, bytes] = field(default_factory=dict)
    counted_from: dict[str, dict[str, int]] = field(default_factory=dict)
    misfits: dict[int, str] = field(default_factory=dict)
    partitions: int = 0
    reset: bool = False


def count(log: Log, festivals: Mapping[str, Festival], settle_ms: int = 30 * DAY_MS) -> CommittedView:
    """Count a log as workers would, and return the committed view."""
    declarations = Declarations(festivals, settle_ms, 10)
    delta = Delta(partitions=1 + max(partition for _, partition in log.values))
    for partition in range(delta.partitions):
        processor = PartitionProcessor(declarations, partition, "g1")
        processor.belongs_to(IDENTITY)
        for topic in declarations.topics:
            values = log.values.get((topic, partition), [])
            processor.start_at(topic, 0)
            processor.apply(
                RecordBatch(
                    topic,
                    partition,
                    0,
                    len(values),
                    range(len(values)),
                    [None] * len(values),
                    values,
                    log.record_times_ms.get((topic, partition), []),
                )
            )
        checkpoint = processor.cut()
        assert checkpoint is not None
        encoded = Live().encode(checkpoint)
        delta.cursors[partition] = encoded.last[1]
        delta.changed_pages |= {(partition, key): value for key, value in encoded.pages.items()}
    view = CommittedView()
    view.feed(delta)
    return view


def documents(log: Log, settle_ms: int = 30 * DAY_MS) -> list[dict[str, Any]]:
    """Return the totals documents of a log, one for each dimension."""
    festivals = load_festivals()
    snapshot = count(log, festivals, settle_ms).snapshot()
    festival = festivals[FESTIVAL]
    return [totals_document(snapshot, festival, by=dimension) for dimension in DIMENSIONS]


@pytest.mark.parametrize(
    "shares",
    [
        {},
        {"duplicates": "0.3"},
        {"late": "0.2", "duplicates": "0.2"},
        {"poison": "1"},
        {"cancel": "0.5", "foreign": "0.3"},
        {"duplicates": "0.2", "late": "0.1", "poison": "0.1", "cancel": "0.1", "foreign": "0.1"},
    ],
)
def test_the_ledger_counts_every_measure_as_the_tally_says(shares: dict[str, str]) -> None:
    festivals = load_festivals()
    load = festival_load(
        festivals[FESTIVAL],
        RECORD_TIME_MS,
        orders=3_000,
        partitions=3,
        shares={name: Decimal(share) for name, share in shares.items()},
    )
    log, tally = send(load, tuple(festivals.values()))
    for document in documents(log):
        assert compare(tally, document) == []


@pytest.mark.parametrize("hours", [1, 48, 744])
def test_two_festivals_replayed_with_one_seed_at_once_are_no_duplicates_of_each_other(hours: int) -> None:
    texts = {
        name: f'id = "{name}"\nstarts = 2019-11-11T00:00:00\ntimezone = "Asia/Shanghai"\nhours = {hours}\n'
        for name in (FESTIVAL, "other")
    }
    festivals = {name: parse_festival(text, f"{name}.toml") for name, text in texts.items()}
    log, after, tallies = Log(), None, []
    for festival in festivals.values():
        load = festival_load(festival, RECORD_TIME_MS, orders=500, partitions=2, shares={"duplicates": Decimal("0.2")})
        log, tally = send(load, tuple(festivals.values()), log=log, after=after)
        after = tally["max_event_times_ms"]
        tallies.append(tally)
    merged = merge_tallies(tallies)
    snapshot = count(log, festivals).snapshot()
    for festival in festivals.values():
        document = totals_document(snapshot, festival)
        assert document["orders"] == 1_000
        assert compare(merged, document) == []


def test_resends_beyond_the_horizon_are_counted_again_by_both() -> None:
    festivals = load_festivals()
    load = festival_load(
        festivals[FESTIVAL], RECORD_TIME_MS, orders=2_000, partitions=2, shares={"duplicates": Decimal("0.5")}
    )
    # Eleven minutes of record time per step: only a resend in the same step is within the horizon.
    log, tally = send(
        load, tuple(festivals.values()), step_orders=20, record_time_of=lambda step: RECORD_TIME_MS + step * 660_000
    )
    once, _ = send(replace(load, duplicates=Decimal(0)), ())
    resends = sum(map(len, log.values.values())) - sum(map(len, once.values.values()))
    assert 0 < sum(counts["duplicate"] for counts in tally["outcomes"].values()) < resends
    for document in documents(log):
        assert compare(tally, document) == []


def test_a_replay_after_another_knows_what_is_late() -> None:
    festivals = load_festivals()
    tallies = []
    log, after = Log(), None
    for seed in (1, 2):
        load = festival_load(festivals[FESTIVAL], RECORD_TIME_MS, orders=500, partitions=2, seed=seed)
        log, tally = send(load, tuple(festivals.values()), log=log, after=after)
        after = tally["max_event_times_ms"]
        tallies.append(tally)
    merged = merge_tallies(tallies)
    assert sum(merged["late"].values()) > 900
    for document in documents(log):
        assert compare(merged, document) == []


def test_events_after_the_settling_time_are_expired_for_both() -> None:
    festivals = load_festivals()
    load = festival_load(festivals[FESTIVAL], RECORD_TIME_MS, orders=3_000, partitions=2, shares={"cancel": Decimal(1)})
    log, tally = send(load, tuple(festivals.values()), settle_ms=60_000)
    assert tally["outcomes"]["orders"]["expired"] > 0
    for document in documents(log, settle_ms=60_000):
        assert compare(tally, document) == []


def test_every_festival_an_event_falls_into_counts_it_for_both() -> None:
    evening = parse_festival(EVENING, "evening.toml")
    festivals = {**load_festivals(), evening.id: evening}
    load = festival_load(
        festivals[FESTIVAL], RECORD_TIME_MS, orders=3_000, partitions=2, shares={"cancel": Decimal("0.2")}
    )
    log, tally = send(load, tuple(festivals.values()))
    assert 0 < tally["festivals"][evening.id]["orders"] < tally["festivals"][FESTIVAL]["orders"]
    assert tally["festivals"][evening.id]["payments"] == {}
    snapshot = count(log, festivals).snapshot()
    for festival in festivals.values():
        for dimension in DIMENSIONS:
            assert compare(tally, totals_document(snapshot, festival, by=dimension)) == []


def test_events_of_no_festival_are_outside_for_both() -> None:
    evening = parse_festival(EVENING, "evening.toml")
    load = festival_load(load_festivals()[FESTIVAL], RECORD_TIME_MS, orders=3_000, partitions=2)
    log, tally = send(load, (evening,))
    assert tally["outcomes"]["payments"]["counted"] == 0
    assert tally["outcomes"]["orders"]["outside"] > 0
    assert compare(tally, totals_document(count(log, {evening.id: evening}).snapshot(), evening)) == []

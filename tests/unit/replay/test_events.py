"""Events: deterministic, valid where they should be, bad for exactly one reason where not."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.domain.festivals import parse_festival
from streams.errors import UsageError
from streams.festivals import load_festivals
from streams.replay.drawn_events import columns
from streams.replay.load import Load, festival_load, parse_share
from streams.replay.poison import REASONS, bad_record
from streams.replay.timeline import AFTERMATH_LIMIT_MS, RESEND, Kind, Timeline, pack, step_bits, unpack
from tests.unit.replay.memory import DAY_MS, RECORD_TIME_MS, Log, send

DIGEST = "524ca4a2a0867e6ed498804d31e88c68d7cfb73a621102f2f3be0e23fd5d5a95"
SHARES = {
    "duplicates": Decimal("0.2"),
    "late": Decimal("0.1"),
    "poison": Decimal("0.2"),
    "cancel": Decimal("0.1"),
}


def load_of(orders: int = 2_000, partitions: int = 4, shares: dict[str, Decimal] | None = None) -> Load:
    festival = load_festivals()["singles-day-2019"]
    return festival_load(festival, RECORD_TIME_MS, orders=orders, partitions=partitions, shares=shares)


def records(log: Log) -> Counter[tuple[str, int, bytes | None]]:
    return Counter((*place, value) for place, values in log.values.items() for value in values)


def test_the_same_load_gives_the_same_records_in_the_same_order_whatever_the_steps() -> None:
    load = load_of(shares=SHARES)
    whole, _ = send(load, (), step_orders=10_000)
    by_piece, _ = send(load, (), step_orders=37)
    assert whole.values == by_piece.values
    assert whole.keys == by_piece.keys


def test_processes_with_some_of_the_partitions_send_what_one_with_all_would() -> None:
    load = load_of(shares=SHARES)
    whole, _ = send(load, ())
    first, _ = send(load, (), partitions=(0, 3))
    second, _ = send(load, (), partitions=(1, 2), step_orders=61)
    for place, values in whole.values.items():
        assert values == (first if place[1] in {0, 3} else second).values[place]


def test_the_records_are_those_of_earlier_versions() -> None:
    """A change of their bytes is a change of every load that somebody has a tally of."""
    log, _ = send(replace(load_of(shares=SHARES | {"foreign": Decimal("0.1")}), facts=tuple(FACTS)), ())
    written = repr([(place, log.keys[place], log.values[place]) for place in sorted(log.values)])
    assert hashlib.sha256(written.encode()).hexdigest() == DIGEST


def test_another_seed_gives_other_ids() -> None:
    first, _ = send(load_of(orders=200), ())
    second, _ = send(replace(load_of(orders=200), seed=2), ())
    assert not set(records(first)) & set(records(second))


def test_exactly_the_planned_orders_are_placed_and_each_has_a_payment() -> None:
    log, _ = send(load_of(orders=1_000), ())
    types = Counter(json.loads(value)["type"] for _, _, value in records(log) if value)
    assert types["order_placed"] == 1_000
    assert types["payment_captured"] + types["payment_failed"] == 1_000
    assert types["payment_failed"] > 0
    assert types["payment_refunded"] > 0


def test_an_order_is_about_as_large_as_in_production() -> None:
    log, _ = send(replace(load_of(orders=2_000), facts=("orders",)), ())
    sizes = [len(value) for _, _, value in records(log) if value]
    assert 200 <= sum(sizes) / len(sizes) <= 250


def test_an_order_and_its_payment_lie_in_one_partition_under_the_order_id() -> None:
    log, _ = send(load_of(orders=500), ())
    partitions: dict[str, set[int]] = {}
    for (topic, partition), values in log.values.items():
        for key, value in zip(log.keys[topic, partition], values, strict=True):
            assert value is not None
            assert json.loads(value)["order_id"] == key.decode()
            partitions.setdefault(key.decode(), set()).add(partition)
    assert all(len(found) == 1 for found in partitions.values())
    assert {p for found in partitions.values() for p in found} == {0, 1, 2, 3}


@pytest.mark.parametrize("topic", sorted(FACTS))
def test_the_counter_rejects_each_bad_record_for_its_reason(topic: str) -> None:
    decoder = Decoder(FACTS[topic], ("event_id",))
    for reason in REASONS[topic]:
        value = bad_record(topic, reason, f"n{reason}-bad-1-7", "1-7", 1_573_401_600_000)
        columns, rejections = decoder.decode([value], [RECORD_TIME_MS])
        assert len(columns) == 0
        assert [rejection.reason for _, rejection in rejections] == [reason]


def test_bad_records_come_in_the_given_number_and_every_reason_in_turn() -> None:
    load = replace(load_of(orders=1_000, shares={"poison": Decimal("0.25")}), facts=tuple(FACTS))
    _, tally = send(load, ())
    assert len(tally["rejected"]) == 4
    for topic, counts in tally["rejected"].items():
        assert set(counts) == {reason.value for reason in REASONS[topic]}
        assert max(counts.values()) - min(counts.values()) <= 1
        assert sum(counts.values()) == tally["outcomes"][topic]["rejected"]
        assert sum(counts.values()) in {62, 63}


def test_events_are_sent_in_order_of_time_but_for_late_ones_and_resends() -> None:
    load = load_of(orders=3_000)
    timeline = Timeline(load, range(4))
    sent: list[int] = []
    while not timeline.is_done:
        at, numbers, kinds = unpack(load, timeline.take_orders(100))
        sent += at.tolist()
        assert set(kinds.tolist()) <= set(Kind)
        assert numbers.max(initial=0) < 3_000
    assert sent == sorted(sent)


def test_a_timeline_cut_by_time_hands_out_nothing_before_its_turn() -> None:
    load = load_of(orders=3_000, shares={"late": Decimal("0.1")})
    timeline = Timeline(load, range(4))
    handed: list[int] = []
    for until_ms in range(0, 109_000_000, 450_000):
        packed = timeline.take_until(until_ms)
        assert (unpack(load, packed)[0] < until_ms).all()
        handed += packed.tolist()
    assert timeline.is_done
    whole = Timeline(load, range(4))
    rest: list[int] = []
    while not whole.is_done:
        rest += whole.take_orders(2_000).tolist()
    assert handed == rest


def test_parcels_leave_are_cleared_at_a_border_and_arrive_within_twelve_days() -> None:
    log, _ = send(load_of(orders=500, partitions=1), ())
    parcels = [json.loads(value or b"") for value in log.values["parcels", 0]]
    ways: dict[str, dict[str, dict[str, Any]]] = {}
    for parcel in parcels:
        ways.setdefault(parcel["order_id"], {})[parcel["type"]] = parcel
    assert len(ways) == 500
    assert [parcel["ts"] // 1000 for parcel in parcels] == sorted(parcel["ts"] // 1000 for parcel in parcels)
    for way in ways.values():
        shipped, delivered = way["parcel_shipped"], way["parcel_delivered"]
        assert ("parcel_cleared" in way) == (shipped["market"] != "CN")
        assert shipped["ordered_ts"] < shipped["ts"] == delivered["shipped_ts"] < delivered["ts"]
        assert shipped["ts"] < way.get("parcel_cleared", delivered)["ts"] <= delivered["ts"]
        assert delivered["ts"] - delivered["ordered_ts"] < 12 * DAY_MS


def test_american_shops_sell_for_dollars_and_are_paid_in_yuan() -> None:
    festival = load_festivals()["black-friday-2014"]
    log, tally = send(festival_load(festival, RECORD_TIME_MS, orders=300, partitions=1), (festival,))
    payments = [json.loads(value or b"") for value in log.values["payments", 0]]
    assert {p["merchant"] for p in payments} == {"Bloomingdale's", "Ashford", "Ann Taylor", "American Apparel"}
    assert {p["platform"] for p in payments} == {"borderfree", "shoprunner", "tmall_global", "taobao"}
    assert {(p["method"], p["currency"], p["payer_currency"]) for p in payments} == {("alipay_epass", "USD", "CNY")}
    assert {json.loads(value or b"")["origin"] for value in log.values["parcels", 0]} == {"US"}
    assert set(tally["festivals"][festival.id]["payer"]) == {"CNY"}


def test_boxes_come_back_on_their_own_day_or_after_their_parcels() -> None:
    festivals = load_festivals()
    day = festivals["cardboard-day-2019"]
    log, tally = send(festival_load(day, RECORD_TIME_MS, orders=300, partitions=1), (day,))
    assert [place for place, values in log.values.items() if values] == [("recycling", 0)]
    assert tally["festivals"][day.id]["recycling"]["scans"] == 300
    after = replace(load_of(orders=2_000, partitions=1), facts=tuple(FACTS))
    _, tally = send(after, tuple(festivals.values()))
    assert 0 < tally["festivals"][day.id]["recycling"]["scans"] < 2_000
    outcomes = tally["outcomes"]["recycling"]
    assert outcomes["outside"] == 2_000 - outcomes["counted"]


def test_the_day_of_2014_has_its_published_total() -> None:
    load = festival_load(load_festivals()["singles-day-2014"], RECORD_TIME_MS, orders=278_000, partitions=1)
    assert load.plan.gross_minor[-1] == 5_711_036_400  # CNY 57.11 bn at 1:1,000


def test_a_day_that_is_not_over_is_refused() -> None:
    festival = load_festivals()["singles-day-2019"]
    with pytest.raises(UsageError, match="not over yet"):
        festival_load(festival, festival.end_ms - 1, orders=10, partitions=1)


def test_what_cannot_be_replayed_is_refused_with_every_problem() -> None:
    with pytest.raises(UsageError) as refused:
        replace(load_of(), orders=0, seed=-1, facts=("parcel",), late=Decimal(2))
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "--orders",
        "--seed",
        "--facts",
        "--late",
    ]


@pytest.mark.parametrize(("text", "share"), [("0", "0"), ("5%", "0.05"), ("0.125", "0.125"), ("1", "1")])
def test_shares_are_decimals_or_per_cent(text: str, share: str) -> None:
    assert parse_share(text) == Decimal(share)


@pytest.mark.parametrize("text", ["", "x", "1.1", "-0.1", "nan", "101%", "%"])
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"share|between"):
        parse_share(text)


HOSTILE_IDS = (
    "singles-day-2019",
    'a"b\\c',
    "12300",
    '"CNY"',
    "双十一\n",
    "%d",
    "x" * 38,
    "x" * 39,
    "双" * 64,
    "😀" * 64,
)


@pytest.mark.parametrize("festival", HOSTILE_IDS)
def test_event_ids_begin_with_the_festivals_id_and_are_valid_whatever_that_is(festival: str) -> None:
    load = replace(load_of(orders=300, shares=SHARES), festival=festival, seed=2**31 - 1, facts=tuple(FACTS))
    assert len(f"{load.event_id_prefix}bad-{2**31 - 1}-{2**31 - 1}") <= 64
    log, tally = send(load, ())
    reasons: dict[str, Counter[str]] = {topic: Counter() for topic in FACTS}
    for (topic, _), values in log.values.items():
        decoded, rejected = Decoder(FACTS[topic], ("event_id",)).decode(values, [RECORD_TIME_MS] * len(values))
        assert all(event_id.startswith(load.event_id_prefix) for event_id in decoded.texts["event_id"].appearing())
        reasons[topic].update(rejection.reason.value for _, rejection in rejected)
    assert reasons == tally["rejected"]
    whole = festival if len(festival) <= 38 else festival[:29]
    assert load.event_id_prefix.startswith(whole)


def test_two_festivals_whose_long_ids_begin_alike_have_different_events() -> None:
    first, second = (replace(load_of(), festival="x" * 60 + end) for end in "ab")
    assert first.event_id_prefix != second.event_id_prefix
    assert replace(load_of(), festival="a").event_id_prefix == "a-"


def a_festival_of(hours: int) -> Load:
    text = f'id = "f"\nstarts = 2019-11-11T00:00:00\ntimezone = "Asia/Shanghai"\nhours = {hours}\n'
    festival = parse_festival(text, "f.toml")
    return festival_load(festival, RECORD_TIME_MS, orders=2_000, partitions=2, shares={"late": Decimal("0.1")})


@pytest.mark.parametrize(("hours", "step"), [(1, 1), (24, 1), (29, 1), (30, 2), (48, 2), (744, 32)])
def test_a_festival_of_any_length_is_sent_whole_in_order_and_however_it_is_cut(hours: int, step: int) -> None:
    load = a_festival_of(hours)
    assert 1 << step_bits(load) == step
    end_ms = hours * 3_600_000
    whole = Timeline(load, range(2)).take_orders(10**6)
    assert (np.diff(whole) >= 0).all()
    by_piece, by_time = Timeline(load, range(2)), Timeline(load, range(2))
    pieces, until_ms = [], 0
    while not by_piece.is_done:
        pieces.append(by_piece.take_orders(37))
    assert np.concatenate(pieces).tolist() == whole.tolist()
    handed = []
    while not by_time.is_done:
        until_ms += end_ms // 97
        handed.append(by_time.take_until(until_ms))
        assert (unpack(load, handed[-1])[0] < until_ms).all()
    assert np.concatenate(handed).tolist() == whole.tolist()
    events = columns(load, whole)
    placed = events.kinds == Kind.PLACED
    assert np.count_nonzero(placed) == 2_000
    assert load.start_ms <= events.event_times_ms[placed].min() < events.event_times_ms[placed].max() < load.end_ms
    sent_ms, _, _ = unpack(load, whole)
    on_time = sent_ms[placed] - (events.event_times_ms[placed] - load.start_ms)
    assert on_time.min() > -step
    assert sent_ms.max() < end_ms + 8 * 3_600_000


def test_as_many_orders_as_a_load_may_have_fit_into_the_longest_festival() -> None:
    load = replace(a_festival_of(744), orders=2**31 - 1)
    last = load.end_ms - load.start_ms + AFTERMATH_LIMIT_MS - 1
    packed = pack(load, np.array([0, last]), np.array([0, 2**31 - 1]), RESEND + Kind.BAD_BOX)
    assert (packed > 0).all()
    sent_ms, numbers, kinds = unpack(load, packed)
    assert numbers.tolist() == [0, 2**31 - 1]
    assert kinds.tolist() == [RESEND + Kind.BAD_BOX] * 2
    assert 0 <= last - sent_ms[1] < 32

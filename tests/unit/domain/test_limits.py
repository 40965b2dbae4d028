"""Limits as the contract writes them, met by records just within and just beyond each."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.decoding import Decoder, _looks_plain
from streams.domain.facts import DERIVED, FACTS
from streams.domain.rejections import Reason
from streams.domain.rollups import GROUPS_PER_PAGE, PAGE_MS, WINDOW_MS, Window
from tests.unit.domain.samples import START_MS, box, encode, order

YEAR_10000_MS = 253_402_300_800_000
YEAR_MS = 366 * 86_400_000


def reason_of(value: bytes, topic: str = "orders", time_ms: int | None = None) -> str | None:
    """Return why a record is rejected, None where it is admitted."""
    _, rejected = Decoder(FACTS[topic], coded=()).decode([value], [START_MS if time_ms is None else time_ms])
    return rejected[0][1].reason if rejected else None


def nested(levels: int) -> bytes:
    """Return an order with an unknown field that is nested so deep; the object itself is the first level."""
    return encode(order())[:-1] + b',"x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def padded(size: int) -> bytes:
    """Return an order of so many bytes."""
    bare = encode(order(x=""))
    return encode(order(x="x" * (size - len(bare))))


EDGES: list[tuple[bytes, bytes, Reason]] = [
    (padded(65_536), padded(65_537), Reason.TOO_LARGE),
    (nested(128), nested(129), Reason.NOT_JSON),
    (encode(order(merchant="m" * 64)), encode(order(merchant="m" * 65)), Reason.OUT_OF_RANGE),
    (encode(order(merchant="m")), encode(order(merchant="")), Reason.OUT_OF_RANGE),
    (encode(order(merchant="_m_")), encode(order(merchant="__m")), Reason.OUT_OF_RANGE),
    (encode(order(amount_minor=10**13)), encode(order(amount_minor=10**13 + 1)), Reason.OUT_OF_RANGE),
    (encode(order(amount_minor=0)), encode(order(amount_minor=-1)), Reason.OUT_OF_RANGE),
    (encode(order(ts=START_MS + 300_000)), encode(order(ts=START_MS + 300_001)), Reason.FUTURE_EVENT),
    (
        encode(order(coupon_minor=60, credit_minor=40)),
        encode(order(coupon_minor=60, credit_minor=41)),
        Reason.DISCOUNT_EXCEEDS_AMOUNT,
    ),
    (encode(order(ordered_ts=START_MS)), encode(order(ordered_ts=START_MS + 1)), Reason.TIME_ORDER),
]


@pytest.mark.parametrize(("within", "beyond", "reason"), EDGES)
def test_a_record_on_the_limit_is_admitted_and_one_beyond_is_rejected_for_it(
    within: bytes, beyond: bytes, reason: Reason
) -> None:
    assert reason_of(within) is None
    assert reason_of(beyond) is reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"boxes": 1, "points": 0}, None),
        ({"boxes": 10**13, "points": 10**13}, None),
        ({"boxes": 0}, Reason.OUT_OF_RANGE),
        ({"points": -1}, Reason.OUT_OF_RANGE),
        ({"boxes": 10**13 + 1}, Reason.OUT_OF_RANGE),
        ({"points": 10**13 + 1}, Reason.OUT_OF_RANGE),
    ],
)
def test_there_is_a_box_at_least_and_points_may_be_none(fields: dict[str, Any], reason: Reason | None) -> None:
    assert reason_of(encode(box(**fields)), "recycling") is reason


@pytest.mark.parametrize(
    ("ts", "reason"),
    [(0, None), (-1, Reason.OUT_OF_RANGE), (YEAR_10000_MS - 1, None), (YEAR_10000_MS, Reason.OUT_OF_RANGE)],
)
def test_times_lie_from_1970_up_to_the_year_10000(ts: int, reason: Reason | None) -> None:
    assert reason_of(encode(order(ts=ts)), time_ms=YEAR_10000_MS + YEAR_MS) is reason


@pytest.mark.parametrize(
    ("date_ms", "reason"),
    [
        (1_451_606_399_999, None),  # 31 December 2015, 23:59:59.999: the year after the withdrawal of the litas
        (1_451_606_400_000, Reason.UNKNOWN_CURRENCY),
    ],
)
def test_a_withdrawn_currency_is_good_up_to_the_end_of_the_year_after_its_withdrawal_in_2014(
    date_ms: int, reason: Reason | None
) -> None:
    assert reason_of(encode(order(currency="LTL", ts=date_ms)), time_ms=date_ms) is reason


def test_pages_hold_five_minutes_of_seconds_or_fifteen_minutes() -> None:
    """Whoever changes one of these reads ledgers that were written before wrongly."""
    assert WINDOW_MS == {Window.SECOND: 1_000, Window.MINUTE: 60_000}
    assert PAGE_MS == {Window.SECOND: 5 * 60_000, Window.MINUTE: 15 * 60_000}
    assert GROUPS_PER_PAGE == 32


def test_transit_is_told_in_whole_days_up_to_sixty() -> None:
    derived = DERIVED["transit_days"]
    assert derived.unit_ms == 24 * 60 * 60 * 1_000
    assert [derived.text(days) for days in (0, 60, 61, 400)] == ["0", "60", "61+", "61+"]


def test_a_batch_of_plain_records_is_decided_by_the_fast_decoder_at_once() -> None:
    """Each other way to the same verdict costs many times as much."""
    assert _looks_plain([encode(order()), encode(order(merchant="é"))])
    assert _looks_plain([padded(65_536)])
    assert _looks_plain([])
    for suspicious in (None, padded(65_537), b"\xff", encode(order(merchant="__m")), nested(129), b'"\\u005f'):
        assert not _looks_plain([encode(order()), suspicious])
    for before in range(3):
        for behind in range(3):
            assert not _looks_plain([b"x" * before + b"__" + b"x" * behind])

"""Parcels by whole days of transit, boxes by flash stations, and fields that only some types carry."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.domain.ledger import Ledger
from streams.domain.rejections import Reason
from streams.domain.sketches import SketchTable
from tests.unit.domain.samples import HOUR_MS, START_MS, box, declarations, encode, order, parcel

LATER_MS = START_MS + 400 * 24 * HOUR_MS


def sums(ledger: Ledger, rollup: str, measure: int) -> dict[str, int]:
    """Return one measure per value of a rollup's dimension."""
    return {
        group[0]: int(cell)
        for _, page in ledger.tables["day", rollup].pages()
        for group, cell in zip(page.groups, page.cells()[measure].tolist(), strict=True)
    }


def test_transit_is_whole_days_from_leaving_to_delivery() -> None:
    day_ms = 24 * HOUR_MS
    ways: list[dict[str, Any]] = [
        parcel(event_id=f"e{n}", shipped_ts=START_MS, ts=START_MS + ms)
        for n, ms in enumerate((12 * day_ms, 13 * day_ms - 1, 0, 21 * day_ms))
    ]
    ways += [parcel(event_id="u", shipped_ts=None), parcel(event_id="c", type="parcel_cleared")]
    ledger = Ledger(declarations())
    assert not ledger.apply("parcels", [encode(way) for way in ways], [LATER_MS] * len(ways))
    assert sums(ledger, "parcels_by_transit_days", 0) == {"12": 2, "0": 1, "21": 1, "__none__": 1}


def test_transit_beyond_sixty_days_is_one_value() -> None:
    day_ms = 24 * HOUR_MS
    ways = [
        parcel(event_id=f"e{days}", shipped_ts=START_MS, ts=START_MS + days * day_ms) for days in (59, 60, 61, 62, 99)
    ]
    ledger = Ledger(dataclasses.replace(declarations(), settle_ms=200 * day_ms))
    assert not ledger.apply("parcels", [encode(way) for way in ways], [LATER_MS] * len(ways))
    assert sums(ledger, "parcels_by_transit_days", 0) == {"59": 1, "60": 1, "61+": 3}


def test_a_flag_is_a_dimension_and_absent_is_neither() -> None:
    boxes = [box(event_id=f"e{n}", flash=flash) for n, flash in enumerate((True, False, None, True))]
    ledger = Ledger(declarations())
    ledger.apply("recycling", [encode(event) for event in boxes], [LATER_MS] * 4)
    assert sums(ledger, "recycling_by_flash", 0) == {"true": 4, "false": 2, "__none__": 2}


@pytest.mark.parametrize("shipped_ts", ["x", START_MS + 10**12])
def test_what_a_type_does_not_carry_is_ignored_in_it(shipped_ts: object) -> None:
    decoder = Decoder(FACTS["parcels"], ())
    values = [encode(parcel(type=name, shipped_ts=shipped_ts)) for name in ("parcel_shipped", "parcel_delivered")]
    columns, rejections = decoder.decode(values, [LATER_MS] * 2)
    assert columns.numbers["shipped_ts"].tolist() == [-1]
    assert [(index, r.reason) for index, r in rejections] in ([(1, Reason.WRONG_TYPE)], [(1, Reason.TIME_ORDER)])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"flash": 1}, Reason.WRONG_TYPE), ({"operator": "me"}, Reason.OUT_OF_RANGE), ({"boxes": 0}, Reason.OUT_OF_RANGE)],
)
def test_a_box_is_judged_by_its_own_kinds(changes: dict[str, object], reason: Reason) -> None:
    _, ((_, rejection),) = Decoder(FACTS["recycling"], ()).decode([encode(box(**changes))], [LATER_MS])
    assert rejection.reason is reason
    assert next(iter(changes)) in rejection.detail


def test_an_order_with_a_coupon_or_a_credit_is_couponed_once() -> None:
    orders = [order(event_id=f"e{n}", coupon_minor=n % 2, credit_minor=n // 2) for n in range(4)]
    ledger = Ledger(declarations())
    ledger.apply("orders", [encode(event) for event in orders], [LATER_MS] * 4)
    assert sums(ledger, "orders_by_merchant", 6) == {"m1": 3}


def test_an_empty_sketch_has_no_page() -> None:
    assert list(SketchTable().pages()) == []

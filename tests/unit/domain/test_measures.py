"""Each measure counts what contract 2 says, written out here once more by hand."""

from __future__ import annotations

import pytest

from streams.domain.built_in import ROLLUPS
from streams.domain.ledger import Ledger
from streams.domain.rollups import KEYS_LIMIT, LABEL_LIMIT
from tests.unit.domain.samples import HOUR_MS, START_MS, box, declarations, encode, order, parcel, payment

NOW_MS = START_MS + 10 * 24 * HOUR_MS
MONEY = {"amount_minor": 1_000, "coupon_minor": 30, "credit_minor": 7}
PAID = {
    "amount_minor": 500,
    "payer_currency": "CNY",
    "payer_amount_minor": 3_500,
    "transport_minor": 11,
    "duty_minor": 13,
}
EVENTS = {
    "orders": [
        order(**MONEY),
        order(amount_minor=5),
        order(amount_minor=6, credit_minor=1),
        order(type="order_cancelled", ordered_ts=START_MS, **MONEY),
    ],
    "payments": [
        payment(**PAID),
        payment(type="payment_failed", amount_minor=70, reason="declined"),
        payment(type="payment_refunded", amount_minor=40, payer_currency="CNY", payer_amount_minor=280),
    ],
    "parcels": [parcel(type="parcel_shipped", shipped_ts=None), parcel(type="parcel_cleared"), parcel(), parcel()],
    "recycling": [box(boxes=2, points=74), box(boxes=3, points=5)],
}
WANTED = {
    "orders_by_second": {
        "orders": 3,
        "cancelled": 1,
        "gross_minor": 1_011,
        "coupons_minor": 30,
        "credits_minor": 8,
        "cancelled_net_minor": 1_000 - 30 - 7,
        "couponed": 2,
    },
    "payments_by_second": {
        "captured": 1,
        "failed": 1,
        "refunded": 1,
        "paid_minor": 500,
        "failed_minor": 70,
        "refunded_minor": 40,
    },
    "payer_by_second": {
        "payer_paid_minor": 3_500,
        "payer_refunded_minor": 280,
        "transport_minor": 11,
        "duty_minor": 13,
    },
    "parcels_by_second": {"shipped": 1, "cleared": 1, "delivered": 2},
    "recycling_by_second": {"boxes": 5, "scans": 2, "points": 79},
}


@pytest.mark.parametrize("name", WANTED)
def test_each_measure_counts_what_the_contract_says(name: str) -> None:
    (rollup,) = [rollup for rollup in ROLLUPS if rollup.name == name]
    ledger = Ledger(declarations())
    values = [encode({**event, "event_id": f"e{i}"}) for i, event in enumerate(EVENTS[rollup.fact])]
    assert ledger.apply(rollup.fact, values, [NOW_MS] * len(values)) == []
    sums = dict.fromkeys((measure.name for measure in rollup.measures), 0)
    for _, page in ledger.tables["day", name].pages():
        for measure, row in zip(rollup.measures, page.cells(), strict=True):
            sums[measure.name] += int(row.sum())
    assert sums == WANTED[name]


def test_a_label_has_at_most_two_hundred_values() -> None:
    """Contract 5."""
    assert (LABEL_LIMIT, KEYS_LIMIT) == (200, 50_000)

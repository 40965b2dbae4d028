"""What a table of totals is, and what the tables of each fact add up. Which there are: `streams.domain.built_in`.

The ledger folds by rollups, the board and the metrics read by them, and the fingerprint in the ledger carries them to
the audit. A total under another declaration wants a recount. What is shown beyond `--by` is declared in
`streams.board.answers.sections` and `streams.metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Window(StrEnum):
    """How finely a rollup tells event time apart."""

    SECOND = "second"
    MINUTE = "minute"
    FESTIVAL = "festival"


WINDOW_MS = {Window.SECOND: 1_000, Window.MINUTE: 60_000}
PAGE_MS = {Window.SECOND: 300_000, Window.MINUTE: 900_000}
"""Span of one page of a windowed rollup. A live checkpoint writes one page per rollup, so it should be small; a
catch-up writes each page it comes past, so there should be few: 5 minutes of seconds are 14 KB per currency.
"""
GROUPS_PER_PAGE = 32
"""Groups on one page of a festival-long rollup, in the order they were first seen: hot keys come early.

Fewer make more pages, each of which costs its writer and every reader; more make larger ones, all of which is written
again for one order. With 10,000 merchants 16, 32 and 64 take 0.18, 0.11 and 0.085 µs per order to cut, and 164, 257 and
415 KB for a checkpoint of 100 orders.
"""

KEYS_LIMIT = 50_000
LABEL_LIMIT = 200
"""Keys a metric label may take: producers control them, so they are bounded (contract 5)."""
OTHER = "__other__"
NONE = "__none__"


@dataclass(frozen=True, slots=True)
class Measure:
    """One additive number: the sum over events of the given types of `terms`, or their count without terms."""

    name: str
    types: tuple[str, ...]
    terms: tuple[tuple[int, str], ...] = ()
    """Signed fields to add up: ((1, "amount_minor"), (-1, "coupon_minor"))."""
    if_any: tuple[str, ...] = ()
    """Only events in which one of these fields is above 0 add to the measure."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """One table of totals: `measures` of `fact` per value of `dimension`, per currency, per window."""

    name: str
    fact: str
    measures: tuple[Measure, ...]
    dimension: str | None = None
    """A text field of the fact, a flag, or a derived one (`streams.domain.facts.DERIVED`)."""
    window: Window = Window.FESTIVAL
    currency: str | None = "currency"
    """The field that holds the currency; an event without one does not enter. None: there is no money in it."""
    limit: int = KEYS_LIMIT
    """Distinct values of `dimension` per festival and partition; later ones fall into `OTHER`."""


_PLACED = ("order_placed",)
_CANCELLED = ("order_cancelled",)
_NET = ((1, "amount_minor"), (-1, "coupon_minor"), (-1, "credit_minor"))
ORDERS = (
    Measure("orders", _PLACED),
    Measure("cancelled", _CANCELLED),
    Measure("gross_minor", _PLACED, ((1, "amount_minor"),)),
    Measure("coupons_minor", _PLACED, ((1, "coupon_minor"),)),
    Measure("credits_minor", _PLACED, ((1, "credit_minor"),)),
    Measure("cancelled_net_minor", _CANCELLED, _NET),
    Measure("couponed", _PLACED, if_any=("coupon_minor", "credit_minor")),
)

_CAPTURED = ("payment_captured",)
_FAILED = ("payment_failed",)
_REFUNDED = ("payment_refunded",)
PAYMENTS = (
    Measure("captured", _CAPTURED),
    Measure("failed", _FAILED),
    Measure("refunded", _REFUNDED),
    Measure("paid_minor", _CAPTURED, ((1, "amount_minor"),)),
    Measure("failed_minor", _FAILED, ((1, "amount_minor"),)),
    Measure("refunded_minor", _REFUNDED, ((1, "amount_minor"),)),
)
PAYER = (
    Measure("payer_paid_minor", _CAPTURED, ((1, "payer_amount_minor"),)),
    Measure("payer_refunded_minor", _REFUNDED, ((1, "payer_amount_minor"),)),
    Measure("transport_minor", _CAPTURED, ((1, "transport_minor"),)),
    Measure("duty_minor", _CAPTURED, ((1, "duty_minor"),)),
)

PARCELS = (
    Measure("shipped", ("parcel_shipped",)),
    Measure("cleared", ("parcel_cleared",)),
    Measure("delivered", ("parcel_delivered",)),
)

_RECYCLED = ("box_recycled",)
RECYCLING = (
    Measure("boxes", _RECYCLED, ((1, "boxes"),)),
    Measure("scans", _RECYCLED),
    Measure("points", _RECYCLED, ((1, "points"),)),
)

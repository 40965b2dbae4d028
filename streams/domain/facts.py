"""Which events each topic carries, declared as data: a new fact is one more `Fact` here.

Each fact becomes a strict msgspec struct (`Fact.event`); `streams.domain.decoding` turns records into columns of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

from streams.domain.currencies import EXPONENTS, MONEY_LIMIT_MINOR
from streams.domain.rollups import NONE

TEXT_LIMIT = 64
"""Code points of an identifier."""
TIME_LIMIT_MS = 253_402_300_800_000
"""First millisecond of the year 10000: later times are typing errors and would not print."""
ABSENT = -1
"""Stands in a column for an optional number that was not given: no field admits a negative number."""


class Kind(Enum):
    """What a field holds, and so what is admitted."""

    TEXT = "a text of 1 to 64 characters that does not begin with __"
    TIME = "milliseconds since the Unix epoch"
    MONEY = f"an integer of minor units from 0 to {MONEY_LIMIT_MINOR}"
    CURRENCY = "an ISO 4217 currency code"


_NUMBER_LIMITS = {Kind.TIME: TIME_LIMIT_MS - 1, Kind.MONEY: MONEY_LIMIT_MINOR}
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LIMIT)]
_Currency = Literal[tuple(sorted(EXPONENTS))]  # type: ignore[valid-type] # a closed list known at import
_TYPES: dict[Kind, Any] = {
    Kind.TEXT: _Text,
    Kind.TIME: Annotated[int, msgspec.Meta(ge=0, le=_NUMBER_LIMITS[Kind.TIME])],
    Kind.MONEY: Annotated[int, msgspec.Meta(ge=0, le=_NUMBER_LIMITS[Kind.MONEY])],
    Kind.CURRENCY: _Currency,
}
REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event. `default` is what its column holds where it was not given."""

    name: str
    kind: Kind
    default: Any = REQUIRED

    @property
    def is_required(self) -> bool:
        """Return whether every event must have it."""
        return self.default is REQUIRED

    def number_limit(self) -> int | None:
        """Return the largest number admitted, or None for a field that holds no number."""
        return _NUMBER_LIMITS.get(self.kind)


@dataclass(frozen=True)
class Fact:
    """One topic: the event types it carries, and their fields besides `type`.

    The relations between fields are declared too: `discounts` may not exceed `amount` together; each field of
    `needs` may be given (and not 0) only with the ones it names; `required_for` names a type's own required fields.
    """

    topic: str
    types: tuple[str, ...]
    fields: tuple[Field, ...]
    amount: str | None = None
    discounts: tuple[str, ...] = ()
    needs: tuple[tuple[str, str], ...] = ()
    required_for: tuple[tuple[str, str], ...] = field(default=())
    """Pairs of (event type, field)."""

    @cached_property
    def event(self) -> type[msgspec.Struct]:
        """Return the strict struct of the fact's events."""
        columns: list[Any] = [("type", Literal[self.types])]
        columns += [
            (f.name, _TYPES[f.kind]) if f.is_required else (f.name, _TYPES[f.kind], f.default) for f in self.fields
        ]
        return msgspec.defstruct(f"{self.topic.title()}Event", columns, gc=False, kw_only=True)

    @cached_property
    def number_fields(self) -> tuple[str, ...]:
        """Return the names of the fields that hold numbers."""
        return tuple(f.name for f in self.fields if f.kind in _NUMBER_LIMITS)


_COMMON = (Field("event_id", Kind.TEXT), Field("ts", Kind.TIME), Field("ordered_ts", Kind.TIME, ABSENT))
_ORDER = (
    *_COMMON,
    Field("order_id", Kind.TEXT),
    Field("platform", Kind.TEXT),
    Field("merchant", Kind.TEXT),
    Field("market", Kind.TEXT),
    Field("currency", Kind.CURRENCY),
    Field("amount_minor", Kind.MONEY),
    Field("coupon_minor", Kind.MONEY, 0),
    Field("credit_minor", Kind.MONEY, 0),
    Field("category", Kind.TEXT, NONE),
    Field("brand", Kind.TEXT, NONE),
    Field("buyer", Kind.TEXT, NONE),
)
_PAYMENT = (
    *_COMMON,
    Field("order_id", Kind.TEXT),
    Field("payment_id", Kind.TEXT),
    Field("platform", Kind.TEXT),
    Field("merchant", Kind.TEXT),
    Field("market", Kind.TEXT),
    Field("method", Kind.TEXT),
    Field("currency", Kind.CURRENCY),
    Field("amount_minor", Kind.MONEY),
    Field("payer_currency", Kind.CURRENCY, ""),
    Field("payer_amount_minor", Kind.MONEY, ABSENT),
    Field("transport_minor", Kind.MONEY, 0),
    Field("duty_minor", Kind.MONEY, 0),
    Field("brand", Kind.TEXT, NONE),
    Field("reason", Kind.TEXT, NONE),
)

FACTS: dict[str, Fact] = {
    fact.topic: fact
    for fact in (
        Fact(
            "orders",
            ("order_placed", "order_cancelled"),
            _ORDER,
            amount="amount_minor",
            discounts=("coupon_minor", "credit_minor"),
        ),
        Fact(
            "payments",
            ("payment_captured", "payment_failed", "payment_refunded"),
            _PAYMENT,
            needs=(
                ("payer_currency", "payer_amount_minor"),
                ("payer_amount_minor", "payer_currency"),
                ("transport_minor", "payer_currency"),
                ("duty_minor", "payer_currency"),
            ),
            required_for=(("payment_failed", "reason"),),
        ),
    )
}

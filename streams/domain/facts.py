"""Which events each topic carries, declared as data: one `Fact` a topic.

Each fact becomes a strict msgspec struct (`Fact.event`); `streams.domain.decoding` turns records into columns of it.
The audit judges by rules of its own (`streams.audit.admission`), so a new field or type is written there too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

from streams.domain.currencies import EXPONENTS
from streams.domain.limits import MONEY_LIMIT_MINOR, TEXT_LIMIT, TIME_LIMIT_MS
from streams.domain.rollups import NONE

ABSENT = -1
"""Stands in a column for an optional number that was not given: no field admits a negative number."""


class Kind(Enum):
    """What a field holds, and so what is admitted."""

    TEXT = "a text of 1 to 64 characters that does not begin with __"
    TIME = "milliseconds since the Unix epoch"
    MONEY = f"an integer of minor units from 0 to {MONEY_LIMIT_MINOR}"
    COUNT = f"an integer from 1 to {MONEY_LIMIT_MINOR}"
    POINTS = f"an integer from 0 to {MONEY_LIMIT_MINOR}"
    CURRENCY = "an ISO 4217 currency code"
    FLAG = "true or false"


_NUMBER_LIMITS = {
    Kind.TIME: (0, TIME_LIMIT_MS - 1),
    Kind.MONEY: (0, MONEY_LIMIT_MINOR),
    Kind.COUNT: (1, MONEY_LIMIT_MINOR),
    Kind.POINTS: (0, MONEY_LIMIT_MINOR),
}
"""Least and most. Counts are bounded like money, because cells provide for no more per event."""
FLAG_TEXTS = {False: "false", True: "true"}
"""A flag's column holds texts, so that it can be a dimension."""
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LIMIT)]
_Currency = Literal[tuple(sorted(EXPONENTS))]  # type: ignore[valid-type] # a closed list known at import
_TYPES: dict[Kind, Any] = {
    Kind.TEXT: _Text,
    **{kind: Annotated[int, msgspec.Meta(ge=least, le=most)] for kind, (least, most) in _NUMBER_LIMITS.items()},
    Kind.CURRENCY: _Currency,
    Kind.FLAG: bool,
}
REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event. `default` is what its column holds where it was not given."""

    name: str
    kind: Kind
    default: Any = REQUIRED
    types: tuple[str, ...] = ()
    """Event types that carry it; to the others it is an unknown field, which is ignored. Empty: all of the topic."""
    choices: tuple[str, ...] = ()
    """The texts admitted, where they are a closed list."""

    @property
    def is_required(self) -> bool:
        """Return whether every event must have it."""
        return self.default is REQUIRED

    @property
    def struct_type(self) -> Any:  # noqa: ANN401 - a type made of values
        """Return what msgspec admits in it."""
        return Literal[self.choices] if self.choices else _TYPES[self.kind]

    def is_of(self, event_type: str) -> bool:
        """Return whether events of a type carry it."""
        return not self.types or event_type in self.types

    def number_limits(self) -> tuple[int, int] | None:
        """Return the least and the largest number admitted, or None for a field that holds no number."""
        return _NUMBER_LIMITS.get(self.kind)


@dataclass(frozen=True, slots=True)
class Derived:
    """A dimension computed from two times: the whole `unit_ms` from `since` to `until`; beyond `most` they are one."""

    name: str
    types: tuple[str, ...]
    """Event types that have it; others, and those without `since`, have `NONE`."""
    since: str
    until: str
    unit_ms: int
    most: int

    def text(self, units: int) -> str:
        """Return the value of the dimension."""
        return str(units) if units <= self.most else f"{self.most + 1}+"


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
    not_after_ts: tuple[str, ...] = ("ordered_ts",)
    """Times that may not be after `ts`."""

    @cached_property
    def event(self) -> type[msgspec.Struct]:
        """Return the strict struct of the fact's events."""
        columns: list[Any] = [("type", Literal[self.types])]
        columns += [
            (f.name, f.struct_type) if f.is_required else (f.name, f.struct_type, f.default) for f in self.fields
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
    Field("reason", Kind.TEXT, NONE, types=("payment_failed",)),
)
_SHIPPED = ("parcel_shipped",)
_UNDERWAY = ("parcel_cleared", "parcel_delivered")
_PARCEL = (
    Field("event_id", Kind.TEXT),
    Field("ts", Kind.TIME),
    Field("ordered_ts", Kind.TIME),
    Field("order_id", Kind.TEXT),
    Field("parcel_id", Kind.TEXT),
    Field("carrier", Kind.TEXT),
    Field("origin", Kind.TEXT),
    Field("market", Kind.TEXT),
    Field("shipped_ts", Kind.TIME, ABSENT, types=_UNDERWAY),
)
OPERATORS = ("cainiao", "partner")
_BOX = (
    *_COMMON,
    Field("station", Kind.TEXT),
    Field("operator", Kind.TEXT, choices=OPERATORS),
    Field("city", Kind.TEXT),
    Field("district", Kind.TEXT),
    Field("boxes", Kind.COUNT),
    Field("points", Kind.POINTS),
    Field("flash", Kind.FLAG, NONE),
    Field("user", Kind.TEXT, NONE),
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
        Fact("parcels", (*_SHIPPED, *_UNDERWAY), _PARCEL, not_after_ts=("ordered_ts", "shipped_ts")),
        Fact("recycling", ("box_recycled",), _BOX),
    )
}

DAY_MS = 86_400_000
DERIVED: dict[str, Derived] = {
    derived.name: derived
    for derived in (Derived("transit_days", ("parcel_delivered",), "shipped_ts", "ts", DAY_MS, most=60),)
}
"""Dimensions that no field holds as it is."""

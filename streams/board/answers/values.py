"""The answers of the board as values: what `festival totals --json`, `/api/*` and the event stream send, typed.

Made by `totals`, `story`, `series` and `screen` beside this file; `documents` makes JSON of them, and
`streams.web.openapi` describes them to clients. Counts are None where the ledger does not count the festival; `UNSET`
is what was not asked for.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from streams.domain.facts import FACTS
from streams.engine.judgement import Held, OpenTransaction  # noqa: TC001 - msgspec reads the annotations

Number = Annotated[int, Meta(ge=0)]
Count = Number | None
"""None where the ledger does not count the festival."""
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Money = Annotated[
    dict[Currency, dict[str, int]], Meta(description="Currency (ISO 4217) to measures in its minor units.")
]


Topic = Annotated[str, Meta(extra_json_schema={"enum": list(FACTS)})]
Step = Literal[1_000, 60_000, 3_600_000]
"""Width of a step of a series, in milliseconds."""


class Payments(Struct, frozen=True):
    """Payments by outcome."""

    captured: Count
    failed: Count
    refunded: Count


class Transit(Struct, frozen=True):
    """How many whole days parcels were underway; a parcel that does not say when it left is unknown."""

    days: dict[str, Number]
    unknown: Number
    p50: int | None
    p90: int | None
    promised_days: int
    within_promised: float | None


class Parcels(Struct, frozen=True):
    """Parcels by stage, each with the festival of its order."""

    shipped: Count
    cleared: Count
    delivered: Count
    in_flight: Count
    transit: Annotated[
        Transit | UnsetType | None, Meta(description="Null as of an instant: it is kept for the whole festival only.")
    ] = UNSET


class Recycling(Struct, frozen=True):
    """Boxes recycled."""

    boxes: Count
    scans: Count
    points: Count
    trees: Count


class Home(Struct, frozen=True, kw_only=True):
    """Converted to the home currency. A lower bound while `missing` names currencies without a rate."""

    currency: Currency
    gross: int | UnsetType | None = UNSET
    net: int | UnsetType | None = UNSET
    paid: int | UnsetType | None = UNSET
    missing: list[str]


class Converted(Struct, frozen=True):
    """`home` in another currency, in its minor units: divided by the rate, once. A lower bound where `home` is one."""

    gross: int | None
    net: int | None
    paid: int | None
    rate: Annotated[str, Meta(description="Home currency for one unit of this one, major unit to major unit.")]
    date: Annotated[str, Meta(description="The day of the rate.")]


class Shares(Struct, frozen=True):
    """Which share of the orders used a coupon or a credit, and which was paid; null without orders."""

    couponed: float | None
    paid: float | None


class Estimated(Struct, frozen=True):
    """How many different ones there are, with the bounds of the estimate."""

    estimate: Number
    low: Number
    high: Number


class Pace(Struct, frozen=True):
    """Gross of the closed seconds against the last edition at the same local time."""

    as_of_ms: int | None
    gross_minor: int | None
    previous: str
    previous_gross_minor: int | None
    growth_ratio: float | None
    previous_total_minor: int
    passed_ms: Annotated[int | None, Meta(description="By when all of the last edition was passed.")]


class Forecasted(Struct, frozen=True):
    """Forecast of the final gross in the home currency; its numbers are null while there is none."""

    as_of_ms: int | None
    low_minor: int | None
    expected_minor: int | None
    high_minor: int | None
    basis: Annotated[str, Meta(description="What it stands on, and what its interval is.")]


class Milestone(Struct, frozen=True):
    """A gross in the home currency, and when it was reached."""

    minor: int
    time_ms: Annotated[int | None, Meta(description="End of the second that crossed it.")]


class PeakWindow(Struct, frozen=True):
    """The window with the most orders placed, the first of equals."""

    orders: Count
    start_ms: int | None


class Peaks(Struct, frozen=True):
    """The busiest second and minute."""

    second: PeakWindow
    minute: PeakWindow


class Story(Struct, frozen=True):
    """What stands behind the totals."""

    pace: Annotated[Pace | None, Meta(description="Null without a last edition.")]
    forecast: Annotated[Forecasted | None, Meta(description="Null without a last edition.")]
    milestones: list[Milestone]
    peak: Peaks
    implausible: Annotated[dict[str, bool], Meta(description="Check, and whether the total lies outside its bounds.")]


class Row(Struct, frozen=True, kw_only=True):
    """One value of the dimension asked for, under the dimension's name, with its measures.

    With at_least, the dimension has more values than are kept apart.
    """

    dimension: str
    value: str
    orders: Number | UnsetType = UNSET
    cancelled: Number | UnsetType = UNSET
    couponed: Number | UnsetType = UNSET
    payments: Payments | UnsetType = UNSET
    payer: Money | UnsetType = UNSET
    parcels: Parcels | UnsetType = UNSET
    recycling: Recycling | UnsetType = UNSET
    money: Money | UnsetType = UNSET
    home: Home | UnsetType = UNSET
    at_least: Literal[True] | UnsetType = UNSET


class Totals(Struct, frozen=True, kw_only=True):
    """The committed totals of a festival, as of an instant."""

    festival: str
    ledger: Annotated[str, Meta(description="Generation of the ledger.")]
    counted: Annotated[
        bool,
        Meta(
            description="Whether this ledger counts the festival. Where it does not, its counts are null, and what is "
            "told of the topics stays."
        ),
    ]
    complete: Annotated[
        bool,
        Meta(
            description="Whether every partition that the source topics have now has a committed total, none is held, "
            "and the ledger counts the festival."
        ),
    ]
    lag_records: Annotated[
        int | None,
        Meta(
            description="Records on Kafka that are not in the totals yet, those behind an open transaction included; "
            "null while Kafka has not said. Negative where a position is beyond its log."
        ),
    ]
    as_of_ms: int
    committed_ms: int | None
    positions: Annotated[dict[str, dict[str, Number]], Meta(description="Topic, partition, next offset.")]
    counted_from: Annotated[
        dict[str, dict[str, Number]],
        Meta(
            description="Topic, partition, first offset that is counted, where a recount was allowed to begin although "
            "the log had lost records; else empty."
        ),
    ]
    held: Annotated[
        list[Held],
        Meta(description="Partitions that stand still because going on would be guessing, of all workers."),
    ]
    open_transactions: Annotated[
        list[OpenTransaction],
        Meta(
            description="Transactions of producers that are open for more than 5 s: nothing behind their offset is "
            "counted."
        ),
    ]
    orders: Count
    cancelled: Count
    couponed: Count
    duplicates: Number
    rejected: Number
    late: Number
    expired: Number
    outside: Number
    money: Money
    payments: Payments
    payer: Money
    home: Home
    also_in: Annotated[
        dict[Currency, Converted],
        Meta(description="The home total in the currencies that the festival's file displays, and those asked for."),
    ] = field(name="in")
    shares: Shares
    parcels: Parcels
    recycling: Recycling
    distinct: Annotated[
        dict[str, Estimated | None] | None,
        Meta(description="Different buyers, stations and so on; null as of an instant."),
    ]
    story: Story | UnsetType = UNSET
    by: list[Row] | UnsetType = UNSET
    exponents: Annotated[
        dict[Currency, Number],
        Meta(description="Digits of a major unit (ISO 4217) of each currency in the document."),
    ]
    sealed: Annotated[
        str | UnsetType,
        Meta(description="Where the festival is sealed: the SHA-256 of its file. Left out of a ledger's totals."),
    ] = UNSET
    exact: Annotated[
        Literal[False] | UnsetType,
        Meta(description="False where what was sealed was not found exact, or not audited; left out elsewhere."),
    ] = UNSET


class Series(Struct, frozen=True):
    """One measure over the festival."""

    festival: str
    measure: str
    currency: str | None
    step_ms: Step
    start_ms: int
    values: Annotated[
        list[int | None],
        Meta(description="One of each step; null each where the ledger does not count the festival."),
    ]
    open_from_ms: Annotated[int, Meta(description="Steps from here on may still grow in the ordinary way.")]


class Previous(Struct, frozen=True):
    """The last edition."""

    name: str
    total_minor: Number
    curve: Annotated[
        list[Annotated[list[Number], Meta(min_length=2, max_length=2)]],
        Meta(description="Seconds after the start, running total."),
    ]
    by_minute: Annotated[
        list[Number],
        Meta(
            description="Running total at the end of each minute, along the curve that `pace` compares with; empty "
            "where only the total is known."
        ),
    ]


class Festival(Struct, frozen=True):
    """What is fixed about a festival: its day, its zone, its milestones, the last edition."""

    id: str
    name: str
    start_ms: int
    end_ms: int
    timezone: str
    home_currency: Currency
    facts: list[Topic]
    display: Annotated[list[Currency], Meta(description="Further currencies that the home total is told in.")]
    milestones_minor: list[Number]
    previous: Previous | None
    has_totals: bool
    counted: Annotated[bool, Meta(description="Whether this ledger counts it; true while nothing is committed.")]
    retired: Annotated[bool, Meta(description="Whether it is shown to who asks for it by its id alone.")]


class Festivals(Struct, frozen=True):
    """The festivals this server knows, the latest first."""

    shown: Annotated[str | None, Meta(description="The one that is meant where none is named.")]
    festivals: list[Festival]


def known(number: int | None) -> int:
    """Return a count of a festival that is counted: asking it of another one is a programmer's error."""
    assert number is not None
    return number

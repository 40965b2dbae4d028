"""A new festival's file, with comments: what `festival festivals new` writes.

The values are as somebody gave them. Whether they make a festival is said by `parse_festival`, which reads the text
again: one rule, and every problem at once.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.domain.currencies import major_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.domain.festivals import Rate

POINTS_PER_LINE = 6


@dataclass(frozen=True, slots=True)
class Edition:
    """A counted festival as the next edition's file tells it; money in minor units of the home currency."""

    name: str
    total_minor: int
    orders: int
    before_minor: int | None
    """The total of the edition before it, where its own file says it."""
    curve: Sequence[tuple[int, int]]
    """(Seconds after the start, cumulative), one at the end of each minute."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of a festival to come."""

    values: Mapping[str, str | int | list[str]]
    """Field of the file → what was given; what is missing is written as a comment."""
    home_currency: str
    display: Sequence[str] = ()
    previous: Edition | None = None
    rates: Sequence[Rate] = field(default_factory=tuple)
    """The newest known ones of `display`."""


_FIRST = """\
# A festival. Put this file into the folder of --festivals, on every worker and board; docs/festivals.md explains each
# key. `id`, `starts`, `timezone`, `hours` and `facts` decide what is counted: settle them before the first event. All
# else is read with a total, and may change at any time."""
_COMMENTS = {
    "id": "Names it for good: in addresses, metrics and the ledger.",
    "name": "As people read it.",
    "starts": "Its first moment, local to the time zone. It lasts so many hours; the moment it ends is no part of it.",
    "home_currency": "The currency that its one total is told in (ISO 4217).",
    "facts": "Which of the four topics it counts: orders, payments, parcels, recycling.",
    "milestones": "Totals worth a moment, in major units of the home currency.",
    "display": "Further currencies that the total is told in; each needs a rate below.",
    "points_per_tree": "How many points of green energy plant a tree.",
}
_EXAMPLES = {
    "name": "A festival of ours",
    "hours": 24,
    "home_currency": "CNY",
    "facts": ["orders", "payments", "parcels", "recycling"],
    "milestones": ["1000000", "5000000"],
}
"""What stands commented out where nothing was given."""
_ORDER = (
    *("id", "name", "starts", "timezone", "hours", "home_currency", "facts", "milestones"),
    *("display", "points_per_tree"),
)


def draft_toml(draft: Draft) -> str:
    """Return the file's text."""
    lines = [_FIRST]
    rated = {rate.currency for rate in draft.rates}
    shown = [currency for currency in draft.display if currency in rated]
    values = {**draft.values, **({"display": shown} if shown else {})}
    for name in _ORDER:
        if name in values:
            lines += _commented(name, f"{name} = {_value(name, values[name])}")
        elif name in _EXAMPLES:
            lines += _commented(name, f"# {name} = {_toml(_EXAMPLES[name])}")
    lines += ["", *_previous(draft), "", *_plausible(), "", *_rates(draft, rated), "", *_replay()]
    return "\n".join(lines) + "\n"


def _commented(name: str, line: str) -> list[str]:
    return [f"# {_COMMENTS[name]}", line] if name in _COMMENTS else [line]


def _value(name: str, value: str | int | list[str]) -> str:
    if name == "starts" and isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value.strip()).isoformat()
        except ValueError:
            pass  # as a text it is refused with a sentence, among the other problems
    if name == "hours" and isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return str(int(value))
    return _toml(value)


def _toml(value: object) -> str:
    """Return a text, a number or a list as TOML writes it: as JSON does, but for surrogates and DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _previous(draft: Draft) -> list[str]:
    previous = draft.previous
    lines = [
        "# The last edition: what this one is compared with and forecast from, in major units of the home currency."
    ]
    if previous is None:
        examples = ('name = "The last edition"', 'total = "900000"', "orders = 4200", 'before = "700000"')
        lines += ["# [previous]", *(f"# {example}" for example in examples)]
        return [*lines, "# Seconds after the start, and the total up to then.", '# curve = [[3600, "200000"]]']
    home = draft.home_currency
    lines += ["[previous]", f"name = {_toml(previous.name)}", f'total = "{major_text(previous.total_minor, home)}"']
    lines.append(f"orders = {previous.orders}")
    if previous.before_minor:
        lines.append(f'before = "{major_text(previous.before_minor, home)}" # the edition before it')
    lines += ["# Seconds after the start, and the total up to then: a point a minute, as it was counted.", "curve = ["]
    points = [f'[{second}, "{major_text(amount, home)}"]' for second, amount in previous.curve]
    starts = range(0, len(points), POINTS_PER_LINE)
    lines += ["    " + ", ".join(points[at : at + POINTS_PER_LINE]) + "," for at in starts]
    return [*lines, "]"]


def _plausible() -> list[str]:
    return [
        "# Bounds outside which the total is flagged: major units an order, and growth on the last edition.",
        "# [plausible]",
        '# average_order_value = ["20", "200"]',
        '# growth = ["-0.5", "1.5"]',
    ]


def _rates(draft: Draft, rated: set[str]) -> list[str]:
    home = draft.home_currency
    lines = [
        f"# What one unit of another currency costs in {home}, from a day on: the latest not after the start counts.",
    ]
    for rate in draft.rates:
        lines += [
            f"[rates.{rate.currency}]",
            f'{rate.date} = "{rate.rate:f}" # the newest known: write that of the day',
        ]
    unrated = [currency for currency in draft.display if currency not in rated]
    if unrated:
        lines += [f"# No rate of {', '.join(unrated)} is known: give one here, then name it in `display` above."]
    other = next(currency for currency in (*unrated, "USD", "EUR", "CNY", "JPY") if currency not in {home, *rated})
    started = str(draft.values.get("starts", ""))[:10]
    return [*lines, f"# [rates.{other}]", f'# {started or "2026-11-11"} = "1.0000"']


def _replay() -> list[str]:
    return [
        "# What `festival replay` sells; what is left out is taken from the built-in festivals.",
        "# [replay]",
        "# platforms = { webshop = 7, app = 3 }",
        "# markets = { DE = 8, AT = 1, CH = 1 }",
        '# currencies = { CH = "CHF" }',
        "# methods = { card = 6, paypal = 3, invoice = 1 }",
        "# merchants = 40",
        '# average_order = { EUR = "64.90", CHF = "71" }',
        "# origins = { DE = 1 }",
        "# carriers = { dhl = 3, dpd = 1 }",
    ]

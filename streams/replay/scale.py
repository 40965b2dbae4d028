"""A festival's file for a scaled day: the same festival with milestones and last edition as small as the replay."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from streams.domain.currencies import major_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.curves import Curve
    from streams.domain.festivals import Festival

_HOUR_MS = 3_600_000


def scaled(festival: Festival, curve: Curve, orders: int) -> Festival:
    """Return `festival` as a day of `orders` instead of the published number; its name says the scale."""

    def small(amount_minor: int) -> int:
        return amount_minor * orders // curve.orders

    previous = festival.previous
    if previous is not None:
        points = tuple((second, small(amount)) for second, amount in previous.curve)
        before_minor = previous.before_minor and small(previous.before_minor)
        previous = replace(
            previous, total_minor=small(previous.total_minor), curve=points, before_minor=before_minor or None
        )
    return replace(
        festival,
        name=f"{festival.name}, 1 : {round(curve.orders / orders):,}",
        milestones_minor=tuple(small(amount) for amount in festival.milestones_minor),
        previous=previous,
    )


def to_toml(festival: Festival) -> str:
    """Return the file that `parse_festival` reads the same festival from."""
    zone = ZoneInfo(festival.timezone)
    starts = dt.datetime.fromtimestamp(festival.start_ms / 1000, zone)  # with its offset: a clock may show it twice
    bounds = festival.plausible

    def major(amount_minor: int) -> str:
        return major_text(amount_minor, festival.home_currency)

    lines = [
        f"id = {_toml(festival.id)}",
        f"name = {_toml(festival.name)}",
        f"starts = {starts.isoformat()}",
        f"timezone = {_toml(festival.timezone)}",
        f"hours = {(festival.end_ms - festival.start_ms) // _HOUR_MS}",
        f"home_currency = {_toml(festival.home_currency)}",
        f"facts = {_toml(festival.facts)}",
        f"milestones = {_toml([major(amount) for amount in festival.milestones_minor])}",
    ]
    if festival.display:
        lines.append(f"display = {_toml(festival.display)}")
    if festival.points_per_tree is not None:
        lines.append(f"points_per_tree = {festival.points_per_tree}")
    if festival.previous is not None:
        curve = [[second, major(amount)] for second, amount in festival.previous.curve]
        lines += ["[previous]", f"name = {_toml(festival.previous.name)}"]
        lines += [f"total = {_toml(major(festival.previous.total_minor))}", f"curve = {_toml(curve)}"]
        if festival.previous.before_minor is not None:
            lines.append(f"before = {_toml(major(festival.previous.before_minor))}")
    lines.append("[plausible]")
    if bounds.average_order_value_minor is not None:
        lines.append(f"average_order_value = {_toml([major(b) for b in bounds.average_order_value_minor])}")
    if bounds.growth_ratio is not None:
        lines.append(f"growth = {_toml([str(ratio) for ratio in bounds.growth_ratio])}")
    for rate in festival.rates:
        lines += [
            "[[rates]]",
            f"currency = {_toml(rate.currency)}",
            f"date = {rate.date}",
            f'rate = "{rate.rate}"',
        ]
    return "\n".join(lines) + "\n"


def _toml(value: str | Sequence[object]) -> str:
    """Return a text or a list as TOML writes it: as JSON does, but for surrogates and DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

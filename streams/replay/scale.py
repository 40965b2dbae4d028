"""A festival's file for a scaled day: the same festival with milestones and last edition as small as the replay."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from streams.domain.currencies import EXPONENTS

if TYPE_CHECKING:
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
        previous = replace(previous, total_minor=small(previous.total_minor), curve=points)
    return replace(
        festival,
        name=f"{festival.name}, 1 : {round(curve.orders / orders):,}",
        milestones_minor=tuple(small(amount) for amount in festival.milestones_minor),
        previous=previous,
    )


def to_toml(festival: Festival) -> str:
    """Return the file that `parse_festival` reads the same festival from; JSON's strings and lists are TOML's too."""
    zone = ZoneInfo(festival.timezone)
    starts = dt.datetime.fromtimestamp(festival.start_ms / 1000, zone).replace(tzinfo=None)
    bounds = festival.plausible

    def major(amount_minor: int) -> str:
        return _decimal(amount_minor, EXPONENTS[festival.home_currency])

    lines = [
        f"id = {json.dumps(festival.id)}",
        f"name = {json.dumps(festival.name)}",
        f"starts = {starts.isoformat()}",
        f"timezone = {json.dumps(festival.timezone)}",
        f"hours = {(festival.end_ms - festival.start_ms) // _HOUR_MS}",
        f"home_currency = {json.dumps(festival.home_currency)}",
        f"facts = {json.dumps(festival.facts)}",
        f"milestones = {json.dumps([major(amount) for amount in festival.milestones_minor])}",
    ]
    if festival.points_per_tree is not None:
        lines.append(f"points_per_tree = {festival.points_per_tree}")
    if festival.previous is not None:
        curve = [[second, major(amount)] for second, amount in festival.previous.curve]
        lines += ["[previous]", f"name = {json.dumps(festival.previous.name)}"]
        lines += [f"total = {json.dumps(major(festival.previous.total_minor))}", f"curve = {json.dumps(curve)}"]
    lines.append("[plausible]")
    if bounds.average_order_value_minor is not None:
        lines.append(f"average_order_value = {json.dumps([major(b) for b in bounds.average_order_value_minor])}")
    if bounds.growth_ratio is not None:
        lines.append(f"growth = {json.dumps([str(ratio) for ratio in bounds.growth_ratio])}")
    for rate in festival.rates:
        lines += [
            "[[rates]]",
            f"currency = {json.dumps(rate.currency)}",
            f"date = {rate.date}",
            f'rate = "{rate.rate}"',
        ]
    return "\n".join(lines) + "\n"


def _decimal(amount_minor: int, digits: int) -> str:
    whole, rest = divmod(amount_minor, 10**digits)
    return f"{whole}.{rest:0{digits}}" if digits else str(whole)

"""The published days of past editions of Singles' Day, 2011 to 2019: what forecasts learn from."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from streams.domain.currencies import EXPONENTS
from streams.domain.curves import parse_curves
from streams.domain.experience import learn
from streams.domain.forecast import Shape

if TYPE_CHECKING:
    from streams.domain.curves import Curve
    from streams.domain.forecast import Experience

YUAN_PER_DOLLAR = {
    2014: Decimal("6.1146"),
    2015: Decimal("6.361"),
    2016: Decimal("6.785"),
    2017: Decimal("6.648"),
    2018: Decimal("6.933"),
    2019: Decimal("6.9933"),
}
"""By which points told in dollars become yuan: the final total in yuan over the one in dollars, as published."""


@cache
def published_curves() -> dict[int, Curve]:
    """Return the published days by year, in yuan."""
    rates = {(f"singles-day-{year}", "USD"): rate for year, rate in YUAN_PER_DOLLAR.items()}
    text = (files(__package__) / "published.csv").read_text("utf-8")
    return {int(name.rpartition("-")[2]): curve for name, curve in parse_curves(text, EXPONENTS, rates).items()}


@cache
def editions() -> dict[int, Shape]:
    """Return the published days by year, as shapes."""
    curves = published_curves()
    return {year: Shape(tuple((p.second, p.amount_minor) for p in curve.points)) for year, curve in curves.items()}


@cache
def experience() -> Experience:
    """Return what all editions teach a forecast."""
    return learn(editions())

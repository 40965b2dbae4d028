"""The shape of a festival's day: published cumulative GMV, and a plan of orders that meets it exactly.

Between published points the curve is a monotone cubic (Fritsch and Carlson 1980, with the weighted harmonic mean of
Fritsch and Butland 1984 for the slopes). All of it is rational arithmetic: no float decides a count or an amount.
`streams.replay` asks the plan when an order happens and what it costs.
"""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

BILLION = 10**9
ASSUMED_ORDER_MAJOR = 200
"""Average order in major units where a festival's number of orders was not published (2019: CNY 206)."""
_COLUMNS = ("festival", "seconds", "amount_bn", "currency", "orders", "note")


@dataclass(frozen=True, slots=True)
class Point:
    """A published reading: cumulative GMV at a second of the festival."""

    second: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One festival's published day. `orders` is the published number of orders of the whole day."""

    festival: str
    currency: str
    points: tuple[Point, ...]
    orders: int

    @property
    def total_minor(self) -> int:
        """Return the day's final GMV in minor units."""
        return self.points[-1].amount_minor

    @property
    def seconds(self) -> int:
        """Return how long the day is."""
        return self.points[-1].second

    def stretched(self, seconds: int) -> Curve:
        """Return the same shape over another number of seconds, for a festival without a curve of its own."""
        if seconds == self.seconds:
            return self
        points = tuple(Point(p.second * seconds // self.seconds, p.amount_minor) for p in self.points)
        return Curve(self.festival, self.currency, points, self.orders)


class CurveError(ValueError):
    """A curve cannot be used; the message names the festival, the row and what is wrong."""


def parse_curves(
    text: str, exponents: Mapping[str, int], rates: Mapping[tuple[str, str], Decimal] | None = None
) -> dict[str, Curve]:
    """Return the curves of a CSV text by festival; `exponents` are the digits of the currencies' minor units.

    A curve is in the currency of its last row. `rates` gives by festival and currency what one unit of another one is
    in it. Lines beginning with # are comments. Raises `CurveError`.
    """
    rows = csv.DictReader(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    if tuple(rows.fieldnames or ()) != _COLUMNS:
        raise CurveError(f"expected the columns {', '.join(_COLUMNS)}, found {', '.join(rows.fieldnames or ())}")
    by_festival: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_festival.setdefault(row["festival"], []).append(row)
    return {festival: _curve(festival, found, exponents, rates or {}) for festival, found in by_festival.items()}


def _curve(
    festival: str,
    rows: Sequence[Mapping[str, str]],
    exponents: Mapping[str, int],
    rates: Mapping[tuple[str, str], Decimal],
) -> Curve:
    currency = rows[-1]["currency"]
    known = {currency: Decimal(1), **{foreign: rate for (of, foreign), rate in rates.items() if of == festival}}
    if currency not in exponents or any(row["currency"] not in known for row in rows):
        raise CurveError(f"{festival}: all rows need one ISO 4217 currency, found {currency!r}")
    unit = BILLION * 10 ** exponents[currency]
    points = []
    for row in rows:
        try:
            second, amount = int(row["seconds"]), Decimal(row["amount_bn"]) * known[row["currency"]] * unit
        except (ValueError, InvalidOperation) as error:
            raise CurveError(f"{festival}: {row['seconds']!r}, {row['amount_bn']!r} are no numbers") from error
        if amount != amount.to_integral_value():
            raise CurveError(f"{festival}: {row['amount_bn']} is finer than the minor unit")
        points.append(Point(second, int(amount)))
    is_rising = all(a.second < b.second and a.amount_minor <= b.amount_minor for a, b in itertools.pairwise(points))
    if len(points) < 2 or points[0] != Point(0, 0) or not is_rising or points[-1].amount_minor == 0:  # noqa: PLR2004
        raise CurveError(f"{festival}: a curve starts at 0, 0 and rises; seconds are ascending")
    orders = int(rows[-1]["orders"] or points[-1].amount_minor // (ASSUMED_ORDER_MAJOR * 10 ** exponents[currency]))
    return Curve(festival, currency, tuple(points), orders)


def slopes(xs: Sequence[int], ys: Sequence[int]) -> list[Fraction]:
    """Return the slope at each point that makes the cubic between them monotone."""
    steps = [b - a for a, b in itertools.pairwise(xs)]
    rises = [Fraction(b - a, h) for a, b, h in zip(ys, ys[1:], steps, strict=False)]
    if len(rises) == 1:
        return [rises[0], rises[0]]
    inner = []
    for h0, h1, d0, d1 in zip(steps, steps[1:], rises, rises[1:], strict=False):
        w0, w1 = 2 * h1 + h0, h1 + 2 * h0
        inner.append((w0 + w1) / (w0 / d0 + w1 / d1) if d0 > 0 and d1 > 0 else Fraction(0))
    first = _end_slope(steps[0], steps[1], rises[0], rises[1])
    last = _end_slope(steps[-1], steps[-2], rises[-1], rises[-2])
    return [first, *inner, last]


def _end_slope(h0: int, h1: int, d0: Fraction, d1: Fraction) -> Fraction:
    """Return the three-point estimate at an end, kept within what monotony allows: from 0 to 3 * d0.

    As no rise is negative the estimate lies below 2 * d0 by itself.
    """
    return max(((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1), Fraction(0))


def cumulative_orders(curve: Curve, orders: int) -> Int64s:
    """Return for each second 0…seconds the number of orders planned before it, of `orders` in all.

    It is the curve's share of the final GMV times `orders`, rounded down: exact at every published point.
    """
    xs = [p.second for p in curve.points]
    ys = [p.amount_minor for p in curve.points]
    at = slopes(xs, ys)
    planned: list[int] = []
    for i, h in enumerate(b - a for a, b in itertools.pairwise(xs)):
        rise = Fraction(ys[i + 1] - ys[i], h)
        c2 = (3 * rise - 2 * at[i] - at[i + 1]) / h
        c3 = (at[i] + at[i + 1] - 2 * rise) / (h * h)
        common = lcm(at[i].denominator, c2.denominator, c3.denominator)
        # Whole numbers over one denominator, by Horner's rule: 86,400 `Fraction`s would take a second.
        k0, k1, k2, k3 = (int(c * common) for c in (Fraction(ys[i]), at[i], c2, c3))
        whole = common * curve.total_minor
        planned += [(((k3 * t + k2) * t + k1) * t + k0) * orders // whole for t in range(h)]
    planned.append(orders)
    return np.array(planned, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class OrderPlan:
    """When each of `orders` orders happens and what it costs. Orders are numbered from 0 in order of event time.

    `N` orders are a scaled day: at a published point of amount A, floor(N × A / total) orders have been placed, worth
    floor(A × N / published orders). A stretch between points too short to hold an order leaves its GMV to the next.
    """

    orders: int
    cumulative: Int64s
    first_of_stretch: Int64s
    """Number of the first order of each stretch between published points that holds any; then `orders`."""
    gross_minor: Int64s
    """GMV before the first order of each stretch; then of all."""

    def offsets_ms(self, numbers: Int64s, noise: UInt64s) -> Int64s:
        """Return each order's event time in milliseconds since the festival's start, ascending with the number."""
        seconds = np.searchsorted(self.cumulative, numbers, side="right") - 1
        before = self.cumulative[seconds]
        within = self.cumulative[seconds + 1] - before
        jitter = (noise % np.uint64(1000)).astype(np.int64)
        offsets: Int64s = seconds * 1000 + ((numbers - before) * 1000 + jitter) // within
        return offsets

    def number_at(self, offset_ms: int) -> int:
        """Return how many orders the plan holds before the second that `offset_ms` lies in has ended."""
        last = len(self.cumulative) - 1
        return int(self.cumulative[min(max(offset_ms // 1000 + 1, 0), last)])

    def amounts_minor(self, numbers: Int64s, noise_of: Callable[[Int64s], UInt64s]) -> Int64s:
        """Return each order's amount, scattered from 0 to twice the mean; `noise_of` gives random bits by order number.

        An amount is the difference of a cumulative sum with noise that is 0 at every published point, so that the
        sums there are exact whatever the noise.
        """
        return self._gross_before(numbers + 1, noise_of) - self._gross_before(numbers, noise_of)

    def _gross_before(self, numbers: Int64s, noise_of: Callable[[Int64s], UInt64s]) -> Int64s:
        stretch = np.searchsorted(self.first_of_stretch, numbers, side="right") - 1
        stretch = np.minimum(stretch, len(self.first_of_stretch) - 2)
        start = self.first_of_stretch[stretch]
        orders = self.first_of_stretch[stretch + 1] - start
        whole, rest = np.divmod(self.gross_minor[stretch + 1] - self.gross_minor[stretch], orders)
        inside = numbers - start
        # The product stays below 1.3e9², which int64 holds; amount × number would not.
        base = self.gross_minor[stretch] + whole * inside + rest * inside // orders
        noise = (noise_of(numbers) % np.maximum(whole, 1).astype(np.uint64)).astype(np.int64)
        before: Int64s = base + np.where((inside == 0) | (inside == orders), 0, noise)
        return before


def plan_orders(curve: Curve, orders: int) -> OrderPlan:
    """Return the plan of `orders` orders (at least 1) along a curve."""
    assert orders >= 1, orders
    cumulative = cumulative_orders(curve, orders)
    stretches: dict[int, int] = {0: 0}
    for point in curve.points[1:]:
        placed = int(cumulative[point.second])
        if placed:
            stretches[placed] = point.amount_minor * orders // curve.orders
    return OrderPlan(
        orders,
        cumulative,
        np.array(list(stretches), dtype=np.int64),
        np.array(list(stretches.values()), dtype=np.int64),
    )

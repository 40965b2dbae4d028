"""What published editions teach a forecast: how growth fades, and by how much past forecasts were wrong.

Learnt from the amounts that were published in the course of an edition, each forecast from the edition before it. An
edition that is judged is left out altogether, as if it had never been: no error is flattered by what it was made from.
`streams.festivals.editions` holds the editions, `streams.festivals.backtest` publishes the errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from math import ceil
from statistics import median

from streams.domain.forecast import Experience, LastEdition, Misses, Shape, by_pace, mixed

Editions = Mapping[int, Shape]
"""Year → day; all of one length."""
Seen = dict[int, list[tuple[Fraction, Fraction]]]
"""Year → (share of the day, factor by which a forecast was wrong then)."""
_PER_MILLE = 1000


def without(editions: Editions, year: int) -> Editions:
    """Return the editions as if that of `year` had never been."""
    return {other: shape for other, shape in editions.items() if other != year}


def sequels(editions: Editions) -> list[int]:
    """Return the years that can be forecast with a prior: the two editions before them are known."""
    return [year for year in sorted(editions) if year - 1 in editions and year - 2 in editions]


def last_of(editions: Editions, year: int) -> LastEdition:
    """Return what was known of the last edition in that year."""
    return LastEdition(editions[year - 1], editions[year - 2].total_minor)


def published(editions: Editions, year: int) -> list[tuple[int, Fraction]]:
    """Return the amounts that were published in that year while a forecast from the year before could be made.

    Pairs of milliseconds after the start and minor units; the final total is none of them.
    """
    last = last_of(editions, year)
    points = editions[year].points[:-1]
    return [(second * 1000, Fraction(amount)) for second, amount in points if last.is_measured(second * 1000)]


def learn(editions: Editions) -> Experience:
    """Return what the editions teach together, each of them judged by the others.

    There must be enough of them: with any two left out, one can still be forecast from the two before it.
    """
    damping, pace = _rules(editions)
    rest: Seen = {}
    rest_by_pace: Seen = {}
    for year in sequels(editions):
        known_damping, known_pace = _rules(without(editions, year))
        last, day = last_of(editions, year), editions[year]
        assert last.before_minor is not None, "a sequel has two editions before it"
        for elapsed_ms, sold in published(editions, year):
            share, came = Fraction(elapsed_ms, day.length_ms), day.total_minor - sold
            expected = mixed(last, last.before_minor, known_damping, known_pace, (elapsed_ms, sold))
            rest.setdefault(year, []).append((share, _factor(expected - sold, came)))
            by_pace_alone = _factor(by_pace(last, elapsed_ms, sold) - sold, came)
            rest_by_pace.setdefault(year, []).append((share, by_pace_alone))
    return Experience(damping, pace, _misses(rest_by_pace), _misses(rest))


def _rules(editions: Editions) -> tuple[Fraction, Misses]:
    """Return the damping, and how far the pace alone missed the final totals."""
    seen: Seen = {}
    for year in sequels(editions):
        last, day = last_of(editions, year), editions[year]
        seen[year] = [
            (Fraction(elapsed_ms, day.length_ms), _factor(by_pace(last, elapsed_ms, sold), day.total_minor))
            for elapsed_ms, sold in published(editions, year)
        ]
    return median(fadings(editions).values()), _misses(seen)


def _misses(seen: Seen) -> Misses:
    """Return the factors of all editions, up to where only one of them goes on: one alone proves nothing small."""
    ends = sorted(max(factors)[0] for factors in seen.values())
    known_until = ends[-2:][0]
    return Misses(tuple(sorted(one for factors in seen.values() for one in factors if one[0] <= known_until)))


def fadings(editions: Editions) -> dict[int, Fraction]:
    """Return by year the growth divided by that of the year before."""
    totals = {year: shape.total_minor for year, shape in editions.items()}
    growth = {year: Fraction(totals[year], totals[year - 1]) - 1 for year in sorted(totals) if year - 1 in totals}
    return {now: growth[now] / growth[before] for before, now in pairwise(growth) if now == before + 1}


def _factor(expected: Fraction, came: Fraction | int) -> Fraction:
    """Return by which factor it was missed, the larger of both ways, rounded up to a thousandth."""
    ratio = expected / came
    return Fraction(ceil(max(ratio, 1 / ratio) * _PER_MILLE), _PER_MILLE)

"""The back-test of the forecast over the published days of nine editions, as the page `docs/forecast.md`.

`python -m streams.festivals.backtest > docs/forecast.md` writes it; a test compares.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from streams.domain.experience import fadings, last_of, learn, published, sequels, without
from streams.domain.forecast import by_pace, forecast
from streams.festivals.editions import editions, experience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.domain.forecast import Experience, Forecast, Misses

_HOUR_MS = 3_600_000
TIMES_MS = (5 * 60_000, 30 * 60_000, *(hour * _HOUR_MS for hour in range(1, 24)))
"""At which the drawn days are asked: the first minute with a forecast, half an hour, every hour."""
_PAGE = """# Forecast, pace and plausibility

Written by `python -m streams.festivals.backtest > docs/forecast.md`; a test compares.

All of this is read from the committed view of all partitions, never from one of them. It is in `festival totals`
(`--json`: `pace`, `forecast`, `milestones`, `peak`, `implausible`), in `/api/totals` and, as gauges, in `/metrics`.

## Against the last edition

- `pace` compares the gross of the closed seconds (up to the watermark) with the last edition's at the same local time:
  `growth_ratio` is one less than their ratio. Between published points the last edition is a monotone cubic, as a day
  of `festival replay` is. An edition without a curve has its total only: it is compared with in the last hundredth of
  the day, and `passed_ms` says by which second all of it was passed.
- `milestones` and `passed_ms` are the end of the second that crossed the amount, in the home currency: as published
  times are. `peak` is the busiest second and the busiest minute, the first of equals. Late events correct all of them.
- With `--at` all of it is told as of that second.
- `/api/series?measure=home_gross` (also `home_net`, `home_paid`) is the whole curve in the home currency, per second,
  minute or hour; the steps add up to the total that is shown.

## The forecast of the final total

It needs `[previous].curve` in the festival's file, and takes the growth from `[previous].before`, the total of the
edition before the last one. With p, the share of its total that the last edition had sold by this time of day:

- `pace = sold / p` is the final total if the rest of the day sells as the last edition's did.
- `prior = last × (1 + damping × growth)`, where `growth` is the last edition's on the one before it. It is held between
  `pace ÷ f` and `pace × f`; f is the largest factor by which the pace missed the final total at this time or later.
- `expected = sold + (1 − p) × (sold + (1 − p) × prior)`: the mix of Benktander, one step from Bornhuetter and
  Ferguson's towards the pace alone. Early it is mostly the prior, late mostly the pace.
- The interval divides and multiplies the rest, `expected − sold`, by the largest factor by which it was missed at this
  time of day or later.

| number | value |
|---|---|
| damping | {damping}, the median of the growth divided by that of the year before ({ratios}) |
| the pace against the final total | {pace} |
| the rest, by the mix | {rest} |
| the rest, by the pace alone | {rest_by_pace} |

Without `before` there is no growth to repeat, and the pace alone is the forecast, with its own factor. Without a curve
there is no forecast, and `basis` says so. There is none in the first five minutes either, none before the last
edition's first published amount, and none where a currency's rate is missing.

**Where the numbers come from.** All of them are computed from the published points of nine editions, 2011 to 2019
(`streams/festivals/published.csv`, with its sources and what does not fit together), each forecast from the edition
before it. The factors are those at the published points from 0:05 on, each with the judged edition left out; 2012 has
no point before 2:19, so 2013 counts from there. After 21:20 only one edition has a point, and the factors stay. What is
left out is left out altogether, as last edition of its successor too.

**How little this is.** Seven editions could be judged, and times within a day are not independent. The interval is the
range of the errors seen, not a probability: the largest of seven errors is at most a 7 in 8 bound, and only if editions
were exchangeable, which the growth denies. The scope grew over the years, 2012 and 2013 above all: that is where the
largest errors are, and why the interval is wide. From 2016 on a second rush begins at 1:00; the share sold in the first
hour rose from 19 % (2013) to 34 % (2017, 2019), so an older shape than the last one is of no use. An edition that sells
otherwise than all of these, by other rules or another calendar, is outside of what is known here.

### Back-test: the published points

Each edition is left out of everything that its forecast is made of; 2019 is thus told with what was known up to 2018.

{coverage}

### By the hour

Error of the expected final total in %; `!` where the interval did not hold it. Between published points both days are
drawn, not known: 2014 has no point from 1:00 to 13:31 and none after it, 2018 none from 1:48 to 8:08.

{hours}

### Against the pace alone

Mean size of the error in % from 2014 on, the largest in brackets; and that of a day along the same curve that sells
half of the last edition. No edition did that, so the interval does not hold such a day until it has told of itself.

{methods}

### Every published point

{points}

## Plausibility

`plausible` in a festival's file bounds the average order value and the growth on the last edition. Outside of them
`implausible` says true for the check, and `festival_implausible` is 1. The built-in bounds of an order are 150 and 250
yuan: the published totals of 2012 to 2019 are 180 to 208 yuan per published order. The misprint of 2019 (26.4 bn for
1.3 bn orders: 20.31 yuan each, 88 % less than 2018) is flagged by both, the real day by none.

- Growth above the bound is flagged at any time.
- Growth below it is flagged at the end of the day (once the watermark has passed it), and before only where the last
  edition's curve is known: if not even the upper end of the forecast reaches the bound. That is the comparison at the
  same local time, with room for a day of another shape.
- A gross that lacks a currency's rate is never called too small, and nothing is flagged before the first order.

A replay at 1:10,000 is a day that fell by 99.99 %, and is flagged so from 0:05 on. To rehearse milestones, forecast and
growth with it, give a file with amounts divided by 10,000 (`--festivals DIR`).
"""


@cache
def left_out(year: int) -> Experience:
    """Return what the editions teach without that of `year`."""
    return learn(without(editions(), year))


def told(year: int, elapsed_ms: int, sold: Fraction | None = None) -> Forecast | None:
    """Return what would have been forecast in that year, whose edition taught nothing; None where there is none.

    `sold` is what was sold by then, by default as the published points tell it.
    """
    amount = editions()[year].amount_at(elapsed_ms) if sold is None else sold
    return forecast(last_of(editions(), year), left_out(year), elapsed_ms, round(amount))


def holds(found: Forecast, total_minor: int) -> bool:
    """Return whether the total lies in the interval."""
    return found.low_minor <= total_minor <= found.high_minor


def error(amount_minor: Fraction | int, total_minor: Fraction | int) -> Fraction:
    """Return the error as a share of the total."""
    return Fraction(amount_minor) / Fraction(total_minor) - 1


def _percent(share: Fraction) -> str:
    return f"{Decimal(round(share * 1000)) / 10:+.1f}"


def _clock(elapsed_ms: int) -> str:
    seconds = elapsed_ms // 1000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}" + (f":{seconds % 60:02}" if seconds % 60 else "")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(*names: str) -> str:
    return _row(names) + "\n" + "|---" * len(names) + "|"


def _coverage() -> str:
    """Return how often the interval held the final total at the published points, by edition."""
    rows, all_held, all_points = [], 0, 0
    for year in sequels(editions()):
        total_minor = editions()[year].total_minor
        found = [told(year, elapsed_ms) for elapsed_ms, _ in published(editions(), year)]
        errors = [error(one.expected_minor, total_minor) for one in found if one is not None]
        held = sum(one is not None and holds(one, total_minor) for one in found)
        all_held, all_points = all_held + held, all_points + len(found)
        rows.append(_row([str(year), str(len(found)), str(held), f"{_percent(max(errors, key=abs))} %"]))
    rows.append(_row(["all", str(all_points), str(all_held), ""]))
    return "\n".join([_head("edition", "published points", "in the interval", "largest error"), *rows])


def _points(year: int) -> list[str]:
    total_minor = editions()[year].total_minor
    rows = []
    for elapsed_ms, sold in published(editions(), year):
        found = told(year, elapsed_ms)
        assert found is not None, "a published point is one that can be asked"
        expected, low, high = (
            _percent(error(minor, total_minor)) for minor in (found.expected_minor, found.low_minor, found.high_minor)
        )
        amount = f"{Decimal(round(sold / 10**8)) / 1000:.1f}"
        is_held = "yes" if holds(found, total_minor) else "**no**"
        rows.append(_row([str(year), _clock(elapsed_ms), amount, expected, f"{low} to {high}", is_held]))
    return rows


def _hours() -> str:
    years = sequels(editions())
    rows = [_row([_clock(elapsed_ms), *(_drawn(year, elapsed_ms) for year in years)]) for elapsed_ms in TIMES_MS]
    return "\n".join([_head("time", *map(str, years)), *rows])


def _drawn(year: int, elapsed_ms: int) -> str:
    found = told(year, elapsed_ms)
    if found is None:
        return "–"
    total_minor = editions()[year].total_minor
    mark = "" if holds(found, total_minor) else " !"
    return _percent(error(found.expected_minor, total_minor)) + mark


def _by_pace(year: int, elapsed_ms: int) -> tuple[Fraction, bool]:
    day = editions()[year]
    expected = by_pace(last_of(editions(), year), elapsed_ms, day.amount_at(elapsed_ms))
    return error(expected, day.total_minor), True


def _by_mix(year: int, elapsed_ms: int) -> tuple[Fraction, bool]:
    return _judged(told(year, elapsed_ms), editions()[year].total_minor)


def _by_mix_of_half(year: int, elapsed_ms: int) -> tuple[Fraction, bool]:
    """Return how a day is told that sells half of the last edition along that year's curve."""
    total_minor = last_of(editions(), year).shape.total_minor // 2
    return _judged(told(year, elapsed_ms, editions()[year].share_at(elapsed_ms) * total_minor), total_minor)


def _judged(found: Forecast | None, total_minor: int) -> tuple[Fraction, bool]:
    assert found is not None, "from 2014 on there is one at each of the times"
    return error(found.expected_minor, total_minor), holds(found, total_minor)


def _methods() -> str:
    """Return the mean and largest error of the pace alone, of the mix, and of the mix on a day of half the size."""
    years = sequels(editions())[1:]
    methods: list[Callable[[int, int], tuple[Fraction, bool]]] = [_by_pace, _by_mix, _by_mix_of_half]
    rows = []
    for elapsed_ms in TIMES_MS:
        cells, held = [], 0
        for method in methods:
            judged = [method(year, elapsed_ms) for year in years]
            errors = [abs(share) for share, _ in judged]
            cells.append(f"{_percent(sum(errors, Fraction()) / len(errors))[1:]} ({_percent(max(errors))[1:]})")
            held = sum(is_held for _, is_held in judged)
        rows.append(_row([_clock(elapsed_ms), *cells, f"{held} of {len(years)}"]))
    return "\n".join([_head("time", "pace alone", "the mix", "the mix, half the size", "held then"), *rows])


def _steps(misses: Misses) -> str:
    """Return the factors as a sentence: each with the time up to which it is the largest still to come."""
    day = Fraction(86_400_000)
    largest = [(share, misses.since(share)) for share, _ in misses.seen]
    steps = [(factor, max(share for share, _ in shares)) for factor, shares in groupby(largest, key=lambda one: one[1])]
    until = [f"{float(factor):.3f} up to {_clock(round(share * day))}" for factor, share in steps[:-1]]
    return ", ".join([*until, f"then {float(steps[-1][0]):.3f}" if until else f"{float(steps[-1][0]):.3f}"])


def markdown() -> str:
    """Return the page `docs/forecast.md`."""
    known = experience()
    ratios = fadings(editions())
    points = [row for year in sequels(editions()) for row in _points(year)]
    return _PAGE.format(
        damping=f"{float(known.damping):.2f}",
        ratios=", ".join(f"{year}: {float(ratio):.2f}" for year, ratio in ratios.items()),
        pace=_steps(known.pace),
        rest=_steps(known.rest),
        rest_by_pace=_steps(known.rest_by_pace),
        coverage=_coverage(),
        hours=_hours(),
        methods=_methods(),
        points="\n".join([_head("edition", "time", "sold, bn yuan", "error %", "interval %", "holds"), *points]),
    )


if __name__ == "__main__":
    sys.stdout.write(markdown())

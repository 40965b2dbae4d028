"""The back-test of the forecast between the two known curves, as the page `docs/forecast.md`.

`python -m streams.board.backtest > docs/forecast.md` writes it; a test compares.
"""

from __future__ import annotations

import sys
from decimal import Decimal

from streams.board.highlights import KNOWN_SHAPES, known_ratios
from streams.domain.forecast import Forecast, Shape, back_tested, forecast, pace_since_ms
from streams.replay.load import load_curves

_HOUR_MS = 3_600_000
_MINUTES = (5, 30)
_PAGE = """# Forecast, pace and plausibility

Written by `python -m streams.board.backtest > docs/forecast.md`; a test compares.

All of this is read from the committed view of all partitions, never from one of them. It is in `festival totals`
(`--json`: `pace`, `forecast`, `milestones`, `peak`, `implausible`), in `/api/totals` and, as gauges, in `/metrics`.

## Against the last edition

- `pace` compares the gross of the closed seconds (up to the watermark) with the last edition's at the same local time:
  `growth_ratio` is one less than their ratio. Between published points the last edition is the monotone cubic that
  `festival replay` follows. Of an edition without a curve (2018) only the total is known: it is compared with in the
  last hundredth of the day, and `passed_ms` says by which second all of it was passed.
- `milestones` and `passed_ms` are the end of the second that crossed the amount, in the home currency: as published
  times are. `peak` is the busiest second and the busiest minute, the first of equals. Late events correct all of them.
- With `--at` all of it is told as of that second.
- `/api/series?measure=home_gross` (also `home_net`, `home_paid`) is the whole curve in the home currency, per second,
  minute or hour; the steps add up to the total that is shown.

## The forecast of the final total

What was sold is taken as it is. The rest of the day is expected to sell as the last edition's rest did, scaled by the
pace of the last 6 hours (a quarter of the festival): the opening rush differs from edition to edition far more than the
rest of the day. It needs `[previous].curve` in the festival's file. Where only a total is known (2018) there is none,
and `basis` says so: the one older shape, that of 2013, overshot 2019 by more than 100 % in the first five hours, and
its error on 2019 could only be told from 2019 itself. There is none in the first five minutes either, and none where a
currency's rate is missing.

**The interval** multiplies and divides the expected rest by the factor by which the curves of 2013 and 2019 missed each
other's rest at this time of day or any later one, the larger of both ways. Two curves support no more than that: it is
the range of the errors seen, not a probability, and it holds both days because it was made from them. After 16:31,
where 2019 has no published point before the final one, the factor stays what it was there; the errors below are then
differences between drawn curves, not measurements.

Back-tested each way. Error: expected final total against the real one. Before 6 hours the whole day so far is the pace.

| time | 2019 from 2013's curve: error | interval | 2013 from 2019's curve: error | interval | factor of the rest |
|---|---|---|---|---|---|
{rows}

Seen by none of this: 2014's published points, forecast from 2013's curve (final: USD 9.34 bn).

| time | sold | expected | interval |
|---|---|---|---|
{unseen}

## Plausibility

`plausible` in a festival's file bounds the average order value and the growth on the last edition. Outside of them
`implausible` says true for the check, and `festival_implausible` is 1. The misprint of 2019 (26.4 bn for 1.3 bn orders:
20.31 yuan each, 88 % less than 2018) is flagged by both, the real day by none.

- Growth above the bound is flagged at any time.
- Growth below it is flagged at the end of the day (once the watermark has passed it), and before only where the last
  edition's curve is known: if not even the upper end of the forecast reaches the bound. That is the comparison at the
  same local time, with room for a day of another shape.
- A gross that lacks a currency's rate is never called too small, and nothing is flagged before the first order.

A replay at 1:10,000 is a day that fell by 99.99 %, and is flagged so where that can be told. To rehearse milestones,
forecast and growth with it, give a file with amounts divided by 10,000 (`--festivals DIR`).
"""


def _shapes() -> dict[str, Shape]:
    return {name: Shape(tuple((p.second, p.amount_minor) for p in c.points)) for name, c in load_curves().items()}


def _forecast(known: Shape, day: Shape, elapsed_ms: int) -> Forecast:
    sold = round(day.amount_at(elapsed_ms))
    since = round(day.amount_at(pace_since_ms(day, elapsed_ms)))
    found = forecast(known, known_ratios(), elapsed_ms, sold, sold - since)
    assert found is not None, "within the first step nothing is asked"
    return found


def _percent(amount_minor: int, total_minor: int) -> str:
    return f"{Decimal(amount_minor) * 100 / Decimal(total_minor) - 100:+.1f} %"


def _way(known: Shape, day: Shape, elapsed_ms: int) -> str:
    found = _forecast(known, day, elapsed_ms)
    low, expected, high = (
        _percent(minor, day.total_minor) for minor in (found.low_minor, found.expected_minor, found.high_minor)
    )
    return f"{expected} | {low} to {high}"


def _factor(first: Shape, second: Shape, elapsed_ms: int) -> str:
    ways = [back_tested(known, day, elapsed_ms) for known, day in ((first, second), (second, first))]
    return f"{float(max(max(expected / came, came / expected) for expected, came in ways)):.2f}"


def markdown() -> str:
    """Return the page `docs/forecast.md`."""
    shapes = _shapes()
    older, newer = (shapes[name] for name in KNOWN_SHAPES)
    times_ms = [minutes * 60_000 for minutes in _MINUTES] + [hour * _HOUR_MS for hour in range(1, 24)]
    rows = [
        f"| {ms // _HOUR_MS}:{ms // 60_000 % 60:02} | {_way(older, newer, ms)} | {_way(newer, older, ms)} | "
        f"{_factor(older, newer, ms)} |"
        for ms in times_ms
    ]
    unseen = []
    for second, sold_bn in ((1_020, 1), (3_700, 2)):
        sold_minor = sold_bn * 10**11
        found = forecast(older, known_ratios(), second * 1_000, sold_minor, sold_minor)
        assert found is not None
        low, expected, high = (
            f"{Decimal(minor) / 10**11:.1f}" for minor in (found.low_minor, found.expected_minor, found.high_minor)
        )
        clock = f"{second // 3600}:{second // 60 % 60:02}:{second % 60:02}"
        unseen.append(f"| {clock} | USD {sold_bn} bn | USD {expected} bn | {low} to {high} |")
    return _PAGE.format(rows="\n".join(rows), unseen="\n".join(unseen))


if __name__ == "__main__":
    sys.stdout.write(markdown())

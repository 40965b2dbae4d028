"""Half a minor unit of the home currency goes to the even neighbour, in one amount and in a running total alike."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

from streams.board.answers.home_amounts import home_amount, home_running
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]


def test_halves_go_to_the_even_neighbour() -> None:
    rates = tuple(
        dataclasses.replace(rate, rate=Decimal("0.5")) if rate.currency == "USD" else rate for rate in DAY.rates
    )
    halved = dataclasses.replace(DAY, rates=rates)
    totals = [1, 2, 3, 4, 5, 7]
    assert home_running(halved, {"USD": totals}, len(totals)) == [0, 1, 2, 2, 2, 4]
    assert [home_amount(halved, {"USD": total}).amount_minor for total in totals] == [0, 1, 2, 2, 2, 4]

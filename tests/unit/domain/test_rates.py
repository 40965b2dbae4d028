"""Which of several rates of a currency a festival is told in."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from streams.festivals import load_festivals

if TYPE_CHECKING:
    from streams.domain.festivals import Rate

DAY = load_festivals()["singles-day-2019"]
STARTED = dt.date(2019, 11, 11)


def rate_on(*dates: dt.date) -> Decimal | None:
    """Return the rate of the US dollar where there is one of each date: as many units as the day of the month."""
    template = DAY.rates[0]
    rates: tuple[Rate, ...] = tuple(
        dataclasses.replace(template, currency="USD", date=date, rate=Decimal(date.day)) for date in dates
    )
    return dataclasses.replace(DAY, rates=rates).rate_of("USD")


def test_the_latest_rate_not_after_the_start_is_taken_in_whatever_order_they_stand() -> None:
    before, same, after = dt.date(2019, 11, 8), STARTED, dt.date(2019, 11, 12)
    assert rate_on(before, same, after) == 11
    assert rate_on(after, same, before) == 11
    assert rate_on(after, before) == 8
    assert rate_on(after) is None
    assert rate_on() is None


def test_the_home_currency_is_worth_itself() -> None:
    assert DAY.rate_of(DAY.home_currency) == 1

"""Numbers, money and times in the language of a report. Whatever is rounded is rounded down.

Babel has the rules and names of the languages (Unicode CLDR); which form is used where is decided here.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.numbers import (
    format_compact_decimal,
    format_decimal,
    format_percent,
    get_currency_symbol,
)

from streams.domain.currencies import EXPONENTS

if TYPE_CHECKING:
    from streams.domain.festivals import Festival

LOCALES = {"en": "en_GB", "de": "de", "zh": "zh_Hans_CN"}
"""By the language of a report: whose rules Babel goes by."""
SIGNIFICANT = 4
_SAID_FROM = {"en": 10**6, "de": 10**6, "zh": 10**4}
"""From here on a number needs a word for its size."""
_DIGITS = 60
"""More than any sum has."""
_DAY_MS = 86_400_000
_SECOND_MS = 1_000
_UNKNOWN = "–"
_TOGETHER = "\u00a0"
_DAYS = {"en": "d MMM", "de": "d. MMM", "zh": "M月d日"}
"""A day without its year, as CLDR's patterns."""


class Tongue:
    """Writes for one festival in one language."""

    def __init__(self, language: str, festival: Festival) -> None:
        """Write `festival` in a language of `LOCALES`."""
        self.language = language
        self.locale = Locale.parse(LOCALES[language])
        self._festival = festival
        self._zone = ZoneInfo(festival.timezone)
        self._is_long = festival.end_ms - festival.start_ms > _DAY_MS

    def whole(self, number: int | None) -> str:
        """Return a count, all of its digits."""
        return _UNKNOWN if number is None else str(format_decimal(number, "#,##0", locale=self.locale))

    def short(self, number: int | Decimal | None, *, is_spoken: bool = False) -> str:
        """Return a number in four digits: 916,100, 268.4bn, 268,4 Mrd., 2684亿; spoken, its size as a whole word."""
        if number is None:
            return _UNKNOWN
        rounded = _floor(Decimal(number))
        if abs(rounded) < _SAID_FROM[self.language]:
            return str(format_decimal(rounded, "#,##0.##", locale=self.locale))
        told = format_compact_decimal(
            rounded, format_type="long" if is_spoken else "short", locale=self.locale, fraction_digits=3
        )
        return str(told).replace(" ", _TOGETHER)

    def money(self, minor: int | None, currency: str, *, is_spoken: bool = False) -> str:
        """Return an amount in four digits with its sign; spoken as in `short`."""
        if minor is None:
            return _UNKNOWN
        return self._signed(self.short(_major(minor, currency), is_spoken=is_spoken), currency)

    def exact(self, minor: int | None, currency: str) -> str:
        """Return an amount to its minor unit, with the code of its currency."""
        if minor is None:
            return _UNKNOWN
        digits = EXPONENTS.get(currency, 0)
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        with localcontext() as context:
            context.prec = _DIGITS
            number = format_decimal(_major(minor, currency), pattern, locale=self.locale)
        return f"{currency}{_TOGETHER}{number}" if self.language == "en" else f"{number}{_TOGETHER}{currency}"

    def percent(self, ratio: Decimal | float | None, *, is_signed: bool = False) -> str:
        """Return a ratio as per cent with one digit; signed, a growth."""
        if ratio is None:
            return _UNKNOWN
        space = _TOGETHER if self.language == "de" else ""
        pattern = f"+#,##0.0{space}%;-#,##0.0{space}%" if is_signed else f"#,##0.0{space}%"
        return str(format_percent(Decimal(str(ratio)), pattern, locale=self.locale))

    def decimal(self, number: Decimal | str) -> str:
        """Return a decimal, all of its digits."""
        return str(format_decimal(Decimal(number), "#,##0.##########", locale=self.locale))

    def clock(self, time_ms: int | None) -> str:
        """Return a time of the festival; its end at midnight is 24:00:00, and a long festival needs the day."""
        if time_ms is None:
            return _UNKNOWN
        moment = self._moment(time_ms)
        told = f"{moment:%H:%M:%S}"
        if time_ms == self._festival.end_ms and told == "00:00:00":
            moment, told = self._moment(time_ms - _SECOND_MS), "24:00:00"
        return f"{self._day(moment)}{_TOGETHER}{told}" if self._is_long else told

    def hour(self, time_ms: int) -> str:
        """Return a time of the festival to the minute; of a long festival at midnight the day."""
        moment = self._moment(time_ms)
        told = f"{moment:%H:%M}"
        if self._is_long and told == "00:00":
            return self._day(moment)
        return "24:00" if time_ms == self._festival.end_ms and told == "00:00" else told

    def interval(self) -> str:
        """Return from when to when the festival goes."""
        start, last = self._moment(self._festival.start_ms), self._moment(self._festival.end_ms - _SECOND_MS)
        first_day = format_date(start.date(), "long", locale=self.locale)
        ends = f"{self._moment(self._festival.end_ms):%H:%M}"
        ends = "24:00" if ends == "00:00" else ends
        if start.date() == last.date():
            return f"{first_day}, {start:%H:%M}–{ends}"
        last_day = format_date(last.date(), "long", locale=self.locale)
        return f"{first_day}, {start:%H:%M} – {last_day}, {ends}"

    def moment(self, time_ms: int | None) -> str:
        """Return an instant with its date, in UTC: what happened to the machines."""
        if time_ms is None:
            return _UNKNOWN
        moment = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
        day = format_date(moment.date(), "medium", locale=self.locale)
        return f"{day}{_TOGETHER}{moment:%H:%M:%S}{_TOGETHER}UTC"

    def elapsed(self, elapsed_ms: int) -> str:
        """Return a duration as a stopwatch does: 1:36, 1:03:59."""
        minutes, seconds = divmod(elapsed_ms // _SECOND_MS, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

    def country(self, code: str) -> str | None:
        """Return the name of a country or region, None where it is no code of one."""
        return self.locale.territories.get(code) if len(code) == 2 and code.isupper() else None  # noqa: PLR2004 - ISO 3166

    def _signed(self, number: str, currency: str) -> str:
        sign = get_currency_symbol(currency, locale=self.locale)
        if self.language == "de":
            return f"{number}{_TOGETHER}{sign}"
        return f"{sign}{_TOGETHER if sign[-1].isalpha() else ''}{number}"

    def _moment(self, time_ms: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(time_ms / 1000, self._zone)

    def _day(self, moment: dt.datetime) -> str:
        return str(format_date(moment.date(), _DAYS[self.language], locale=self.locale))


def _major(minor: int, currency: str) -> Decimal:
    return Decimal(f"{minor}e-{EXPONENTS.get(currency, 0)}")  # exact, whatever the precision of the context


def _floor(number: Decimal) -> Decimal:
    """Return a number of four significant digits, down."""
    if not number:
        return Decimal(0)
    return number.quantize(Decimal(1).scaleb(number.adjusted() - SIGNIFICANT + 1), rounding=ROUND_FLOOR)

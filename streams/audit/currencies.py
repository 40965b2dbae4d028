"""ISO 4217 as the audit knows it, typed in from the standard: codes, digits of their minor units, last good years.

Not taken from the list the counter asks: a test compares the two.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

_BY_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
        "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
        "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
        "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
        "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG "
        "YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

_WITHDRAWN: Final = {
    0: """
        2002 BYB · 2003 BEF ESP GRD ITL LUF PTE TPE · 2004 ADP · 2005 MGF · 2006 ROL TRL · 2018 BYR""",
    2: """
        1998 GWP · 2003 ATS DEM FIM FRF IEP NLG · 2004 AFA BGL SRG YUM · 2005 RUR · 2006 AYM AZM · 2007 CSD MZM ZWN ·
        2008 SDD SIT · 2009 CYP GHC MTL VEB ZWD · 2010 SKK TMM ZWR · 2012 EEK · 2013 ZMK · 2015 LTL LVL USS ·
        2018 MRO STD · 2019 VEF · 2022 CUC · 2024 HRK SLL · 2025 ZWL · 2026 ANG · 2027 BGN""",
}
"""Withdrawn codes behind the last year (UTC) they are good in, the one after the year of their withdrawal."""

_DIGITS_OF_WITHDRAWN: Final = {
    code: digits for digits, text in _WITHDRAWN.items() for code in text.split() if code.isalpha()
}
CURRENCIES: Final[dict[str, int]] = _DIGITS_OF_WITHDRAWN | {
    code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()
}
"""Digits after the point per currency code."""
LAST_YEARS: Final[dict[str, int]] = {
    code: int(years.split()[0])
    for text in _WITHDRAWN.values()
    for years in text.split("·")
    for code in years.split()[1:]
}
"""The last year in which a withdrawn currency is good."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST_MS: Final = {
    code: (dt.datetime(year, 12, 31, 23, 59, 59, 999_000, tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(milliseconds=1)
    for code, year in LAST_YEARS.items()
}


def is_over(currency: str | None, ts: int) -> bool:
    """Say whether a currency was no longer good at an event time; None: the field was not given."""
    last_ms = _LAST_MS.get(currency or "")
    return last_ms is not None and ts > last_ms

"""ISO 4217 as this package counts by it: a list of its own, so that no update of a library takes a currency away.

Active codes and their minor units are those of list one of the standard, withdrawn codes and their months those of list
three, both as SIX, the maintenance agency of the standard, published them on 2026-01-01. List three gives no minor
units. Those of withdrawn codes are from OpenJDK's table of ISO 4217 (`CurrencyData.properties`, data version 177), from
which no code is ever removed; list one of 2014 says the same of every code that was withdrawn since.

- A code that list three has several times (HRK, VEF, RUR, FRF) was withdrawn for good in the last month it gives there.
- A code of list three that list one still has (EUR, IDR, MWK, PEN, RON, SDG, SZL, TRY: one country left it, or it only
  got another name) is active.
- Codes without a minor unit (XAU, XXX, XFO) cannot hold an amount and are left out. So are the withdrawn codes whose
  minor unit OpenJDK does not have, nearly all of them from before 2000: an amount in minor units would be a guess.
"""

from __future__ import annotations

ACTIVE = {
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
"""Codes by the digits of their minor unit."""

WITHDRAWN = {
    0: (
        "ADP:2003-07 BEF:2002-03 BYB:2001-01 BYR:2017-01 ESP:2002-03 GRD:2002-03 ITL:2002-03 LUF:2002-03 MGF:2004-12 "
        "PTE:2002-03 ROL:2005-06 TPE:2002-11 TRL:2005-12"
    ),
    2: (
        "AFA:2003-01 ANG:2025-03 ATS:2002-03 AYM:2005-10 AZM:2005-12 BGL:2003-11 BGN:2026-01 CSD:2006-10 CUC:2021-06 "
        "CYP:2008-01 DEM:2002-03 EEK:2011-01 FIM:2002-03 FRF:2002-03 GHC:2008-01 GWP:1997-05 HRK:2023-01 IEP:2002-03 "
        "LTL:2014-12 LVL:2014-01 MRO:2017-12 MTL:2008-01 MZM:2006-06 NLG:2002-03 RUR:2004-01 SDD:2007-07 SIT:2007-01 "
        "SKK:2009-01 SLL:2023-12 SRG:2003-12 STD:2017-12 TMM:2009-01 USS:2014-03 VEB:2008-01 VEF:2018-08 YUM:2003-07 "
        "ZMK:2012-12 ZWD:2008-08 ZWL:2024-09 ZWN:2006-09 ZWR:2009-06"
    ),
}
"""Codes with the month of their withdrawal, by the digits of their minor unit."""

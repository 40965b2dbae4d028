"""The numbers that admission and every verdict on a record hang on, in one place.

All of them stand in the ledger's fingerprint: `streams.domain.declarations` takes whatever is declared here, so that a
number that is added is in it by itself. A number that decides no verdict does not belong here.
"""

from __future__ import annotations

RULES = 2
"""Raised where admission changes by something that no number says."""

VALUE_LIMIT_BYTES = 64 * 1024
"""Longest value of a record (contract 1)."""
DEPTH_LIMIT = 128
"""Levels of nesting. Far below the interpreter's recursion limit, so that no decoder's verdict depends on its stack."""
TEXT_LIMIT = 64
"""Code points of an identifier (contract 1)."""
TIME_LIMIT_MS = 253_402_300_800_000
"""First millisecond of the year 10000: later times are typing errors and would not print."""
MONEY_LIMIT_MINOR = 10**13
"""Largest amount of one event, in minor units (contract 1); boxes and points are bounded like it."""
FUTURE_LIMIT_MS = 300_000
"""How far an event's time may be ahead of its record's time (contract 1)."""
WITHDRAWN_YEARS = 1
"""Calendar years (UTC) after the one of its withdrawal in which a currency is still good (contract 1)."""
WATERMARK_LAG_MS = 5_000
"""An event this much older than the newest one before it is late (contract 3)."""
DEDUP_BUCKET_MS = 60_000
"""The horizon of duplicates is measured in whole buckets of record time (contract 1)."""

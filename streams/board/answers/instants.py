"""Instants as people write them: `--at` and `?at=`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from streams.domain.local_times import instant_ms
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.domain.festivals import Festival


def parse_instant(text: str, festival: Festival) -> int:
    """Return milliseconds since the epoch of an ISO 8601 date-time, or of a time on the festival's first day.

    Without an offset it is local to the festival. Raises `UsageError`, also for a local time that the clock skips or
    shows twice.
    """
    zone = ZoneInfo(festival.timezone)
    text = text.strip()
    try:
        try:
            first_day = dt.datetime.fromtimestamp(festival.start_ms / 1000, zone).date()
            moment = dt.datetime.combine(first_day, dt.time.fromisoformat(text))
        except ValueError:
            moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"at: {text!r} is no time; write it like 2019-11-11T00:01:36 (local to {festival.timezone}), "
            "2019-11-10T16:01:36Z or 00:01:36 (in a URL, + is written %2B)"
        ) from error
    try:
        return instant_ms(moment, zone)
    except ValueError as error:
        raise UsageError(f"at: {error} (in a URL, + is written %2B)") from error

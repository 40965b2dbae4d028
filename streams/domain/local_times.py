"""Local times as instants: a clock that is changed skips some of them, and shows others twice.

Asked by whoever reads a time that somebody wrote: the start of a festival, `--at` and `?at=`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


def instant_ms(moment: dt.datetime, zone: ZoneInfo) -> int:
    """Return milliseconds since the epoch of a date-time with an offset, or of a local one of the zone.

    Raises `ValueError`, with what to write instead, for a local time that the clock skips or shows twice.
    """
    if moment.tzinfo is None:
        moment = _unambiguous(moment, zone)
    return (moment - _EPOCH) // _MILLISECOND


def local_instant_ms(moment: dt.datetime, zone: ZoneInfo) -> int:
    """Return the same, but refuse an offset that the zone does not have at that time: a local time was asked for."""
    instant = instant_ms(moment, zone)
    if moment.tzinfo is not None:
        local = (_EPOCH + instant * _MILLISECOND).astimezone(zone)
        if moment.utcoffset() != local.utcoffset():
            raise ValueError(f"{moment.isoformat()} has not the offset of {zone.key}: write {local.isoformat()}")
    return instant


def _unambiguous(moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    # No clock shows either reading of a time that is skipped.
    if first.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None, fold=0) != moment.replace(fold=0):
        before, after = (reading.astimezone(dt.UTC).astimezone(zone) for reading in (second, first))
        raise ValueError(
            f"the clock of {zone.key} skips {moment.isoformat()}: write {before.isoformat()} or {after.isoformat()}"
        )
    raise ValueError(
        f"the clock of {zone.key} shows {moment.isoformat()} twice: write {first.isoformat()} for the first time, "
        f"{second.isoformat()} for the second"
    )

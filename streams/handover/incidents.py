"""What went wrong while a festival was counted, out of what a Prometheus server has recorded: values in, values out.

An alert is told from its first to its last evaluation that fired. A gap is a time of more than `GAP_MS` in which no
worker made a checkpoint. Where a worker said meanwhile that nothing was waiting, it had nothing to commit: no incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.domain.festivals import Festival

GAP_MS = 10_000
MARGIN_MS = 3_600_000
"""Before midnight workers are started, after the end the rest is caught up with: both belong to the night."""
REPLAY_MARGIN_MS = 60_000
LOOKBACK_MS = 300_000
"""How long Prometheus takes a sample for the present: an alert that is not evaluated for so long is over."""

Samples = Sequence[tuple[int, float]]
"""Time in milliseconds, value; ascending."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One series of Prometheus."""

    labels: dict[str, str]
    samples: Samples


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that fired."""

    name: str
    severity: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a checkpoint, while records waited or nobody could say."""

    from_ms: int
    to_ms: int
    waiting_records: int | None
    """The most that waited; None where no worker was there to say."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """The incidents of a stretch of time."""

    from_ms: int
    to_ms: int
    alerts: list[Alert] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    has_checkpoints: bool = True
    """Whether Prometheus has recorded any checkpoint then: without one, nothing is known of gaps."""


def alerts_of(series: Iterable[Recorded]) -> list[Alert]:
    """Return the alerts in series of `ALERTS`, one for each time that one of a name fired, in order of time."""
    times: dict[tuple[str, str], set[int]] = {}
    for one in series:
        kind = one.labels.get("alertname", ""), one.labels.get("severity", "")
        times.setdefault(kind, set()).update(time_ms for time_ms, _ in one.samples)
    found = []
    for (name, severity), fired in times.items():
        ordered = sorted(fired)
        begun = ordered[0]
        for before, after in pairwise([*ordered, ordered[-1] + 2 * LOOKBACK_MS]):
            if after - before > LOOKBACK_MS:
                found.append(Alert(name, severity, begun, before))
                begun = after
    return sorted(found, key=lambda alert: (alert.from_ms, alert.name))


def gaps_of(checkpoints: Iterable[Recorded], lags: Iterable[Recorded], from_ms: int, to_ms: int) -> list[Gap]:
    """Return the gaps between checkpoints out of the counters of all workers.

    A checkpoint was made between two samples of a counter that differ, a restart's fall included. Time is counted from
    the first checkpoint seen to the last, so a festival's quiet hours before and after are none.
    """
    moments = sorted(
        (max(before_ms, from_ms), min(after_ms, to_ms))
        for one in checkpoints
        for (before_ms, before), (after_ms, after) in pairwise(one.samples)
        if after != before and after_ms > from_ms and before_ms < to_ms
    )
    found = []
    waiting = _waiting(lags)
    reached = moments[0][1] if moments else to_ms
    for begun, ended in moments:
        # Somewhere in [begun, ended] one was made: between that and the one before lies at most this.
        if begun - reached > GAP_MS:
            most = max((records for time_ms, records in waiting if reached <= time_ms <= begun), default=None)
            if most is None or most > 0:
                found.append(Gap(reached, begun, most))
        reached = max(reached, ended)
    return found


def _waiting(lags: Iterable[Recorded]) -> list[tuple[int, int]]:
    """Return how many records waited in all, by the time of a scrape; workers are scraped at times of their own."""
    found: dict[int, int] = {}
    for one in lags:
        for time_ms, records in one.samples:
            found[time_ms] = found.get(time_ms, 0) + int(records)
    return sorted(found.items())


def period_of(
    festival: Festival, first_record_ms: int | None, committed_ms: int | None, now_ms: int
) -> tuple[int, int]:
    """Return from when to when a festival was counted: its own day, where records arrived in it.

    A replay's records arrive at another time than they tell of: its period is from the first record to the newest.
    """
    if first_record_ms is None or committed_ms is None:
        return festival.start_ms - MARGIN_MS, min(festival.end_ms + MARGIN_MS, now_ms)
    if first_record_ms < festival.end_ms:
        return festival.start_ms - MARGIN_MS, max(festival.start_ms, min(festival.end_ms + MARGIN_MS, now_ms))
    return first_record_ms - REPLAY_MARGIN_MS, min(committed_ms + REPLAY_MARGIN_MS, now_ms)

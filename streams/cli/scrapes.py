"""What `festival top` tells of the workers that it was given: read from their `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 3.0
"""For an answer: a worker that needs longer is told as one that does not answer."""
_DELAY = "streams_event_delay_seconds_bucket"
_CHECKPOINTS = "streams_checkpoints_total"
_FAILURES = "streams_checkpoint_failures_total"
_HELD, _WAITING = "streams_partition_held", "streams_partition_waiting"
Sample = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Sample, float]


class Standstill(msgspec.Struct, frozen=True):
    """A partition that stands still, and why."""

    partition: int
    reason: str


class Delay(msgspec.Struct, frozen=True):
    """From a record on Kafka to its commit, since the document before; at first since the worker's start."""

    p50: float | None
    p99: float | None


class Scrape(msgspec.Struct, frozen=True):
    """What a worker says of itself; all but its address null where it does not answer."""

    url: str
    answers: bool
    detail: str | None = None
    """Why it does not."""
    delay_seconds: Delay | None = None
    checkpoints: int | None = None
    checkpoints_per_second: float | None = None
    """Since the document before; null in the first."""
    checkpoint_failures: int | None = None
    held: list[Standstill] | None = None
    waiting: list[Standstill] | None = None


def checked_url(url: str) -> str:
    """Return a worker's address without a slash at its end; raises `UsageError` where it is none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--worker: {url!r} is no address such as http://127.0.0.1:6066")
    return url.rstrip("/")


class Scraper:
    """Asks one worker, again and again."""

    def __init__(self, url: str) -> None:
        """Begin with nothing known."""
        self.url = url
        self._before: Samples = {}
        self._before_ms = 0

    async def look(self, session: aiohttp.ClientSession, now_ms: int) -> Scrape:
        """Return what the worker says now. Never raises but when cancelled."""
        try:
            async with session.get(f"{self.url}/metrics", timeout=aiohttp.ClientTimeout(total=SECONDS)) as response:
                response.raise_for_status()
                text = await response.text()
            samples = samples_of(text)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._before = {}
            return Scrape(self.url, answers=False, detail=str(error) or type(error).__name__)
        found = self.told(samples, now_ms)
        self._before, self._before_ms = samples, now_ms
        return found

    def told(self, samples: Samples, now_ms: int) -> Scrape:
        """Return what samples say, against those before."""
        before = self._before
        checkpoints = _sum(samples, _CHECKPOINTS)
        per_second = None
        if before and now_ms > self._before_ms:
            more = checkpoints - _sum(before, _CHECKPOINTS)
            per_second = round(max(more, 0) * 1000 / (now_ms - self._before_ms), 3)
        buckets = _increases(samples, before)
        return Scrape(
            self.url,
            answers=True,
            delay_seconds=Delay(quantile(buckets, 0.5), quantile(buckets, 0.99)),
            checkpoints=int(checkpoints),
            checkpoints_per_second=per_second,
            checkpoint_failures=int(_sum(samples, _FAILURES)),
            held=_standing(samples, _HELD),
            waiting=_standing(samples, _WAITING),
        )


def samples_of(text: str) -> Samples:
    """Return the samples of a page of metrics; raises `ValueError` for one that is none."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """Return a quantile of (upper bound, cumulative count), as Prometheus' `histogram_quantile` estimates it.

    None of nothing. Within the last bucket, which has no bound, it is the bound before.
    """
    whole = buckets[-1][1] if buckets else 0
    if whole <= 0:
        return None
    below_bound = below = 0.0
    for bound, count in buckets:
        if count >= share * whole:
            if bound == float("inf") or count == below:
                return round(below_bound, 6)
            return round(below_bound + (bound - below_bound) * (share * whole - below) / (count - below), 6)
        below_bound, below = bound, count
    return None


def _increases(samples: Samples, before: Mapping[Sample, float]) -> list[tuple[float, float]]:
    """Return the delay's buckets less those before; all of them where the worker has begun anew."""
    now = {dict(labels)["le"]: count for (name, labels), count in samples.items() if name == _DELAY}
    was = {dict(labels)["le"]: count for (name, labels), count in before.items() if name == _DELAY}
    if any(was.get(bound, 0.0) > count for bound, count in now.items()):
        was = {}
    return sorted((float(bound), count - was.get(bound, 0.0)) for bound, count in now.items())


def _sum(samples: Mapping[Sample, float], name: str) -> float:
    return sum(value for (found, _), value in samples.items() if found == name)


def _standing(samples: Samples, name: str) -> list[Standstill]:
    found = [dict(labels) for (own, labels), value in samples.items() if own == name and value]
    return sorted(
        (Standstill(int(labels["partition"]), labels["reason"]) for labels in found), key=lambda one: one.partition
    )

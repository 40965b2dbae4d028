"""Asks a Prometheus server for what it has recorded: raw samples, by its HTTP API (`/api/v1/query`)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import msgspec

from streams.errors import UnreachableError, UsageError
from streams.handover.incidents import Incidents, Recorded, alerts_of, gaps_of

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_SECONDS = 60.0
"""For an answer: a day of all workers' samples may take some seconds."""
STRETCH_MS = 6 * 3_600_000
"""How much is asked for at once."""
ALERTS = 'ALERTS{alertstate="firing"}'
CHECKPOINTS = "streams_checkpoints_total"
LAGS = "streams_lag_records"


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result: list[_Series] = []


class _Answer(msgspec.Struct):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


_decode = msgspec.json.Decoder(_Answer).decode


def checked_url(url: str) -> str:
    """Return the server's address without a slash at its end; raises `UsageError` where it is none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--prometheus: {url!r} is no address such as http://localhost:9090")
    return url.rstrip("/")


async def read_incidents(url: str, from_ms: int, to_ms: int) -> Incidents:
    """Return the incidents of [from_ms, to_ms]; raises `UnreachableError` where the server does not tell them."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        answers = [await _recorded(session, url, selector, from_ms, to_ms) for selector in (ALERTS, CHECKPOINTS, LAGS)]
    alerts, checkpoints, lags = answers
    return Incidents(
        from_ms,
        to_ms,
        alerts_of(alerts),
        gaps_of(checkpoints, lags, from_ms, to_ms),
        has_checkpoints=any(one.samples for one in checkpoints),
    )


async def _recorded(
    session: aiohttp.ClientSession, url: str, selector: str, from_ms: int, to_ms: int
) -> Sequence[Recorded]:
    """Return the raw samples of a selector."""
    found: dict[frozenset[tuple[str, str]], list[tuple[int, float]]] = {}
    for begun in range(from_ms, to_ms, STRETCH_MS):
        ended = min(begun + STRETCH_MS, to_ms)
        query = {"query": f"{selector}[{ended - begun}ms]", "time": f"{ended / 1000:.3f}"}
        for series in (await _ask(session, url, query)).data.result:
            samples = found.setdefault(frozenset(series.metric.items()), [])
            last_ms = samples[-1][0] if samples else -1
            told = ((round(second * 1000), _number(value)) for second, value in series.values)
            samples += [sample for sample in told if sample[0] > last_ms]
    return [Recorded(dict(labels), samples) for labels, samples in found.items()]


def _number(text: str) -> float:
    return float(text)


async def _ask(session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> _Answer:
    try:
        async with session.post(f"{url}/api/v1/query", data=query) as response:
            body = await response.read()
            status = response.status
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnreachableError(f"--prometheus: {url} does not answer: {error or type(error).__name__}") from error
    try:
        answer = _decode(body)
    except msgspec.MsgspecError as error:
        raise UnreachableError(
            f"--prometheus: {url} answers {status}, and not as a Prometheus does: {error}"
        ) from error
    if answer.status != "success":
        raise UnreachableError(f"--prometheus: {url} refuses: {answer.error or status}")
    return answer

"""A rehearsal: the first seconds of a festival, now and in real time, on topics beside the real ones, and a report.

Its topics begin with "rehearsal." and the time; `streams.night.leftovers` finds those of one that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from streams.board.answers.highlights import peak
from streams.board.view.live_board import LiveBoard
from streams.domain.festivals import Rate
from streams.engine.clock import SystemClock
from streams.errors import FestivalError
from streams.festivals import load_festivals
from streams.festivals.curves import load_curves
from streams.festivals.declared import load_declared
from streams.festivals.selection import coming_festival, named_festival
from streams.kafka.cluster.permissions import inspect_cluster
from streams.kafka.cluster.topics import DEFAULT_PARTITIONS, TopicsError, check_topics, create_topics, open_admin
from streams.kafka.ledger.follower import LedgerFollower
from streams.night import report, witnesses
from streams.night.course import LOOK_SECONDS, SHARES, Night
from streams.night.workers import Workers
from streams.replay.load import festival_load
from streams.replay.scale import scaled, to_toml

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from streams.audit.result import AuditResult
    from streams.domain.festivals import Festival
    from streams.replay.load import Load
    from streams.replay.processes import Replayed
    from streams.settings import Settings

READY_SECONDS = 180
BEGIN_LOOK_SECONDS = LOOK_SECONDS / 5
"""How late a rehearsal may begin for having looked too seldom."""
SECOND_MS = 1_000


class NotAllowedError(FestivalError):
    """The rehearsal's workers may not do what they need: they would wait for it to be allowed."""

    exit_status = 3


class Bar(Protocol):
    """What the sending reports to."""

    def advance(self, done: int) -> None:
        """Report `done` more orders."""


class Viewer(Protocol):
    """Who watches a rehearsal: the command, which prints."""

    def say(self, line: str) -> None:
        """Tell what is done now."""

    def sending(self, orders: int) -> AbstractContextManager[Bar]:
        """Give the progress of so many orders."""


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed, and how."""

    settings: Settings
    """With the prefix of the real topics."""
    original: Festival
    festival: Festival
    """As it is rehearsed: from now on."""
    load: Load
    seconds: float
    workers: int
    processes: int
    looker: witnesses.Prometheus | None
    is_kept: bool

    @property
    def prefix(self) -> str:
        """Return what the topics of the rehearsal begin with."""
        start = dt.datetime.fromtimestamp(self.festival.start_ms / 1000, dt.UTC)
        return f"{self.settings.prefix}rehearsal.{start:%Y%m%dT%H%M%S}."


@dataclasses.dataclass
class _Seen:
    """What was seen while it ran."""

    lag_max_records: int = 0
    late_start_ms: int = 0
    caught_up_after_ms: int = 0
    delays: witnesses.Delays = witnesses.NO_DELAYS
    alerts: list[witnesses.Alert] | None = None
    is_scraped: bool | None = None


async def planned(
    settings: Settings,
    festival_id: str | None,
    *,
    orders: int,
    seconds: float,
    partitions: int | None,
    workers: int,
    processes: int,
    lead_seconds: int,
    prometheus: str | None,
    is_kept: bool,
) -> Rehearsal:
    """Return the rehearsal of a festival, of the coming one by default, that begins in `lead_seconds`.

    Raises `UsageError` for what cannot be rehearsed, `UnreachableError` where Kafka or Prometheus does not answer.
    """
    looker = None if prometheus is None else witnesses.Prometheus(prometheus)
    if looker is not None:
        await asyncio.to_thread(looker.query, "1")
    original = _chosen(settings, festival_id)
    partitions = partitions or await _partitions(settings)
    start_ms = (SystemClock().now_ms() // SECOND_MS + lead_seconds) * SECOND_MS
    festival = rehearsed(original, start_ms, orders)
    # Its day is not over: what the broker would reject as ahead of its clock is not sent before its time.
    day = dataclasses.replace(original, start_ms=festival.start_ms, end_ms=festival.end_ms)
    load = festival_load(day, day.end_ms, orders=orders, partitions=partitions, shares=SHARES)
    return Rehearsal(settings, original, festival, load, seconds, workers, processes, looker, is_kept)


async def rehearse(rehearsal: Rehearsal, viewer: Viewer, stop: threading.Event) -> dict[str, Any] | None:
    """Rehearse, and return the report (`streams.night.report`); None when it was stopped."""
    with kept_or_not(rehearsal.settings, rehearsal.prefix, keep=rehearsal.is_kept) as own:
        folder = own / "festivals"
        folder.mkdir()
        (folder / "rehearsal.toml").write_text(to_toml(rehearsal.festival), encoding="utf-8")
        settings = dataclasses.replace(rehearsal.settings, prefix=rehearsal.prefix, festivals_dir=folder, data_dir=own)
        night = Night(
            settings,
            (rehearsal.festival, *load_festivals().values()),
            rehearsal.festival,
            rehearsal.load,
            Workers(settings, own, rehearsal.workers),
            LiveBoard(LedgerFollower(settings), load_declared(settings.declarations).rollups),
            stop,
        )
        made = await create_topics(settings, rehearsal.load.partitions)
        try:
            return await _performed(rehearsal, night, viewer)
        finally:
            if rehearsal.is_kept:
                tell_kept(settings, viewer.say)
            else:
                await _delete(settings, made.created, viewer.say)


async def _performed(rehearsal: Rehearsal, night: Night, viewer: Viewer) -> dict[str, Any] | None:
    """Count, send, wait, audit, report; None when it was stopped."""
    seen, began_ms = _Seen(), night.clock.monotonic_ms()
    async with night.opened():
        await _check_permissions(night)
        night.workers.start()
        urls = night.workers.urls
        viewer.say(f"topics begin with {night.settings.prefix}; the screen: {urls[0]}")
        viewer.say(f"for Prometheus (targets/workers.yml): {' '.join(url[7:].rstrip('/') for url in urls)}")
        await _begun(night, seen)
        if night.stop.is_set():
            return None
        with viewer.sending(rehearsal.load.plan.number_at(int(rehearsal.seconds * 1000))) as bar:
            done = await night.send(
                Fraction(1),
                processes=rehearsal.processes,
                seconds=rehearsal.seconds,
                report=bar.advance,
                look=lambda: _look(night, seen),
            )
        sent_ms = night.clock.monotonic_ms()
        if not await night.until_covered(done, lambda _: _look(night, seen)):
            return None
        seen.caught_up_after_ms = night.clock.monotonic_ms() - sent_ms
        seen.delays = witnesses.delays([witnesses.page(f"{url}metrics") for url in urls])
        if rehearsal.looker is not None:
            seconds = (night.clock.monotonic_ms() - began_ms) // 1000 + 1
            seen.alerts = await asyncio.to_thread(rehearsal.looker.fired, seconds)
            seen.is_scraped = await asyncio.to_thread(rehearsal.looker.sees, rehearsal.festival.id)
        return _report(rehearsal, night, seen, done, await night.audit(viewer.say))


async def _check_permissions(night: Night) -> None:
    """Raise `NotAllowedError` for what the workers may not do."""
    cluster = await inspect_cluster(night.settings)
    if cluster.lacks:
        lacking = "; ".join(f"{', '.join(lack.operations)} on {lack.resource} {lack.name}" for lack in cluster.lacks)
        names = night.settings.prefix.partition("rehearsal.")
        raise NotAllowedError(
            f"not allowed: {lacking}. A rehearsal's workers need what workers need (docs/operations.md) on names that "
            f"begin with {names[0]}{names[1]}: kafka-acls.sh --add ... --resource-pattern-type prefixed"
        )


async def _begun(night: Night, seen: _Seen) -> None:
    """Return when the festival begins and all partitions are counted, or when stopped."""
    clock, start_ms = night.clock, night.festival.start_ms
    await asyncio.to_thread(lambda: night.load.plan)

    async def is_so() -> bool:
        return clock.now_ms() >= start_ms and await night.is_counting()

    problem = "the workers have not taken all partitions over within"
    await night.until(is_so, problem, limit_seconds=READY_SECONDS, look_seconds=BEGIN_LOOK_SECONDS)
    seen.late_start_ms = clock.now_ms() - start_ms


def _look(night: Night, seen: _Seen) -> None:
    seen.lag_max_records = max(seen.lag_max_records, night.document()["lag_records"])


def _report(rehearsal: Rehearsal, night: Night, seen: _Seen, done: Replayed, audit: AuditResult) -> dict[str, Any]:
    records = sum(sum(partitions.values()) for partitions in done.tally["acknowledged"].values())
    told: dict[str, Any] = {
        "festival": rehearsal.original.id,
        "rehearsal": night.festival.id,
        "prefix": night.settings.prefix,
        "partitions": night.load.partitions,
        "workers": rehearsal.workers,
        "seconds": done.elapsed_ms / 1000,
        "late_start_ms": seen.late_start_ms,
        "orders_of_the_day": night.load.orders,
        "orders": done.tally["festivals"].get(night.festival.id, {}).get("orders", 0),
        "counted_orders": night.document()["orders"],
        "records": records,
        "records_per_second": records * 1000 // max(done.elapsed_ms, 1),
        "peak_orders_per_second": peak(night.board.snapshot(), night.festival).orders,
        "slip_ms": {"p99": done.slip_p99_ms, "max": done.slip_max_ms},
        "delay_seconds": {"p50": seen.delays.p50_seconds, "p99": seen.delays.p99_seconds},
        "lag_records": {"max": seen.lag_max_records},
        "caught_up_after_ms": seen.caught_up_after_ms,
        "alerts": None if seen.alerts is None else [dataclasses.asdict(alert) for alert in seen.alerts],
        "is_scraped": seen.is_scraped,
        "audit": {"exact": audit.is_exact, "records": audit.records, "cells": audit.compared_cells},
    }
    told["problems"] = report.problems(told)
    return told


@contextlib.contextmanager
def kept_or_not(settings: Settings, name: str, *, keep: bool) -> Iterator[Path]:
    """Give a directory for the festival's file and the workers' logs; it stays where the topics stay."""
    if keep:
        kept = settings.data_dir.absolute() / "rehearsals" / name
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="festival-rehearsal-") as own:
        yield Path(own)


def _chosen(settings: Settings, festival_id: str | None) -> Festival:
    festivals = load_festivals(settings.festivals_dir)
    if festival_id is not None:
        return named_festival(festivals, festival_id)
    selling = {key: festival for key, festival in festivals.items() if "orders" in festival.facts}
    coming = coming_festival(selling, SystemClock().now_ms())
    return coming or max(selling.values(), key=lambda festival: festival.start_ms)


async def _partitions(settings: Settings) -> int:
    """Return how many the real topics have; the default where they are not there."""
    try:
        return await check_topics(settings)
    except TopicsError:
        return DEFAULT_PARTITIONS


def rehearsed(festival: Festival, start_ms: int, orders: int) -> Festival:
    """Return the festival as it is rehearsed: from `start_ms` on, with the rates it will have.

    A published festival's milestones and last edition are scaled to `orders`; one to come is taken at its word.
    """
    curve = load_curves().get(festival.id)
    today = dt.datetime.fromtimestamp(start_ms / 1000, dt.UTC).date() - dt.timedelta(days=1)
    known = {rate.currency: festival.rate_of(rate.currency) for rate in festival.rates}
    return dataclasses.replace(
        festival if curve is None else scaled(festival, curve, orders),
        id=f"{festival.id[:54]}-rehearsal",
        start_ms=start_ms,
        end_ms=start_ms + festival.end_ms - festival.start_ms,
        rates=tuple(Rate(currency, today, rate) for currency, rate in known.items() if rate is not None),
        display=tuple(currency for currency in festival.display if known[currency] is not None),
    )


def tell_kept(settings: Settings, say: Callable[[str], None]) -> None:
    """Say how to ask a rehearsal that was kept, and how to delete it."""
    broker, folder = settings.bootstrap_servers, settings.festivals_dir
    place = f"--broker {broker} --prefix {settings.prefix} --festivals {folder}"
    if settings.declarations is not None:
        place += f" --declarations {settings.declarations}"
    real = settings.prefix[: settings.prefix.index("rehearsal.")]
    delete = f"festival rehearse --broker {broker}{f' --prefix {real}' if real else ''} --remove {settings.prefix}"
    for line in (f"kept: festival totals {place}", f"kept: festival audit {place}", f"delete it with: {delete}"):
        say(line)


async def _delete(settings: Settings, topics: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Delete the topics this rehearsal has made, and no others."""
    assert all(topic.startswith(settings.prefix) and "rehearsal." in settings.prefix for topic in topics)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            async with open_admin(settings) as admin:
                await admin.delete_topics(list(topics))
        except FestivalError as error:
            say(f"topics {settings.prefix}* are left there: {error}")

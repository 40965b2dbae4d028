"""`festival rehearse`: the coming night's load, now, beside the real topics, and a report of how it went."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import logging
import re
import tempfile
import threading
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from streams.audit.run import run_audit
from streams.board.choice import named_festival
from streams.board.highlights import peak
from streams.board.live import LiveBoard
from streams.board.totals import totals_document
from streams.cli import rehearsal_report, watched
from streams.cli.catching_up import LOOK_SECONDS, catch_up
from streams.cli.check import coming_festival
from streams.cli.children import Workers
from streams.cli.demo import SHARES
from streams.cli.options import broker_options, json_option, web_options
from streams.cli.progress import progress
from streams.cli.stopping import INTERRUPTED, stop_on_signals
from streams.domain.festivals import Rate, parse_festival
from streams.engine.clock import SystemClock
from streams.errors import FestivalError
from streams.festivals import load_festivals
from streams.kafka.follower import LedgerFollower
from streams.kafka.permissions import inspect_cluster
from streams.kafka.topics import DEFAULT_PARTITIONS, TopicsError, check_topics, create_topics, open_admin
from streams.replay.load import festival_load, load_curves
from streams.replay.processes import replay
from streams.replay.scale import scaled, to_toml
from streams.replay.sender import Sending
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.audit.result import AuditResult
    from streams.domain.festivals import Festival
    from streams.replay.load import Load
    from streams.replay.processes import Replayed
    from streams.settings import Settings

READY_SECONDS = 180
SECOND_MS = 1_000


class NotReadyError(FestivalError):
    """The rehearsal's workers cannot count, did not begin to, or Kafka did not take the load."""

    exit_status = 3


@dataclasses.dataclass
class _Seen:
    """What was seen while it ran."""

    lag_max_records: int = 0
    late_start_ms: int = 0
    caught_up_after_ms: int = 0


@dataclasses.dataclass(frozen=True)
class _Rehearsal:
    """What one rehearsal knows."""

    settings: Settings
    original: Festival
    festival: Festival
    load: Load
    seconds: float
    processes: int
    workers: Workers
    board: LiveBoard
    stop: threading.Event
    seen: _Seen = dataclasses.field(default_factory=_Seen)

    def document(self) -> dict[str, Any]:
        return totals_document(self.board.snapshot(), self.festival, end_offsets=self.board.end_offsets())


@click.command("rehearse")
@click.option("--festival", "festival_id", metavar="ID", help="What to rehearse; default: the coming festival.")
@click.option(
    "--orders",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    metavar="N",
    help="Expected of the whole day.",
)
@click.option(
    "--seconds", type=click.FloatRange(1, 86_400), default=120.0, show_default=True, help="From its start on."
)
@click.option("--partitions", type=click.IntRange(1, 1_000), help="Default: as many as the real topics have.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="W", help="Started here.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="That send.")
@click.option("--lead", type=click.IntRange(1, 3_600), default=20, show_default=True, help="Seconds before it begins.")
@click.option("--prometheus", metavar="URL", help="Report the alerts that fired there.")
@click.option("--keep", is_flag=True, help="Leave the rehearsal's topics there, and say how to ask them.")
@json_option
@web_options
@broker_options
def command(  # noqa: PLR0917 - click passes names
    settings: Settings,
    festival_id: str | None,
    orders: int,
    seconds: float,
    partitions: int | None,
    workers: int,
    processes: int,
    lead: int,
    prometheus: str | None,
    *,
    keep: bool,
    as_json: bool,
) -> int:
    """Send the first seconds of a festival, in real time, to topics of their own; count, audit, report.

    The festival begins now, as ID-rehearsal and at the size that --orders says, on topics, ledger and group that begin
    with "rehearsal." and the time, counted by workers started here, beside the real ones. Its first two minutes hold
    the night's peak. Exit status 1 if a total was wrong, late, or a critical alert fired. The topics are deleted
    afterwards.
    """
    quiet_clients(settings, logging.CRITICAL)  # what goes wrong is told once, by the command
    looker = None if prometheus is None else watched.Prometheus(prometheus)
    if looker is not None:
        looker.query("1")
    original = _chosen(settings, festival_id)
    partitions = partitions or _partitions(settings)
    start_ms = (SystemClock().now_ms() // SECOND_MS + lead) * SECOND_MS
    festival = rehearsed(original, start_ms, orders)
    own_prefix = f"{settings.prefix}rehearsal.{dt.datetime.fromtimestamp(start_ms / 1000, dt.UTC):%Y%m%dT%H%M%S}."
    # Its day is not over: what the broker would reject as ahead of its clock is not sent before its time.
    day = dataclasses.replace(original, start_ms=festival.start_ms, end_ms=festival.end_ms)
    load = festival_load(day, day.end_ms, orders=orders, partitions=partitions, shares=SHARES)
    with stop_on_signals() as stop, kept_or_not(settings, own_prefix, keep=keep) as own:
        folder = own / "festivals"
        folder.mkdir()
        (folder / "rehearsal.toml").write_text(to_toml(festival), encoding="utf-8")
        connected = dataclasses.replace(settings, prefix=own_prefix, festivals_dir=folder, data_dir=own)
        with Workers(connected, own, workers) as children:
            board = LiveBoard(LedgerFollower(connected))
            rehearsal = _Rehearsal(
                connected, original, festival, load, seconds, processes, children, board, stop
            )  # fmt: skip
            report = asyncio.run(_run(rehearsal, looker, keep=keep))
    if report is None:
        return INTERRUPTED
    click.echo(orjson.dumps(report).decode() if as_json else rehearsal_report.text(report))
    return 1 if report["problems"] else 0


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


def _partitions(settings: Settings) -> int:
    """Return how many the real topics have; the default where they are not there."""
    try:
        return asyncio.run(check_topics(settings))
    except TopicsError:
        return DEFAULT_PARTITIONS


def rehearsed(festival: Festival, start_ms: int, orders: int) -> Festival:
    """Return the festival as it is rehearsed: from `start_ms` on, with the rates it will have.

    A published festival's milestones and last edition are scaled to `orders`; one to come is taken at its word.
    """
    curve = load_curves().get(festival.id)
    today = dt.datetime.fromtimestamp(start_ms / 1000, dt.UTC).date() - dt.timedelta(days=1)
    known = {rate.currency: festival.rate_of(rate.currency) for rate in festival.rates}
    moved = dataclasses.replace(
        festival if curve is None else scaled(festival, curve, orders),
        id=f"{festival.id}-rehearsal",
        start_ms=start_ms,
        end_ms=start_ms + festival.end_ms - festival.start_ms,
        rates=tuple(Rate(currency, today, rate) for currency, rate in known.items() if rate is not None),
    )
    if parse_festival(to_toml(moved), "").start_ms == start_ms:
        return moved
    return dataclasses.replace(moved, timezone="UTC")  # an hour that a clock shows twice


async def _run(rehearsal: _Rehearsal, looker: watched.Prometheus | None, *, keep: bool) -> dict[str, Any] | None:
    """Create the topics, count, send, wait, audit, report; None where it was interrupted."""
    began_ms = SystemClock().monotonic_ms()
    made = await create_topics(rehearsal.settings, rehearsal.load.partitions)
    following = asyncio.create_task(rehearsal.board.run())
    try:
        await _check_permissions(rehearsal.settings)
        rehearsal.workers.start()
        urls = rehearsal.workers.urls
        click.echo(f"topics begin with {rehearsal.settings.prefix}; the screen: {urls[0]}", err=True)
        click.echo(f"for Prometheus (targets/workers.yml): {' '.join(url[7:].rstrip('/') for url in urls)}", err=True)
        await _begin(rehearsal)
        if rehearsal.stop.is_set():
            return None
        done = await _send(rehearsal)
        await _catch_up(rehearsal, done)
        if rehearsal.stop.is_set():
            return None
        if done.error is not None:
            raise NotReadyError(f"Kafka did not take all events: {done.error}")
        pages = [watched.page(f"{url}metrics") for url in urls]
        seconds = (SystemClock().monotonic_ms() - began_ms) // 1000 + 1
        alerts = None if looker is None else await asyncio.to_thread(looker.fired, seconds)
        is_seen = None if looker is None else await asyncio.to_thread(looker.sees, rehearsal.festival.id)
        click.echo("auditing: counting the topics again by another way", err=True)
        audit = await run_audit(rehearsal.settings)
        return _report(rehearsal, done, watched.delays(pages), audit, (alerts, is_seen))
    finally:
        rehearsal.stop.set()
        await asyncio.to_thread(rehearsal.workers.stop)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        if keep:
            tell_kept(rehearsal.settings)
        else:
            await _delete(rehearsal.settings, made.created)


async def _check_permissions(settings: Settings) -> None:
    """Raise `NotReadyError` for what the workers may not do: they would wait for it to be allowed."""
    cluster = await inspect_cluster(settings)
    if cluster.lacks:
        lacking = "; ".join(f"{', '.join(lack.operations)} on {lack.resource} {lack.name}" for lack in cluster.lacks)
        names = settings.prefix.partition("rehearsal.")
        raise NotReadyError(
            f"not allowed: {lacking}. A rehearsal's workers need what workers need (docs/operations.md) on names that "
            f"begin with {names[0]}{names[1]}: kafka-acls.sh --add ... --resource-pattern-type prefixed"
        )


async def _begin(rehearsal: _Rehearsal) -> None:
    """Return when the festival begins and all partitions are counted."""
    clock, start_ms = SystemClock(), rehearsal.festival.start_ms
    limit_ms = clock.monotonic_ms() + READY_SECONDS * 1000
    await asyncio.to_thread(lambda: rehearsal.load.plan)
    while not rehearsal.stop.is_set():
        rehearsal.workers.check()
        is_ready = rehearsal.board.snapshot().is_complete
        if is_ready and clock.now_ms() >= start_ms:
            rehearsal.seen.late_start_ms = clock.now_ms() - start_ms
            return
        if clock.monotonic_ms() > limit_ms:
            raise NotReadyError(f"the workers have not taken all partitions over within {READY_SECONDS} s")
        await asyncio.sleep(LOOK_SECONDS / 5)


async def _send(rehearsal: _Rehearsal) -> Replayed:
    """Send in real time until the seconds are over, looking at the lag meanwhile."""
    ended = threading.Event()
    sending = Sending(rehearsal.settings, (rehearsal.festival, *load_festivals().values()), Fraction(1))
    with progress("rehearsal", rehearsal.load.plan.number_at(int(rehearsal.seconds * 1000)), "orders") as bar:
        task = asyncio.create_task(
            asyncio.to_thread(
                replay, rehearsal.load, sending, processes=rehearsal.processes, report=bar.advance, stop=ended
            )
        )
        clock = SystemClock()
        limit_ms = clock.monotonic_ms() + int(rehearsal.seconds * 1000)
        try:
            while not task.done():
                rehearsal.workers.check()
                _look(rehearsal)
                if rehearsal.stop.is_set() or clock.monotonic_ms() >= limit_ms:
                    ended.set()
                await asyncio.wait([task], timeout=LOOK_SECONDS)
        finally:
            ended.set()
        return await task


def _look(rehearsal: _Rehearsal) -> None:
    lag = rehearsal.document()["lag_records"]
    rehearsal.seen.lag_max_records = max(rehearsal.seen.lag_max_records, lag)


async def _catch_up(rehearsal: _Rehearsal, done: Replayed) -> None:
    """Return once the committed totals cover everything that was acknowledged."""
    clock = SystemClock()
    began_ms = clock.monotonic_ms()
    await catch_up(rehearsal.board, rehearsal.workers, done, rehearsal.stop, lambda _: _look(rehearsal))
    rehearsal.seen.caught_up_after_ms = clock.monotonic_ms() - began_ms


def _report(
    rehearsal: _Rehearsal,
    done: Replayed,
    delay: watched.Delays,
    audit: AuditResult,
    looked: tuple[list[watched.Alert] | None, bool | None],
) -> dict[str, Any]:
    alerts, is_seen = looked
    records = sum(sum(partitions.values()) for partitions in done.tally["acknowledged"].values())
    report: dict[str, Any] = {
        "festival": rehearsal.original.id,
        "rehearsal": rehearsal.festival.id,
        "prefix": rehearsal.settings.prefix,
        "partitions": rehearsal.load.partitions,
        "workers": len(rehearsal.workers.urls),
        "seconds": done.elapsed_ms / 1000,
        "late_start_ms": rehearsal.seen.late_start_ms,
        "orders_of_the_day": rehearsal.load.orders,
        "orders": done.tally["festivals"].get(rehearsal.festival.id, {}).get("orders", 0),
        "counted_orders": rehearsal.document()["orders"],
        "records": records,
        "records_per_second": records * 1000 // max(done.elapsed_ms, 1),
        "peak_orders_per_second": peak(rehearsal.board.snapshot(), rehearsal.festival).orders,
        "slip_ms": {"p99": done.slip_p99_ms, "max": done.slip_max_ms},
        "delay_seconds": {"p50": delay.p50_seconds, "p99": delay.p99_seconds},
        "lag_records": {"max": rehearsal.seen.lag_max_records},
        "caught_up_after_ms": rehearsal.seen.caught_up_after_ms,
        "alerts": None if alerts is None else [dataclasses.asdict(alert) for alert in alerts],
        "is_scraped": is_seen,
        "audit": {"exact": audit.is_exact, "records": audit.records, "cells": audit.compared_cells},
    }
    report["problems"] = rehearsal_report.problems(report)
    return report


def tell_kept(settings: Settings) -> None:
    """Say how to ask a rehearsal that was kept, and how to delete it."""
    broker, folder = settings.bootstrap_servers, settings.festivals_dir
    place = f"--broker {broker} --prefix {settings.prefix} --festivals {folder}"
    delete = f"kafka-topics.sh --bootstrap-server {broker} --delete --topic '{re.escape(settings.prefix)}.*'"
    for line in (f"kept: festival totals {place}", f"kept: festival audit {place}", f"delete it with: {delete}"):
        click.echo(line, err=True)


async def _delete(settings: Settings, topics: tuple[str, ...]) -> None:
    """Delete the topics this rehearsal has made, and no others."""
    assert all(topic.startswith(settings.prefix) and "rehearsal." in settings.prefix for topic in topics)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            async with open_admin(settings) as admin:
                await admin.delete_topics(list(topics))
        except FestivalError as error:
            click.echo(f"topics {settings.prefix}* are left there: {error}", err=True)

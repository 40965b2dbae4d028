"""`festival demo`: the whole product on this machine, from Kafka to audited totals."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import logging
import os
import shutil
import sys
import uuid
import webbrowser
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from streams.audit.run import run_audit
from streams.board.live import LiveBoard
from streams.board.screen import curve_document
from streams.board.totals import totals_document
from streams.cli.catching_up import LOOK_SECONDS, STALL_MS, StalledError, catch_up
from streams.cli.children import Workers
from streams.cli.live import has_display, live_totals, rows_of
from streams.cli.options import json_option, settings_options
from streams.cli.progress import progress
from streams.cli.stopping import INTERRUPTED, stop_on_signals
from streams.domain.rollups import ROLLUPS
from streams.engine.clock import SystemClock
from streams.festivals import load_festivals
from streams.kafka import address
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.follower import LedgerFollower
from streams.kafka.topics import DEFAULT_PARTITIONS, create_topics
from streams.replay.load import DEFAULT_SHAPE, festival_load, load_curves
from streams.replay.processes import replay
from streams.replay.scale import scaled, to_toml
from streams.replay.sender import Sending
from streams.replay.tally import DIMENSIONS, compare
from streams.serving import quiet_clients

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from streams.domain.festivals import Festival
    from streams.replay.load import Load
    from streams.replay.processes import Replayed
    from streams.settings import Settings

SHARES = {
    "duplicates": Decimal("0.002"),
    "late": Decimal("0.001"),
    "poison": Decimal("0.0005"),
    "cancel": Decimal("0.01"),
}
"""Few enough not to disturb the picture, enough to be seen told apart."""
SPARK_MINUTES = 30


@dataclass(frozen=True)
class _Demo:
    """What one run of the demo knows."""

    settings: Settings
    festivals: dict[str, Festival]
    load: Load
    speed: Fraction
    workers: Workers
    board: LiveBoard
    stop: threading.Event

    @property
    def festival(self) -> Festival:
        return self.festivals[self.load.festival]

    def document(self, by: str | None = None) -> dict[str, Any]:
        return totals_document(self.board.snapshot(), self.festival, by=by, end_offsets=self.board.end_offsets())

    def orders_over_the_day(self) -> list[int]:
        """Return the orders of each half hour of the day, for a sparkline."""
        values = curve_document(self.board.snapshot(), self.festival)["counts"]
        return [sum(values[i : i + SPARK_MINUTES]) for i in range(0, len(values), SPARK_MINUTES)]


@click.command("demo")
@click.option("--orders", type=int, default=100_000, show_default=True, metavar="N", help="Orders of the day.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=20.0, show_default=True, help="How long the day takes."
)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, metavar="W", help="How many.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="K", help="Same arguments, same events.")
@click.option("--exit", "is_exit", is_flag=True, help="Leave after the audit: 0 exact, 1 not.")
@json_option
@settings_options
def command(
    settings: Settings, orders: int, seconds: float, workers: int, seed: int, *, is_exit: bool, as_json: bool
) -> int:
    """Start Apache Kafka and workers, replay the 2019 festival in some seconds, audit and print the totals.

    With --broker, or where an embedded Kafka runs already, that one is used, with topics of this run's own. Without
    --exit it serves the screen and the metrics until Ctrl-C.
    """
    # A broker that has just started tells its clients to wait, and they tell us.
    quiet_clients(settings, logging.ERROR)
    festivals = load_festivals(settings.festivals_dir)
    load = festival_load(
        festivals[DEFAULT_SHAPE],
        SystemClock().now_ms(),
        orders=orders,
        partitions=DEFAULT_PARTITIONS,
        seed=seed,
        shares=SHARES,
    )
    speed = Fraction(load.seconds) / Fraction(str(seconds))
    click.echo(f"{load.orders:,} orders of 11 November 2019 in {seconds:g} s, on Apache Kafka", err=True)
    with stop_on_signals() as stop, _directory(settings) as directory, _kafka(settings, directory) as connected:
        if stop.is_set():
            return INTERRUPTED
        own = settings.festivals_dir or _as_small(festivals[DEFAULT_SHAPE], load, directory)
        ready = dataclasses.replace(connected, festivals_dir=own)
        with Workers(ready, directory, workers) as processes:
            board = LiveBoard(LedgerFollower(ready))
            demo = _Demo(ready, load_festivals(own), load, speed, processes, board, stop)
            return asyncio.run(_run(demo, is_exit=is_exit, as_json=as_json))


@contextlib.contextmanager
def _directory(settings: Settings) -> Iterator[Path]:
    """Give a directory of this run's own, empty, and remove it in the end, with those that killed runs have left."""
    parent = settings.data_dir / "demo"
    for left in parent.glob("*"):
        if left.name.isdigit() and not _is_alive(int(left.name)):
            shutil.rmtree(left, ignore_errors=True)
    own = parent / str(os.getpid())
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _as_small(festival: Festival, load: Load, directory: Path) -> Path:
    """Return a directory with the festival's file as small as the load, so that the milestones can be passed."""
    own = directory / "festivals"
    own.mkdir()
    small = scaled(festival, load_curves()[festival.id], load.orders)
    (own / f"{festival.id}.toml").write_text(to_toml(small), encoding="utf-8")
    return own


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _kafka(settings: Settings, directory: Path) -> Iterator[Settings]:
    """Give the settings with a broker: the one that is set, else the one that runs, else one of our own."""
    running = address.running(settings.data_dir)
    broker = settings.broker or (running.address if running else None)
    if broker is not None:
        # Other runs have left their topics there; this one starts from zero.
        prefix = f"{settings.prefix}demo-{uuid.uuid4().hex[:8]}-"
        click.echo(f"using Kafka at {broker}, topics begin with {prefix}", err=True)
        yield dataclasses.replace(settings, broker=broker, prefix=prefix)
        return
    with EmbeddedKafka(directory / "kafka", announce_in=settings.data_dir, show=progress) as kafka:
        click.echo(f"Apache Kafka is ready at {kafka.address}", err=True)
        yield dataclasses.replace(settings, broker=kafka.address)


async def _run(demo: _Demo, *, is_exit: bool, as_json: bool) -> int:
    """Create the topics, start the workers, replay, wait, audit, print."""
    await create_topics(demo.settings, DEFAULT_PARTITIONS)
    demo.workers.start()
    following = asyncio.create_task(demo.board.run())
    try:
        await _until(demo, functools.partial(_is_served, demo.workers.urls[0]), "no worker answers")
        screen = f"{demo.workers.urls[0]}?festival={demo.festival.id}"
        click.echo(f"the screen: {screen}   metrics: {demo.workers.urls[0]}metrics", err=True)
        if not is_exit and sys.stderr.isatty() and has_display():
            webbrowser.open(screen)
        await _until(demo, functools.partial(_is_counting, demo.board), "no worker counts")
        done = await _replay(demo)
        if demo.stop.is_set():
            return INTERRUPTED
        if done.error is not None:
            raise StalledError(f"Kafka did not take all events: {done.error}")
        problems = await _audit(demo, done)
        _print(demo, problems, as_json=as_json)
        if is_exit:
            return 1 if problems else 0
        click.echo(f"serving {' '.join(demo.workers.urls)} until Ctrl-C", err=True)
        while not demo.stop.is_set():
            demo.workers.check()
            await asyncio.sleep(LOOK_SECONDS)
        return 1 if problems else 0
    finally:
        demo.stop.set()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _until(demo: _Demo, is_so: Callable[[], Awaitable[bool]], problem: str) -> None:
    """Return once `is_so`, or when stopped: who opens the screen finds it, and sees the day from its first second."""
    clock = SystemClock()
    since_ms = clock.monotonic_ms()
    while not demo.stop.is_set() and not await is_so():
        demo.workers.check()
        if clock.monotonic_ms() - since_ms > STALL_MS:
            raise StalledError(f"{problem} after {STALL_MS // 1000} s")
        await asyncio.sleep(LOOK_SECONDS)


async def _is_served(url: str) -> bool:
    """Return whether somebody listens there."""
    address = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
    except OSError:
        return False
    writer.close()
    return True


async def _is_counting(board: LiveBoard) -> bool:
    """Return whether each partition has been taken over."""
    return board.snapshot().is_complete


async def _replay(demo: _Demo) -> Replayed:
    """Replay the day, showing committed totals meanwhile, and until everything sent is counted."""
    sending = Sending(demo.settings, tuple(demo.festivals.values()), demo.speed)
    replaying = asyncio.create_task(asyncio.to_thread(replay, demo.load, sending, stop=demo.stop))
    try:
        with live_totals(demo.festival) as show:
            while not replaying.done():
                demo.workers.check()
                _show(demo, show, "")
                await asyncio.wait([replaying], timeout=LOOK_SECONDS)
            done = await replaying
            await catch_up(
                demo.board,
                demo.workers,
                done,
                demo.stop,
                lambda behind: _show(demo, show, "replay done" if behind else "all counted"),
            )
            return done
    finally:
        if not replaying.done():
            demo.stop.set()
        await asyncio.gather(replaying, return_exceptions=True)


def _show(demo: _Demo, show: Callable[..., None], note: str) -> None:
    show(demo.document(), _watermark_ms(demo), note, demo.orders_over_the_day())


def _watermark_ms(demo: _Demo) -> int | None:
    return demo.board.snapshot().watermark_ms({rollup.fact for rollup in ROLLUPS})


async def _audit(demo: _Demo, done: Replayed) -> list[str]:
    """Return what differs, by the audit and by the tally; nothing where the totals are exact."""
    click.echo("auditing: counting the topics again by another way", err=True)
    problems: list[str] = []
    for dimension in DIMENSIONS:
        problems += [p for p in compare(done.tally, demo.document(by=dimension)) if p not in problems]
    result = await run_audit(demo.settings)
    problems += [f"audit: {d.measure} {d.where}: {d.ledger}, recounted {d.recount}" for d in result.differences]
    if not problems:
        cells = f"{result.records:,} records and {result.compared_cells:,} cells"
        click.echo(f"exact: {cells} recounted, and the replay's tally compared, without a difference", err=True)
    for problem in problems[:20]:
        click.echo(f"NOT exact: {problem}", err=True)
    return problems


def _print(demo: _Demo, problems: list[str], *, as_json: bool) -> None:
    document = demo.document()
    if as_json:
        # Not orjson: a sum may exceed 64 bits.
        click.echo(json.dumps(document))
        return
    rows = [("festival", demo.festival.name), *rows_of(document, demo.festival)]
    rows.append(("audit", f"{len(problems)} differences" if problems else "exact"))
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, value in rows:
        click.echo(f"{name:<{widths[0]}}  {value:>{widths[1]}}")

"""The demo: a published day in some seconds, on a Kafka that is found or started, from its topics to its audit."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import shutil
import uuid
from contextlib import asynccontextmanager, contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from streams.board.answers.screen import curve_document
from streams.board.view.live_board import LiveBoard
from streams.broker import address
from streams.broker.embedded import EmbeddedKafka
from streams.domain.built_in import ROLLUPS
from streams.festivals import load_festivals
from streams.festivals.curves import load_curves
from streams.festivals.declared import load_declared
from streams.kafka.cluster.topics import DEFAULT_PARTITIONS, create_topics
from streams.kafka.ledger.follower import LedgerFollower
from streams.night.course import SHARES, Night
from streams.night.workers import Workers
from streams.replay.load import DEFAULT_SHAPE, festival_load
from streams.replay.scale import scaled, to_toml
from streams.truth.tally import DIMENSIONS, compare

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from streams.audit.result import AuditResult
    from streams.broker.distribution import Show
    from streams.domain.festivals import Festival
    from streams.replay.load import Load
    from streams.replay.processes import Replayed
    from streams.settings import Settings

SPARK_MINUTES = 30
TOLD_PROBLEMS = 20


class Viewer(Protocol):
    """Who watches a demo: the command, which prints."""

    def say(self, line: str) -> None:
        """Tell what is done now."""

    def open_screen(self, url: str) -> None:
        """Open the big screen, which answers there now."""

    def totals(self, festival: Festival) -> AbstractContextManager[Callable[..., None]]:
        """Give a function that shows totals: document, watermark, a note, orders over the day."""


def day_of(settings: Settings, now_ms: int, *, orders: int, seed: int) -> Load:
    """Return the load of the day that is shown; raises `UsageError` for a number of orders that it cannot have."""
    festival = load_festivals(settings.festivals_dir)[DEFAULT_SHAPE]
    return festival_load(festival, now_ms, orders=orders, partitions=DEFAULT_PARTITIONS, seed=seed, shares=SHARES)


@contextmanager
def own_directory(settings: Settings) -> Iterator[Path]:
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


@contextmanager
def some_kafka(settings: Settings, directory: Path, say: Callable[[str], None], show: Show) -> Iterator[Settings]:
    """Give the settings with a broker: the one that is set, else the one that runs, else one of our own."""
    running = address.running(settings.data_dir)
    broker = settings.broker or (running.address if running else None)
    if broker is not None:
        # Other runs have left their topics there; this one starts from zero.
        prefix = f"{settings.prefix}demo-{uuid.uuid4().hex[:8]}-"
        say(f"using Kafka at {broker}, topics begin with {prefix}")
        yield dataclasses.replace(settings, broker=broker, prefix=prefix)
        return
    with EmbeddedKafka(directory / "kafka", announce_in=settings.data_dir, show=show) as kafka:
        say(f"Apache Kafka is ready at {kafka.address}")
        yield dataclasses.replace(settings, broker=kafka.address)


def night_of(settings: Settings, load: Load, directory: Path, workers: int, stop: threading.Event) -> Night:
    """Return the night that is shown, not begun yet; `directory` is for its files."""
    shape = load_festivals(settings.festivals_dir)[DEFAULT_SHAPE]
    own = settings.festivals_dir or _as_small(shape, load, directory)
    settings = dataclasses.replace(settings, festivals_dir=own)
    festivals = load_festivals(own)
    children, board = (
        Workers(settings, directory, workers),
        LiveBoard(LedgerFollower(settings), load_declared(settings.declarations).rollups),
    )
    return Night(settings, tuple(festivals.values()), festivals[load.festival], load, children, board, stop)


@asynccontextmanager
async def performed(night: Night, seconds: float, viewer: Viewer) -> AsyncIterator[list[str] | None]:
    """Perform the day within `seconds`, and serve while the block runs.

    Gives what differs by the audit and by the tally, nothing where the totals are exact; None when it was stopped.
    """
    await create_topics(night.settings, night.load.partitions)
    async with night.opened():
        night.workers.start()
        url = night.workers.urls[0]
        # Who opens the screen finds it, and sees the day from its first second.
        await night.until(functools.partial(_is_served, url), "no worker answers after")
        viewer.say(f"the screen: {_screen(night)}   metrics: {url}metrics")
        viewer.open_screen(_screen(night))
        await night.until(night.is_counting, "no worker counts after")
        done = await _sent(night, seconds, viewer)
        yield None if done is None else _differences(night, done, await night.audit(viewer.say), viewer.say)


async def _sent(night: Night, seconds: float, viewer: Viewer) -> Replayed | None:
    """Send the day, showing committed totals until everything sent is counted; None when it was stopped."""
    with viewer.totals(night.festival) as shown:

        def show(note: str) -> None:
            shown(night.document(), _watermark_ms(night), note, _orders_over_the_day(night))

        speed = Fraction(night.load.seconds) / Fraction(str(seconds))
        done = await night.send(speed, look=lambda: show(""))
        is_covered = await night.until_covered(done, lambda behind: show("replay done" if behind else "all counted"))
        return done if is_covered else None


def _differences(night: Night, done: Replayed, audit: AuditResult, say: Callable[[str], None]) -> list[str]:
    """Return what differs, and tell it."""
    problems: list[str] = []
    for dimension in DIMENSIONS:
        problems += [p for p in compare(done.tally, night.document(by=dimension)) if p not in problems]
    problems += [f"audit: {d.measure} {d.where}: {d.ledger}, recounted {d.recount}" for d in audit.differences]
    if not problems:
        cells = f"{audit.records:,} records and {audit.compared_cells:,} cells"
        say(f"exact: {cells} recounted, and the replay's tally compared, without a difference")
    for problem in problems[:TOLD_PROBLEMS]:
        say(f"NOT exact: {problem}")
    return problems


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


async def _is_served(url: str) -> bool:
    """Return whether somebody listens there."""
    place = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(place.hostname, place.port)
    except OSError:
        return False
    writer.close()
    return True


def _screen(night: Night) -> str:
    return f"{night.workers.urls[0]}?festival={night.festival.id}"


def _watermark_ms(night: Night) -> int | None:
    return night.board.snapshot().watermark_ms({rollup.fact for rollup in ROLLUPS})


def _orders_over_the_day(night: Night) -> list[int]:
    """Return the orders of each half hour of the day, for a sparkline."""
    values: Any = curve_document(night.board.snapshot(), night.festival)["counts"]
    return [sum(values[i : i + SPARK_MINUTES]) for i in range(0, len(values), SPARK_MINUTES)]

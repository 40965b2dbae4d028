"""A steady stream of orders: how long until a record is in a committed total, and how long after a SIGKILL."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.catch_up import DEADLINE_SECONDS, Positions, start_worker, workers
from bench.measures import percentile
from bench.topics import Bench, fresh_ledger
from streams.engine.clock import SystemClock
from streams.festivals import load_festivals
from streams.replay.load import DEFAULT_SHAPE, ORDERS_LIMIT, festival_load
from streams.replay.sender import STEP_ORDERS, TICK_MS, Sender, Sending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from streams.domain.curves import Int64s
    from streams.replay.drawn_events import Events
    from streams.truth.acknowledged import Acknowledged
    from streams.truth.tally import Tally

LOOK_SECONDS = 0.02
WARM_UP_SECONDS = 5
KILLS = 3
DAY_SECONDS = 86_400
Seen = tuple[int, int, int]
"""When a committed position was seen, its partition, and the position."""


class SteadySender(Sender):
    """Sends orders at a constant rate, and remembers where and when the broker put them."""

    def __init__(self, bench: Bench, per_second: int, seed: int, shares: Mapping[str, Decimal] | None = None) -> None:
        """Prepare a day of so many orders that its mean is `per_second`; `seed` keeps their ids apart from other runs'.

        Sent from the day's noon on, so that time in the festival passes about as fast as on the clock; faster where a
        day of that rate has more orders than a load can. `shares` are those of a load, by name.
        """
        clock = SystemClock()
        festivals = load_festivals()
        orders, count = min(per_second * DAY_SECONDS, ORDERS_LIMIT), bench.partitions
        load = festival_load(
            festivals[DEFAULT_SHAPE],
            clock.now_ms(),
            orders=orders,
            partitions=count,
            seed=seed,
            facts=("orders",),
            shares=shares,
        )
        counted = tuple(festivals.values()) if shares is not None else ()
        super().__init__(load, range(count), Sending(bench.settings, counted, compression="lz4"), clock)
        self._per_second = per_second
        self._first = self._timeline.next_number = load.plan.number_at(DAY_SECONDS * 1000 // 2)
        self._truth = self._counter if shares is not None else None
        """A tally costs as much as sending; without shares nobody asks for it."""
        self._counter = self  # type: ignore[assignment] # it is told what was acknowledged, and tells the truth
        self.taken: list[Acknowledged] = []

    def add(self, events: Events, batches: Sequence[Acknowledged]) -> None:
        """Remember the acknowledged batches."""
        self.taken += batches
        if self._truth is not None:
            self._truth.add(events, batches)

    def tally(self) -> Tally:
        """Return the tally."""
        assert self._truth is not None, "no shares, no tally"
        return self._truth.tally()

    async def _next_step(self, started_ms: int) -> Int64s:
        await asyncio.sleep(TICK_MS / 1000)
        due = self._first + (self._clock.monotonic_ms() - started_ms) * self._per_second // 1000
        return self._timeline.take_orders(min(max(due - self._timeline.next_number, 0), STEP_ORDERS))


@dataclass
class Live:
    """What was seen under a steady load."""

    delays: list[tuple[float, int]] = field(default_factory=list)
    """(Seconds from the record's time on Kafka to a committed total that holds it, records)."""
    recoveries: list[float] = field(default_factory=list)
    """Seconds from each SIGKILL to the next committed total."""

    def document(self) -> dict[str, Any]:
        """Return the numbers of the table."""
        return {
            "records": sum(weight for _, weight in self.delays),
            "delay_p50": percentile(self.delays, 0.5),
            "delay_p99": percentile(self.delays, 0.99),
            "recoveries": self.recoveries,
        }


async def live(bench: Bench, per_second: int, seconds: int, first_offsets: dict[int, int]) -> Live:
    """Measure delays for some seconds at `per_second` orders, then kill and restart the worker under that load.

    `first_offsets` is how much lies on the topic already, which the worker counts first.
    """
    await fresh_ledger(bench)
    found = Live()
    with workers(bench, 1) as running:
        async with Positions(bench) as positions:
            await until(lambda: sum(positions.by_partition.values()) >= sum(first_offsets.values()), positions)
            sender = SteadySender(bench, per_second, seed=time.time_ns() % 10**9)
            await sender.start()
            ended = asyncio.Event()
            began_ms = SystemClock().monotonic_ms()
            sending = asyncio.create_task(sender.run(began_ms, lambda _n: None, ended.is_set))
            await watch(positions, WARM_UP_SECONDS)
            skip = len(sender.taken)
            seen = await watch(positions, seconds)
            found.delays = delays(sender.taken[skip:], seen)
            for kill in range(KILLS):
                found.recoveries.append(await _kill(bench, running, positions, kill))
            ended.set()
            await sending
            await sender.close()
    return found


async def until(is_true: Any, positions: Positions) -> None:  # noqa: ANN401 - a condition
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        await asyncio.sleep(LOOK_SECONDS)
        positions.look()


async def watch(positions: Positions, seconds: float) -> list[Seen]:
    """Return each move of a position seen within some seconds."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(LOOK_SECONDS)
        now_ms = SystemClock().now_ms()
        seen += [(now_ms, partition, offset) for partition, offset in positions.look().items()]
    return seen


def delays(taken: Sequence[Acknowledged], seen: Sequence[Seen]) -> list[tuple[float, int]]:
    """Return the delay of each batch that was seen committed, with its number of records."""
    times: dict[int, list[int]] = {}
    offsets: dict[int, list[int]] = {}
    for time_ms, partition, offset in seen:
        times.setdefault(partition, []).append(time_ms)
        offsets.setdefault(partition, []).append(offset)
    found = []
    for batch in taken:
        place = bisect_left(offsets.get(batch.partition, []), batch.base_offset + len(batch.rows))
        if place < len(times.get(batch.partition, [])):
            found.append(((times[batch.partition][place] - batch.record_time_ms) / 1000, len(batch.rows)))
    return found


async def _kill(bench: Bench, running: list[Any], positions: Positions, number: int) -> float:
    """Kill the worker and start it again, as a supervisor would; return the seconds until a total moves on."""
    process, _ = running[0]
    process.kill()
    began = time.monotonic()
    process.wait()
    positions.look()
    log = bench.directory / f"restarted-{number}.log"
    running[0] = (start_worker(bench, 0, log), log)
    moved: dict[int, int] = {}
    while len(moved) < bench.partitions:
        assert time.monotonic() < began + DEADLINE_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        moved |= positions.look()
    recovered = time.monotonic() - began
    await watch(positions, WARM_UP_SECONDS)
    return recovered

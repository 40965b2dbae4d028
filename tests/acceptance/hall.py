"""A big screen over a board in memory: what is committed is what a test says, and so are its clock and its Kafka."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from streams.board.answers.screen import screen_document
from streams.board.view.committed_view import CommittedView
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.web.ports import listen, url_of
from streams.web.server import ServerThread, start_server
from streams.web.shown import Shown
from tests.unit.looks import judging

if TYPE_CHECKING:
    from streams.domain.festivals import Festival

FESTIVALS = load_festivals()
HOUR_MS = 3_600_000


class Hall:
    """One festival, counted on some partitions; a context that serves it."""

    def __init__(self, festival: Festival, partitions: int = 2) -> None:
        self.festival = festival
        self.ledger = CellLedger(partitions)
        self.view = CommittedView()
        self.clock = ManualClock(festival.start_ms - HOUR_MS)
        self.ends = {festival.facts[0]: dict.fromkeys(range(partitions), 0)}
        self.is_loaded = True
        self.is_answering = True
        self._silent_ms = 0
        festivals = FESTIVALS | {festival.id: festival}
        source = Shown(
            festivals,
            self.view.snapshot,
            judging(self.view.snapshot, lambda: self.ends),
            lambda: self.is_loaded,
            clock=BrokerClock(self.clock),
        )
        source.contacted_ms = self._contacted_ms
        self._source = source
        self._listener = listen("127.0.0.1", 0, is_explicit=True)
        self.url = url_of(self._listener)
        self._thread = ServerThread(self._serve)

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._thread.stop()

    async def _serve(self) -> None:
        runner = await start_server(self._listener, self._source)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    def _contacted_ms(self) -> int:
        """Return when Kafka last answered: now, unless it is silent."""
        if self.is_answering:
            self._silent_ms = self.clock.now_ms()
        return self._silent_ms

    def place(self, rollup: str, group: tuple[str, ...], at_ms: int, **measures: int) -> None:
        """Count into a cell; `commit` follows."""
        self.ledger.add(0, self.festival, rollup, group, at_ms, **measures)

    def sell(self, gross_minor: int, at_ms: int, orders: int = 1) -> None:
        """Count orders in a second of the day; `commit` follows."""
        for rollup, group in (("orders_by_second", ("CNY",)), ("orders_by_platform", ("tmall", "CNY"))):
            self.place(rollup, group, at_ms, orders=orders, gross_minor=gross_minor)

    def commit(self, latest_ms: int, *partitions: int) -> None:
        """Commit what was counted, on these partitions or on all; the clock goes to the latest event's time."""
        self.clock.advance(max(0, latest_ms - self.clock.now_ms()))
        topic = self.festival.facts[0]
        for partition in partitions or self.ends[topic]:
            self.ends[topic][partition] += 1
            position = {topic: self.ends[topic][partition]}
            self.ledger.commit(partition, position, {topic: self.clock.now_ms()}, {topic: latest_ms})
        self.view.feed(self.ledger.drain())

    def message(self, **changed: object) -> dict[str, Any]:
        """Return what the stream says of the totals now, with some of its keys changed."""
        totals = self._source.totals(self.festival, None, None, None)
        return {**totals, "screen": screen_document(self.view.snapshot(), self.festival), **changed}

    def ask(self, path: str) -> dict[str, Any]:
        """Return what the API answers."""
        with urllib.request.urlopen(f"{self.url}api/{path}", timeout=10) as answer:  # noqa: S310 - our own server
            return dict(json.load(answer))

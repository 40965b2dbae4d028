"""What a screen is told of the age of its numbers, on a server whose clock is off."""

from __future__ import annotations

import pytest

from streams.board.view.committed_view import CommittedView
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.web.process import ProcessFacts
from streams.web.shown import Shown

DAY = load_festivals()["singles-day-2019"]
HOUR_MS = 3_600_000
OFF = pytest.mark.parametrize("off_ms", [-HOUR_MS, 0, HOUR_MS])


class Bench:
    """A screen's server whose machine's clock is off. Nothing of Kafka answers, so that only commits are fresh."""

    def __init__(self, off_ms: int) -> None:
        self.broker = ManualClock(DAY.start_ms)
        self.own = ManualClock(5_000, off_ms=DAY.start_ms - 5_000 + off_ms)
        self.clock = BrokerClock(self.own)
        self.ledger, self.view = CellLedger(1), CommittedView()
        self.source = Shown({DAY.id: DAY}, self.view.snapshot, clock=self.clock)

    def pass_time(self, elapsed_ms: int) -> None:
        self.broker.advance(elapsed_ms)
        self.own.advance(elapsed_ms)

    def commit(self, *, is_new: bool = True) -> None:
        """Commit an order that came to Kafka half a second before; the checkpoint is read at once."""
        self.ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
        self.ledger.commit(0, {"orders": 1}, {"orders": self.broker.now_ms() - 500})
        self.view.feed(self.ledger.drain())
        self.clock.appended(self.broker.now_ms(), is_new=is_new)

    def age_ms(self) -> int:
        told = self.source.freshness()
        age_ms: int = told["now_ms"] - told["fresh_ms"]
        return age_ms


@OFF
def test_the_age_of_a_commit_is_right_and_grows_in_a_standstill(off_ms: int) -> None:
    bench = Bench(off_ms)
    bench.commit()
    assert bench.age_ms() == 500
    bench.pass_time(HOUR_MS)
    assert bench.age_ms() == 500 + HOUR_MS
    bench.commit()
    assert bench.age_ms() == 500


@OFF
def test_a_server_that_starts_in_a_standstill_is_never_fresh_for_longer_than_it_runs(off_ms: int) -> None:
    bench = Bench(off_ms)
    bench.commit(is_new=False)
    bench.pass_time(60_000)
    assert bench.age_ms() >= 60_000


@OFF
def test_what_the_clock_is_off_is_a_metric_once_it_is_known(off_ms: int) -> None:
    bench = Bench(off_ms)
    read = next(read for entry, read in ProcessFacts.of(bench.source).readers() if "clock" in entry.name)
    assert read() == []
    bench.commit()
    assert read() == [((), off_ms / 1000)]

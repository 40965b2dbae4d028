"""Clocks."""

from __future__ import annotations

import time

import pytest

from streams.engine.clock import DOUBT_MS, BrokerClock, ManualClock, SystemClock

YEAR_2019_MS = 1_546_300_800_000


def test_the_system_clock_knows_the_epoch_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now_ms() > YEAR_2019_MS
    began_ms, began_s = clock.monotonic_ms(), time.monotonic()
    assert began_ms <= clock.monotonic_ms()
    assert abs(began_ms / 1000 - began_s) < 1, "in milliseconds"


def test_a_manual_clock_stands_until_it_is_turned_and_turns_forward_only() -> None:
    clock = ManualClock(5)
    clock.advance(10)
    assert (clock.now_ms(), clock.monotonic_ms()) == (15, 15)
    with pytest.raises(AssertionError):
        clock.advance(-1)


NOW_MS = 1_600_000_000_000
HOUR_MS = 3_600_000


class Bench:
    """A broker and a machine whose clock is off; a record takes `way_ms` from one to the other."""

    def __init__(self, off_ms: int = 0) -> None:
        self.broker_ms = NOW_MS
        self.own = ManualClock(7_000, off_ms=self.broker_ms - 7_000 + off_ms)
        self.clock = BrokerClock(self.own)

    def pass_time(self, elapsed_ms: int) -> None:
        self.own.advance(elapsed_ms)
        self.broker_ms += elapsed_ms

    def record(self, way_ms: int = 0, stream: str = "", *, is_new: bool = True) -> None:
        written_ms = self.broker_ms
        self.pass_time(way_ms)
        self.clock.appended(written_ms, stream, is_new=is_new)


@pytest.mark.parametrize("off_ms", [-HOUR_MS, -1, 0, 2_500, HOUR_MS])
def test_the_brokers_time_is_told_whatever_the_machines_clock_says(off_ms: int) -> None:
    bench = Bench(off_ms)
    bench.record(4)
    bench.pass_time(90_000)
    assert bench.clock.now_ms() == bench.broker_ms - 4
    assert bench.clock.offset_ms() == off_ms + 4


def test_the_machines_clock_is_believed_until_something_is_known() -> None:
    bench = Bench(HOUR_MS)
    assert bench.clock.now_ms() == NOW_MS + HOUR_MS
    assert bench.clock.monotonic_ms() == 7_000
    assert bench.clock.offset_ms() is None
    bench.record(60_000, is_new=False)
    assert bench.clock.now_ms() == bench.broker_ms + HOUR_MS
    assert bench.clock.offset_ms() is None


def test_an_old_record_rules_out_a_clock_that_is_behind_it_and_tells_nothing_else() -> None:
    bench = Bench(-HOUR_MS)
    bench.record(60_000, is_new=False)
    bench.record(5_000, is_new=False)
    bench.record(90_000, is_new=False)
    assert bench.clock.now_ms() == bench.broker_ms - 5_000
    assert bench.clock.offset_ms() is None


def test_the_record_that_came_fastest_is_the_nearest_to_the_truth() -> None:
    bench = Bench()
    for way_ms in (300, 40, 7_000):
        bench.record(way_ms)
    assert bench.clock.now_ms() == bench.broker_ms - 40


def test_setting_the_machines_clock_changes_its_offset_and_no_age() -> None:
    bench = Bench()
    bench.record(4)
    bench.own.off_ms += HOUR_MS
    assert bench.clock.now_ms() == bench.broker_ms - 4
    assert bench.clock.offset_ms() == HOUR_MS + 4


def test_a_broker_whose_clock_is_turned_back_is_believed_after_a_minute_of_such_records() -> None:
    bench = Bench()
    bench.record(4)
    bench.broker_ms -= HOUR_MS
    for _ in range(DOUBT_MS // 10_000):
        bench.record(9)
        assert bench.clock.now_ms() > bench.broker_ms + HOUR_MS - 100
        bench.pass_time(10_000 - 9)
    bench.record(30)
    assert bench.clock.now_ms() == bench.broker_ms - 9


def test_records_that_come_late_for_less_than_a_minute_change_nothing() -> None:
    bench = Bench()
    bench.record(4)
    bench.record(59_000)
    bench.record(4)
    bench.pass_time(2_000)
    bench.record(1_000)
    assert bench.clock.now_ms() == bench.broker_ms - 4


def test_a_machine_that_slept_without_counting_the_time_is_right_with_the_next_record() -> None:
    bench = Bench()
    bench.record(4)
    bench.broker_ms += HOUR_MS
    bench.record(4)
    assert bench.clock.now_ms() == bench.broker_ms - 4


def test_records_that_come_late_for_long_never_bring_it_below_the_newest_that_was_read() -> None:
    """One log is read to its end, others are far behind."""
    bench = Bench()
    bench.record(4, "a")
    bench.pass_time(1_000)
    bench.record(70_000, "b")
    newest_ms = bench.broker_ms
    bench.record(0, "c")
    bench.pass_time(10_000)
    for _ in range(8):
        late_ms = bench.broker_ms - 79_000
        bench.clock.appended(late_ms, "b")
        assert newest_ms <= bench.clock.now_ms() <= bench.broker_ms
        bench.pass_time(10_000)


def test_what_is_read_again_from_the_beginning_is_no_clock_that_was_turned_back() -> None:
    bench = Bench()
    bench.record(4, "a")
    newest_ms = bench.broker_ms - 4
    bench.clock.appended(newest_ms - HOUR_MS, "a", is_new=False)
    for _ in range(8):
        bench.clock.appended(bench.broker_ms - HOUR_MS, "b")
        bench.pass_time(10_000)
    assert bench.clock.now_ms() >= newest_ms


def test_a_clock_that_was_turned_back_is_believed_though_another_log_is_read_late() -> None:
    """The newest record since then is what it never falls below."""
    bench = Bench()
    bench.record(4, "a")
    bench.record(4, "b")
    bench.broker_ms -= HOUR_MS
    for _ in range(8):
        bench.record(9, "a")
        bench.clock.appended(bench.broker_ms - 40_000, "b")
        bench.pass_time(10_000)
    assert bench.clock.now_ms() <= bench.broker_ms
    assert bench.clock.now_ms() >= bench.broker_ms - 10_010

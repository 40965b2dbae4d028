"""The committed view: sums of all partitions, exact, consistent, and only what is committed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.board.view.tables import UnreadablePageError, exact_cumulative, exact_sum, merge_pages
from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations
from streams.domain.pages import Page, PageKey, encode_page, fingerprint_key
from streams.domain.rollups import OTHER
from streams.engine.ledger_view import FollowerDelta
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot

DAY = load_festivals()["singles-day-2019"]
BY_NAME = {rollup.name: rollup for rollup in ROLLUPS}
WINDOWED = ("orders_by_second", "orders_by_platform", "orders_by_merchant")
GROUPS = {
    "orders_by_second": (("CNY",), ("USD",)),
    "orders_by_platform": (("tmall", "CNY"), ("tmall", "USD"), (OTHER, "CNY")),
    "orders_by_merchant": tuple((f"m{i}", "CNY") for i in range(40)),
}


def view_of(ledger: CellLedger) -> Snapshot:
    view = CommittedView()
    view.feed(ledger.drain())
    return view.snapshot()


additions = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(WINDOWED).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(GROUPS[name]))),
        st.integers(0, 300),
        st.integers(0, 3) | st.integers(2**61, 2**70),
        st.booleans(),
    ),
    max_size=40,
)


@given(additions)
def test_tables_equal_a_plain_sum_of_everything_written_whenever_they_are_read(
    steps: list[tuple[int, tuple[str, tuple[str, ...]], int, int, bool]],
) -> None:
    ledger, view = CellLedger(3), CommittedView()
    expected: dict[tuple[str, tuple[str, ...]], int] = {}
    per_second: dict[tuple[str, int], int] = {}
    kept: list[tuple[Snapshot, dict[tuple[str, tuple[str, ...]], int]]] = []
    for partition, (name, group), second, gross, is_read in steps:
        ledger.add(partition, DAY, name, group, DAY.start_ms + second * 1000, orders=1, gross_minor=gross)
        expected[name, group] = expected.get((name, group), 0) + gross
        if name == "orders_by_second":
            per_second[group[0], second] = per_second.get((group[0], second), 0) + gross
        if is_read:
            view.feed(ledger.drain())
            kept.append((view.snapshot(), dict(expected)))
    view.feed(ledger.drain())
    kept.append((view.snapshot(), expected))
    for snapshot, sums in (*kept, *reversed(kept)):  # snapshots may be read in any order
        for name in WINDOWED:
            table = snapshot.table(DAY.id, name)
            assert {g: v[2] for g, v in table.totals.items() if v[2] or (name, g) in sums} == {
                g: v for (n, g), v in sums.items() if n == name
            }
    seconds = kept[-1][0].table(DAY.id, "orders_by_second")
    for currency in ("CNY", "USD"):
        series = seconds.series(2, 86_400, currency)
        assert len(series) == 86_400
        assert {i: int(v) for i, v in enumerate(series.tolist()) if v} == {
            s: v for (c, s), v in per_second.items() if c == currency and v
        }
    before = seconds.totals_before(100)
    assert before.get(("CNY",), (0,) * 6)[2] == sum(v for (c, s), v in per_second.items() if c == "CNY" and s < 100)


def test_a_snapshot_does_not_change_when_the_view_goes_on() -> None:
    ledger, view = CellLedger(1), CommittedView()
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
    ledger.commit(0, {"orders": 1})
    view.feed(ledger.drain())
    before = view.snapshot()
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
    ledger.commit(0, {"orders": 2})
    view.feed(ledger.drain())
    assert view.snapshot().table(DAY.id, "orders_by_second").totals[("CNY",)][0] == 2
    assert before.table(DAY.id, "orders_by_second").totals[("CNY",)][0] == 1
    assert before.positions() == {"orders": {0: 1}}


def test_without_news_the_snapshot_and_its_tables_are_the_same_objects() -> None:
    ledger, view = CellLedger(1), CommittedView()
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
    ledger.add(0, DAY, "orders_by_platform", ("tmall", "CNY"), DAY.start_ms, orders=1)
    view.feed(ledger.drain())
    first = view.snapshot()
    assert view.snapshot() is first
    platform = first.table(DAY.id, "orders_by_platform")
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
    view.feed(ledger.drain())
    assert view.snapshot().table(DAY.id, "orders_by_platform") is platform


def test_readers_in_many_threads_each_see_their_own_snapshot() -> None:
    ledger, view = CellLedger(1), CommittedView()
    snapshots = []
    for _ in range(50):
        ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
        view.feed(ledger.drain())
        snapshots.append(view.snapshot())
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda s: s.table(DAY.id, "orders_by_second").totals[("CNY",)][0], snapshots * 4))
    assert seen == list(range(1, 51)) * 4


def test_a_new_generation_replaces_everything() -> None:
    view = CommittedView()
    old, new = CellLedger(2), CellLedger(2, "g2")
    old.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=7)
    old.commit(0, {"orders": 7})
    view.feed(old.drain())
    new.add(1, DAY, "orders_by_second", ("CNY",), DAY.start_ms + 5000, orders=3)
    new.commit(1, {"orders": 3})
    view.feed(new.drain())
    snapshot = view.snapshot()
    assert snapshot.generation == "g2"
    assert snapshot.table(DAY.id, "orders_by_second").totals == {("CNY",): (3, 0, 0, 0, 0, 0, 0)}
    assert snapshot.positions() == {"orders": {1: 3}}


def test_the_view_is_complete_once_every_partition_has_a_readable_cursor() -> None:
    ledger, view = CellLedger(2), CommittedView()
    assert not view.snapshot().is_complete
    ledger.commit(0)
    view.feed(ledger.drain())
    assert not view.snapshot().is_complete
    ledger.commit(1)
    view.feed(ledger.drain())
    assert view.snapshot().is_complete
    view.feed(FollowerDelta("g1", 2, reset=False, changed_pages={}, cursors={1: b"\xff"}))
    assert not view.snapshot().is_complete


def test_the_watermark_is_five_seconds_below_the_slowest_partition_that_saw_an_event() -> None:
    ledger = CellLedger(3)
    ledger.commit(0, max_event_times_ms={"orders": 100_000, "payments": 50_000})
    ledger.commit(1, max_event_times_ms={"orders": 90_000})
    ledger.commit(2)
    snapshot = view_of(ledger)
    assert snapshot.watermark_ms(("orders",)) == 85_000
    assert snapshot.watermark_ms(("orders", "payments")) == 45_000
    assert snapshot.watermark_ms(("parcels",)) is None


def test_a_partition_without_cursor_leaves_the_watermark_unknown() -> None:
    ledger = CellLedger(2)
    ledger.commit(0, max_event_times_ms={"orders": 100_000})
    assert view_of(ledger).watermark_ms(("orders",)) is None


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'["generations"]',
        b'["g1","cursor"]',
        b'["g1","page","f","unknown_rollup",0]',
        b'["g2","page","f","orders_by_second",0]',
        b'["g1","page","f","orders_by_second","0"]',
    ],
)
def test_records_that_are_no_page_of_the_generation_are_passed_over(key: bytes) -> None:
    ledger = CellLedger(1)
    ledger.write(0, key, b"{}")
    assert view_of(ledger).festivals == frozenset()


def test_a_festival_is_read_as_it_was_counted_whatever_its_file_says_today() -> None:
    moved = replace(
        DAY, start_ms=DAY.start_ms + 3_600_000, end_ms=DAY.end_ms + 3_600_000, facts=("orders",), name="New"
    )
    declarations = Declarations({DAY.id: DAY}, 0, 10)
    ledger = CellLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
    ledger.write(0, fingerprint_key("g1"), declarations.fingerprint)
    counted = view_of(ledger).as_counted(moved)
    assert (counted.start_ms, counted.end_ms, counted.facts) == (DAY.start_ms, DAY.end_ms, DAY.facts)
    assert counted.name == "New"
    assert view_of(CellLedger(1)).as_counted(moved) == moved


def test_pages_are_read_by_the_rollups_they_were_written_under() -> None:
    seconds = BY_NAME["orders_by_second"]
    older = replace(seconds, measures=tuple(reversed(seconds.measures)))
    declarations = Declarations({DAY.id: DAY}, 0, 10, (older,))
    ledger = CellLedger(1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, couponed=7)  # the last one now
    ledger.write(0, fingerprint_key("g1"), declarations.fingerprint)
    snapshot = view_of(ledger)
    assert snapshot.table(DAY.id, "orders_by_second").rollup == older
    assert totals_document(snapshot, DAY)["orders"] == 7  # the first one then


def test_a_fingerprint_that_cannot_be_read_is_passed_over() -> None:
    ledger = CellLedger(1)
    ledger.write(0, fingerprint_key("g1"), b"{")
    assert view_of(ledger).as_counted(DAY) == DAY


def test_an_unreadable_page_is_named_and_leaves_the_others_counted_until_it_is_mended() -> None:
    ledger, view = CellLedger(2), CommittedView()
    key = PageKey("g1", DAY.id, "orders_by_second", 3)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms + 900_000, orders=1)
    view.feed(ledger.drain())
    assert view.snapshot().table(DAY.id, "orders_by_second").totals[("CNY",)][0] == 2
    ledger.write(1, key.encode(), b"\xc1 no page")
    view.feed(ledger.drain())
    table = view.snapshot().table(DAY.id, "orders_by_second")
    assert table.unreadable == {3}
    assert table.totals[("CNY",)][0] == 1
    ledger.write(1, key.encode(), encode_page(Page((), 300, 7, b"", None)))
    view.feed(ledger.drain())
    table = view.snapshot().table(DAY.id, "orders_by_second")
    assert not table.unreadable
    assert table.totals[("CNY",)][0] == 2


@pytest.mark.parametrize(
    "page",
    [
        Page((("CNY",),), 1, 7, bytes(56), None),
        Page((("CNY",),), 300, 8, bytes(300 * 8 * 8), None),
        Page((("CNY",),), 300, 7, bytes(16), None),
        Page((("CNY",), ("CNY",)), 300, 7, bytes(2 * 300 * 7 * 8), None),
        Page((("tmall", "CNY"),), 300, 7, bytes(300 * 7 * 8), None),
        Page((("CNY",),), 300, 7, bytes(300 * 7 * 8), bytes(8)),
    ],
)
def test_a_page_of_another_shape_than_declared_is_unreadable(page: Page) -> None:
    with pytest.raises(UnreadablePageError):
        merge_pages([encode_page(page)], BY_NAME["orders_by_second"])


def test_sums_are_exact_where_64_bits_end() -> None:
    ledger = CellLedger(3)
    for partition in range(3):
        ledger.add(partition, DAY, "orders_by_second", ("CNY",), DAY.start_ms, gross_minor=2**63 - 1)
    table = view_of(ledger).table(DAY.id, "orders_by_second")
    assert table.totals[("CNY",)][2] == 3 * (2**63 - 1)
    assert table.series(2, 86_400, "CNY")[0] == 3 * (2**63 - 1)
    assert table.series(2, 86_400)[0] == 3 * (2**63 - 1)
    assert exact_sum(np.array([[2**62, 2**62]])).tolist() == [2**63]
    assert exact_cumulative(np.array([2**62, 2**62, 2**62])).tolist() == [2**62, 2**63, 3 * 2**62]


def test_a_table_is_overflowed_once_other_holds_something() -> None:
    ledger, view = CellLedger(1), CommittedView()
    ledger.add(0, DAY, "orders_by_merchant", ("m1", "CNY"), DAY.start_ms, orders=1)
    view.feed(ledger.drain())
    assert not view.snapshot().table(DAY.id, "orders_by_merchant").is_overflowed
    ledger.add(0, DAY, "orders_by_merchant", (OTHER, "CNY"), DAY.start_ms, orders=1)
    view.feed(ledger.drain())
    assert view.snapshot().table(DAY.id, "orders_by_merchant").is_overflowed

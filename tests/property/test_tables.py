"""Tables of a view against plain sums: whatever was added, in whatever order it was read, however large it is."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from streams.board.view.committed_view import CommittedView, Snapshot
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals

DAY = load_festivals()["singles-day-2019"]
ROLLUP = "orders_by_second"
SECONDS = (0, 1, 299, 300, 301, 86_100, 86_399)
"""At the edges of pages."""
CURRENCIES = ("CNY", "USD", "EUR")
AMOUNTS = (1, 7, 2**61, 2**62 - 1, 2**62, 2**63)
ADDED = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(SECONDS),
        st.sampled_from(CURRENCIES),
        st.sampled_from(AMOUNTS),
        st.booleans(),
    ),
    max_size=14,
)
"""Partition, second, currency, amount, and whether the view reads then."""
Added = list[tuple[int, int, str, int, bool]]


def views(added: Added) -> tuple[Snapshot, Snapshot]:
    """Return the same ledger as read bit by bit, its tables asked for each time, and as read at once."""
    ledger, whole, view, late = CellLedger(3), CellLedger(3), CommittedView(), CommittedView()
    for partition, second, currency, amount, is_read in added:
        for one in (ledger, whole):
            one.add(partition, DAY, ROLLUP, (currency,), DAY.start_ms + second * 1_000, orders=1, gross_minor=amount)
        if is_read:
            view.feed(ledger.drain())
            assert view.snapshot().table(DAY.id, ROLLUP).unreadable == frozenset()
    view.feed(ledger.drain())
    late.feed(whole.drain())
    return view.snapshot(), late.snapshot()


def summed(added: Added, seconds: int) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return orders and gross per currency of the first seconds."""
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for _, second, currency, amount, _ in added:
        if second < seconds:
            sums[currency,][0] += 1
            sums[currency,][1] += amount
    return {group: (orders, gross) for group, (orders, gross) in sums.items()}


@given(ADDED)
def test_totals_are_the_sums_over_all_partitions_however_they_were_read(added: Added) -> None:
    wanted = summed(added, 86_400)
    for snapshot in views(added):
        table = snapshot.table(DAY.id, ROLLUP)
        gross = [measure.name for measure in table.rollup.measures].index("gross_minor")
        assert {group: (cells[0], cells[gross]) for group, cells in table.totals.items()} == wanted


@given(ADDED, st.sampled_from((0, 1, 2, 299, 300, 301, 302, 600, 86_100, 86_399, 86_400)))
def test_totals_before_a_second_hold_nothing_of_it_or_later(added: Added, seconds: int) -> None:
    for snapshot in views(added):
        table = snapshot.table(DAY.id, ROLLUP)
        gross = [measure.name for measure in table.rollup.measures].index("gross_minor")
        found = {group: (cells[0], cells[gross]) for group, cells in table.totals_before(seconds).items()}
        assert {group: cells for group, cells in found.items() if cells != (0, 0)} == summed(added, seconds)


@given(ADDED, st.sampled_from((None, *CURRENCIES)), st.sampled_from((1, 300, 302, 86_400)))
def test_a_series_has_each_amount_in_its_second_of_one_currency_or_of_all(
    added: Added, currency: str | None, windows: int
) -> None:
    wanted = [0] * windows
    for _, second, of, amount, _ in added:
        if second < windows and currency in {None, of}:
            wanted[second] += amount
    for snapshot in views(added):
        table = snapshot.table(DAY.id, ROLLUP)
        gross = [measure.name for measure in table.rollup.measures].index("gross_minor")
        assert table.series(gross, windows, currency).tolist() == wanted
        assert table.series(gross, windows, currency) is table.series(gross, windows, currency)

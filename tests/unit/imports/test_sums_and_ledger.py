"""What the import says it adds is what the counter's own ledger shows, for any file: two ways to the same sums."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.domain.declarations import Declarations
from streams.engine.batch import RecordBatch
from streams.engine.ledger_records import Live
from streams.engine.processor import PartitionProcessor
from streams.festivals import load_festivals
from streams.imports.conversion import Conversion
from streams.imports.mapping import parse_mapping
from streams.imports.progress import Part, Progress
from streams.imports.rows import Row
from tests.unit.domain.samples import IDENTITY
from tests.unit.replay.test_tally_and_ledger import Delta

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
DAY_MS = 86_400_000
SETTLE_MS = 30 * DAY_MS
NOW_MS = DAY.end_ms + 99 * DAY_MS
COMMON = """
[fields]
event_id = "id"
ts = "ts"
ordered_ts = "ordered"
platform = { constant = "webshop" }
merchant = "merchant"
market = { constant = "DE" }
currency = "currency"
amount = "amount"
"""
MAPPINGS = {
    "orders": 'type = "type"' + COMMON + 'coupon = "less"\n',
    "payments": 'to = "payments"\ntype = "type"'
    + COMMON
    + 'method = { constant = "card" }\nreason = "merchant"\n'
    + 'payer_currency = "payer"\npayer_amount = "less"\nduty = "duty"\n',
}
TYPES = {
    "orders": ["order_placed", "order_cancelled"],
    "payments": ["payment_captured", "payment_failed", "payment_refunded"],
}
TIMES = st.sampled_from([DAY.start_ms - 1, DAY.start_ms, DAY.end_ms - 1, DAY.end_ms]) | st.integers(
    DAY.start_ms, DAY.end_ms
)
LATER = st.sampled_from([0, 1, SETTLE_MS, SETTLE_MS + 1, SETTLE_MS + DAY_MS, SETTLE_MS + 2 * DAY_MS])
AMOUNTS = st.sampled_from(["1", "12", "¥7", "99999999999", "0", "12.50", "1e3", "-1", None])


def rows_of(topic: str) -> st.SearchStrategy[dict[str, Any]]:
    row = {
        "id": st.sampled_from(["a", "b", "c", "d", "2E+17"]),
        "type": st.sampled_from([*TYPES[topic], *TYPES[topic], "lost"]),
        "ordered": TIMES,
        "later": LATER | st.none(),
        "merchant": st.sampled_from(["m", "n"]),
        "currency": st.sampled_from(["CNY", "CNY", "JPY", "eur"]),
        "payer": st.sampled_from(["CNY", "JPY", None]),
        "amount": AMOUNTS,
        "less": st.sampled_from(["0", "1", None]),
        "duty": AMOUNTS,
    }
    return st.fixed_dictionaries(row).map(with_times)


def with_times(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of an order's own time, or of so much later."""
    if row["later"] is None:
        return {**row, "ts": row["ordered"], "ordered": None}
    return {**row, "ts": row["ordered"] + row["later"]}


def imported(topic: str, rows: list[dict[str, Any]]) -> tuple[Progress, list[bytes]]:
    """Return what an import would say after sending the rows in parts of five, and what it would send."""
    mapping = parse_mapping(MAPPINGS[topic], "map.toml", FESTIVALS)
    conversion = Conversion(mapping, None, "id", FESTIVALS.values(), SETTLE_MS)
    progress, values = Progress(), list[bytes]()
    for first in range(0, len(rows), 5):
        cells = [[row.get(column) for column in conversion.columns] for row in rows[first : first + 5]]
        part: Part = conversion.convert(
            [Row(first + n, None, c) for n, c in enumerate(cells, 1)], DAY.end_ms + 99 * DAY_MS
        )
        progress = progress.after(part)
        values += [value for _, value in part.records]
    return progress, values


def counted(topic: str, values: list[bytes]) -> dict[str, Any]:
    """Return the totals of the 2019 day after the counter has seen the records."""
    processor = PartitionProcessor(Declarations(FESTIVALS, SETTLE_MS, 10), 0, "g1")
    processor.belongs_to(IDENTITY)
    for name in ("orders", "payments", "parcels", "recycling"):
        processor.start_at(name, 0)
    nothing, times = [None] * len(values), [NOW_MS] * len(values)
    processor.apply(RecordBatch(topic, 0, 0, len(values), range(len(values)), nothing, values, times))
    checkpoint = processor.cut()
    assert checkpoint is not None
    view = CommittedView()
    encoded = Live().encode(checkpoint)
    pages = {(0, key): value for key, value in encoded.pages.items()}
    view.feed(Delta(changed_pages=pages, cursors={0: encoded.last[1]}, partitions=1))
    return totals_document(view.snapshot(), DAY, has_story=False)


def agree(topic: str, rows: list[dict[str, Any]]) -> None:
    progress, values = imported(topic, rows)
    totals = counted(topic, values)
    assert (totals["duplicates"], totals["rejected"]) == (0, 0), "what is sent is counted"
    assert progress.rows == progress.sent + progress.bad_count + sum(progress.left_out.values())
    said = progress.festivals.get(DAY.id)
    if said is None:
        assert totals["money"] == totals["payer"] == {}
        return
    counts = said["payments"] if topic == "payments" else {name: said[name] for name in ("orders", "cancelled")}
    assert counts.items() <= (totals["payments"] if topic == "payments" else totals).items()
    for table in ("money", "payer"):
        found = said.get(table, {})
        assert set(found) == set(totals[table])
        for currency, sums in found.items():
            assert sums.items() <= totals[table][currency].items()


@settings(max_examples=150, deadline=None)
@given(st.lists(rows_of("orders"), min_size=4, max_size=12))
def test_orders_add_what_the_import_says(rows: list[dict[str, Any]]) -> None:
    agree("orders", rows)


@settings(max_examples=150, deadline=None)
@given(st.lists(rows_of("payments"), min_size=4, max_size=12))
def test_payments_add_what_the_import_says(rows: list[dict[str, Any]]) -> None:
    agree("payments", rows)

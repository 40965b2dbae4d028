"""What property tests of the ledger share: logs of records, ways to run them, a ledger's cells as a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from streams.domain.pages import HIGH_SHIFT, decode_page
from streams.domain.rollups import PAGE_MS, WINDOW_MS, Window
from streams.engine.batch import RecordBatch
from streams.engine.memory import Kafka, MemoryLedgerStore, create_topics
from streams.engine.processor import PartitionProcessor, restore_processor
from streams.engine.steps import nothing_at
from tests.unit.domain import samples
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence

    from streams.domain.declarations import Declarations
    from streams.domain.pages import PageKey
    from streams.engine.checkpoint import Restored
    from streams.engine.memory import MemoryPartitionStore
    from streams.engine.steps import AtStep
    from tests.property.oracle import Cell

FESTIVALS = (
    samples.festival("day"),
    samples.festival("night", samples.START_MS + 20 * samples.HOUR_MS, 8),
    samples.festival("orders-only", samples.START_MS + samples.HOUR_MS, 1, ("orders",)),
)
"""Overlapping, so that events belong to none, one, two or three."""

HLL_MODE = 2
"""The mode of a serialized sketch with all registers. Before, it holds the few hashes themselves."""

RECORD_TIME_MS = samples.START_MS + 400 * 24 * samples.HOUR_MS
"""Kafka's clock: after every event time drawn, so that no event lies in the future."""


@dataclass(frozen=True)
class Record:
    """One record of a log."""

    topic: str
    value: bytes
    record_time_ms: int


def _event_times() -> st.SearchStrategy[int]:
    edges = [edge for f in FESTIVALS for edge in (f.start_ms, f.end_ms)]
    near = st.builds(lambda edge, by: edge + by, st.sampled_from(edges), st.sampled_from((-1, 0, 1, 999, 1000)))
    return near | st.integers(samples.START_MS - 10_000, samples.START_MS + 30 * samples.HOUR_MS)


_LATER_MS = st.sampled_from((0, 0, 1, 20_000, samples.SETTLE_MS, samples.SETTLE_MS + 9 * samples.HOUR_MS))
_AMOUNTS = st.sampled_from((0, 1, 99, 10**13)) | st.integers(0, 10**13)
_EVENT_IDS = st.integers(0, 40).map(lambda n: f"e{n}")


@st.composite
def _orders(draw: st.DrawFn) -> dict[str, Any]:
    festival_ms = draw(_event_times())
    later_ms = draw(_LATER_MS)
    amount = draw(_AMOUNTS)
    coupon = draw(st.integers(0, amount))
    return samples.order(
        type=draw(st.sampled_from(("order_placed", "order_placed", "order_cancelled"))),
        event_id=draw(_EVENT_IDS),
        ts=festival_ms + later_ms,
        ordered_ts=festival_ms if later_ms else None,
        platform=draw(st.sampled_from(("tmall", "taobao", "天猫国际"))),
        merchant=f"m{draw(st.integers(0, 60))}",
        market=draw(st.sampled_from(("CN", "US"))),
        currency=draw(st.sampled_from(("CNY", "USD", "JPY"))),
        amount_minor=amount,
        coupon_minor=coupon,
        credit_minor=draw(st.integers(0, amount - coupon) | st.none()),
        category=draw(st.sampled_from((None, "apparel"))),
    )


@st.composite
def _payments(draw: st.DrawFn) -> dict[str, Any]:
    festival_ms = draw(_event_times())
    later_ms = draw(_LATER_MS)
    kind = draw(st.sampled_from(("payment_captured", "payment_failed", "payment_refunded")))
    is_abroad = draw(st.booleans())
    return samples.payment(
        type=kind,
        event_id=draw(_EVENT_IDS),
        ts=festival_ms + later_ms,
        ordered_ts=festival_ms if later_ms else None,
        method=draw(st.sampled_from(("alipay", "alipay_epass", "card"))),
        currency=draw(st.sampled_from(("CNY", "USD"))),
        amount_minor=draw(_AMOUNTS),
        payer_currency="CNY" if is_abroad else None,
        payer_amount_minor=draw(_AMOUNTS) if is_abroad else None,
        transport_minor=draw(_AMOUNTS) if is_abroad else None,
        duty_minor=draw(_AMOUNTS) if is_abroad else None,
        reason="declined" if kind == "payment_failed" else None,
    )


@st.composite
def _parcels(draw: st.DrawFn) -> dict[str, Any]:
    festival_ms = draw(_event_times())
    shipped_ms = festival_ms + draw(st.sampled_from((0, 1, samples.HOUR_MS)))
    days = draw(st.sampled_from((0, 1, 12, 60, 61, 200)))
    return samples.parcel(
        type=draw(st.sampled_from(("parcel_shipped", "parcel_cleared", "parcel_delivered", "parcel_delivered"))),
        event_id=draw(_EVENT_IDS),
        ts=shipped_ms + days * 24 * samples.HOUR_MS + draw(st.sampled_from((0, 86_399_999))),
        ordered_ts=festival_ms,
        carrier=draw(st.sampled_from(("cainiao", "ems", "usps"))),
        origin=draw(st.sampled_from(("CN", "US"))),
        market=draw(st.sampled_from(("ES", "RU", "FR"))),
        shipped_ts=draw(st.sampled_from((shipped_ms, shipped_ms, None))),
    )


@st.composite
def _boxes(draw: st.DrawFn) -> dict[str, Any]:
    return samples.box(
        event_id=draw(_EVENT_IDS),
        ts=draw(_event_times()),
        station=f"s{draw(st.integers(0, 9))}",
        operator=draw(st.sampled_from(("cainiao", "partner"))),
        city=draw(st.sampled_from(("杭州", "Ningbo"))),
        district=f"d{draw(st.integers(0, 4))}",
        boxes=draw(st.sampled_from((1, 5, 10**13))),
        points=draw(st.sampled_from((0, 37, 10**13))),
        flash=draw(st.sampled_from((True, False, None))),
        user=draw(st.sampled_from(("u1", "u2", None))),
    )


TOPICS = ("orders", "payments", "parcels", "recycling")
_EVENTS = dict(zip(TOPICS, (_orders, _payments, _parcels, _boxes), strict=True))
_POISON = st.sampled_from((b"{}", b"", b"\xff", b"[]", samples.encode(samples.order(amount_minor=-1)), b'{"type":"x"}'))


@st.composite
def logs(draw: st.DrawFn, most: int = 60) -> list[Record]:
    """Return records of all topics in one order of arrival, their record times rising in steps around a minute."""
    records: list[Record] = []
    time_ms = RECORD_TIME_MS
    for _ in range(draw(st.integers(0, most))):
        time_ms += draw(st.sampled_from((0, 0, 1, 30_000, 61_000, 11 * 60_000)))
        topic = draw(st.sampled_from(TOPICS))
        events = _EVENTS[topic]()
        value = draw(st.one_of(events.map(samples.encode), events.map(samples.encode), _POISON))
        records.append(Record(topic, value, time_ms))
    return records


def batches(records: Sequence[Record], cuts: Iterable[int] = ()) -> list[RecordBatch]:
    """Return `records` as batches: one wherever the topic changes, and at each of `cuts`."""
    limits = sorted({0, len(records), *(cut % (len(records) + 1) for cut in cuts)})
    offsets = dict.fromkeys(TOPICS, 0)
    found: list[RecordBatch] = []
    for first, last in pairwise(limits):
        for topic in TOPICS:
            chosen = [record for record in records[first:last] if record.topic == topic]
            start, end = offsets[topic], offsets[topic] + len(chosen)
            offsets[topic] = end
            values, times = [r.value for r in chosen], [r.record_time_ms for r in chosen]
            found.append(RecordBatch(topic, 0, start, end, range(start, end), [None] * len(chosen), values, times))
    return found


def new_processor(declarations: Declarations) -> PartitionProcessor:
    """Return an empty processor at the beginning of all logs."""
    processor = PartitionProcessor(declarations, 0, "g1")
    processor.belongs_to(IDENTITY)
    for topic in TOPICS:
        processor.start_at(topic, 0)
    return processor


class Counted:
    """What is committed of partition 0, in a Kafka of its own that holds the sources too."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        """Begin with nothing counted, and `records` in the sources' logs in order of arrival."""
        self.kafka = Kafka()
        create_topics(self.kafka, 1)
        for record in records:
            self.kafka.tick(record.record_time_ms)
            self.kafka.produce(record.topic, 0, [record.value])

    def owner(self, at_step: AtStep = nothing_at) -> MemoryPartitionStore:
        """Return the right to write, which fences every older owner; `at_step`: see `MemoryLedgerStore`."""
        return MemoryLedgerStore(at_step, self.kafka).fence_now(0, "g1")

    @property
    def committed(self) -> Restored:
        """Return what a restore would return."""
        return MemoryLedgerStore(kafka=self.kafka).committed(0, "g1")

    @property
    def rejected(self) -> list[tuple[str, int, bytes]]:
        """Return topic, offset and value of the committed rejected records, sorted."""
        found = MemoryLedgerStore(kafka=self.kafka).rejected
        return sorted((r.topic, r.offset, r.value or b"") for r in found)


def restored(declarations: Declarations, owner: MemoryPartitionStore) -> PartitionProcessor:
    """Return a processor that goes on where the last committed checkpoint ended."""
    processor = restore_processor(declarations, 0, "g1", owner.restore_now())
    if processor.identity is None:
        processor.belongs_to(IDENTITY)
    for topic in set(TOPICS) - set(processor.positions):
        processor.start_at(topic, 0)
    return processor


def outcomes(processor: PartitionProcessor) -> dict[str, Counter[str]]:
    """Return the number of records by topic and outcome."""
    return {topic: state.outcomes for topic, state in processor.count_waiting().topics.items()}


def rejections(processor: PartitionProcessor) -> dict[str, Counter[str]]:
    """Return the number of rejected records by topic and reason."""
    return {topic: state.rejected for topic, state in processor.count_waiting().topics.items()}


def all_pages(processor: PartitionProcessor) -> dict[tuple[str, str, int], object]:
    """Return every page of a ledger; of a sketch what it holds, because a restored one lays it out in another order."""
    ledger = processor.count_waiting()
    pages = {(*name, number): page for name, table in ledger.tables.items() for number, page in table.pages()}
    sketches = {
        (*name, 0): sketch_content(page.low) for name, table in ledger.sketches.items() for _, page in table.pages()
    }
    return {**pages, **sketches}


def sketch_content(sketch: bytes) -> tuple[int, bytes | list[int]]:
    """Return how a sketch is kept, and what: a few hashes in any order, or a register each."""
    preamble_ints, mode = sketch[0], sketch[7] & 3
    content = sketch[4 * preamble_ints :]
    return mode, content if mode == HLL_MODE else sorted(np.frombuffer(content, dtype="<u4").tolist())


def cells_of(declarations: Declarations, pages: Mapping[PageKey, bytes]) -> dict[Cell, int]:
    """Return all cells that are not 0 in written pages, as the oracle names them."""
    rollups = {rollup.name: rollup for rollup in declarations.rollups}
    cells: dict[Cell, int] = {}
    for key, value in pages.items():
        if key.rollup not in rollups:
            continue  # a sketch
        rollup, page = rollups[key.rollup], decode_page(value)
        is_whole = rollup.window is Window.FESTIVAL
        low, high = page.cells().tolist(), page.high_cells()
        for index, measure in enumerate(rollup.measures):
            for column, cell in enumerate(low[index]):
                group, slot = divmod(column, page.slots)
                total = cell + (0 if high is None else int(high[index, column]) << HIGH_SHIFT)
                start_ms = 0 if is_whole else key.number * PAGE_MS[rollup.window] + slot * WINDOW_MS[rollup.window]
                if total:
                    cells[key.festival, key.rollup, start_ms, page.groups[group], measure.name] = total
    return cells

"""What the counting rate and the memory of a worker depend on: `python -m bench.scaling`.

Each configuration is preloaded once, and a fifth of it on topics of its own; both are caught up with in every round,
one after the other, so that what else the machine does meets all of them. What lies between the two is the rate of a
festival that has begun: takeovers, new merchants and new minutes cost both the same. The memory of a worker is fitted
to the runs but one, and foretold for that one.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.catch_up import catch_up
from bench.measures import median, tell
from bench.orders import DAY, Orders, preload, values
from bench.report import machine, write
from bench.topics import Bench, open_bench, prepare
from streams.domain.declarations import Declarations
from streams.domain.duplicates import SeenIds
from streams.domain.pages import Identity, decode_page
from streams.domain.sketches import DISTINCTS
from streams.engine.batch import RecordBatch
from streams.engine.ledger_keys import Kind, parse_key
from streams.engine.ledger_records import Live, Written, decode_restored
from streams.engine.processor import PartitionProcessor, restore_processor
from streams.kafka.ledger.follower import read_committed_ledger
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measures import Run

IDS = 1_000_000
IDS_PER_BATCH = 2_000
LEDGER_ORDERS = 200_000
TERMS = ("base", "per partition", "per cell", "per remembered id")


@dataclasses.dataclass(slots=True)
class Case:
    """One configuration, and what was measured with it."""

    name: str
    partitions: int
    orders: Orders
    bench: Bench
    cells: int = 0
    runs: list[Run] = dataclasses.field(default_factory=list)
    fifth: Case | None = None

    @property
    def begun_rate(self) -> float:
        """Return the median events per CPU second beyond the first fifth."""
        assert self.fifth is not None
        pairs = zip(self.runs, self.fifth.runs, strict=True)
        return median(
            [(all_.events - few.events) / max(all_.cpu_seconds - few.cpu_seconds, 1e-3) for all_, few in pairs]
        )

    @property
    def rate(self) -> float:
        """Return the median events per CPU second."""
        return median([run.events_per_cpu_second for run in self.runs])

    @property
    def rss_mb(self) -> float:
        """Return the median of the peak memory."""
        return median([run.peak_rss_mb for run in self.runs])

    @property
    def terms(self) -> tuple[float, ...]:
        """Return what the memory formula multiplies its coefficients with."""
        return 1.0, float(self.partitions), float(self.cells), float(self.orders.count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling")
    parser.add_argument("--broker", help="HOST:PORT; default: an embedded Kafka of its own")
    parser.add_argument("--orders", type=int, default=2_000_000, help="of each configuration")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="Markdown file whose part on scaling is replaced")
    return parser.parse_args()


def _cases(bench: Bench, orders: int) -> list[Case]:
    def case(name: str, partitions: int, what: Orders) -> Case:
        def own() -> Bench:
            return dataclasses.replace(bench, prefix=f"bench-{uuid.uuid4().hex[:8]}-", partitions=partitions)

        few = Case(f"{name}, a fifth", partitions, dataclasses.replace(what, count=what.count // 5), own())
        return Case(name, partitions, what, own(), fifth=few)

    return [
        case("1 partition", 1, Orders(orders)),
        case("8 partitions", 8, Orders(orders)),
        case("64 partitions", 64, Orders(orders)),
        case("8 partitions, one hour", 8, Orders(orders, hours=1)),
        case("8 partitions, 10 merchants", 8, Orders(orders, merchants=10)),
        case("8 partitions, 10,000 merchants", 8, Orders(orders, merchants=10_000)),
        case("16 partitions, twice the orders", 16, Orders(2 * orders, merchants=3_000)),
    ]


async def _cells(bench: Bench) -> int:
    """Return how many cells the ledger holds in all partitions."""
    delta = await read_committed_ledger(bench.settings)
    sketches = tuple(f'"{distinct.name}"' for distinct in DISTINCTS)
    found = 0
    for (_, key), value in delta.changed_pages.items():
        if parse_key(key)[1] is Kind.PAGE and not any(name in key.decode() for name in sketches):
            page = decode_page(value)
            found += page.measures * page.slots * len(page.groups)
    return found


def fit(cases: Sequence[Case]) -> list[float]:
    """Return the coefficients of the memory formula in bytes, none of them negative."""
    left = np.array([case.terms for case in cases])
    right = np.array([case.rss_mb * 2**20 for case in cases])
    terms = list(range(len(TERMS)))
    while True:
        # Weighed by the size: what counts is the error's share.
        found = np.linalg.lstsq(left[:, terms] / right[:, None], np.ones(len(right)), rcond=None)[0]
        if (found >= 0).all():
            coefficients = dict(zip(terms, found.tolist(), strict=True))
            return [coefficients.get(term, 0.0) for term in range(len(TERMS))]
        terms.pop(int(np.argmin(found)))


def foretold_mb(coefficients: Sequence[float], case: Case) -> float:
    """Return the memory that the formula expects."""
    return sum(factor * term for factor, term in zip(coefficients, case.terms, strict=True)) / 2**20


def duplicates() -> list[str]:
    """Return rows on remembering ids: time, memory, and how fast checkpoints are restored."""
    drawn = np.random.default_rng(1).integers(0, 2**64, IDS, dtype=np.uint64)
    hashes = [drawn[first : first + IDS_PER_BATCH] for first in range(0, IDS, IDS_PER_BATCH)]
    seen = SeenIds(10)
    began = time.process_time()
    for number, batch in enumerate(hashes):
        seen.sight(number * 10 * IDS_PER_BATCH // IDS, batch)
    took = time.process_time() - began
    restored = SeenIds(10)
    began = time.process_time()
    for minute in range(10):
        restored.restore(minute, hashes[minute * len(hashes) // 10 : (minute + 1) * len(hashes) // 10])
    rate = IDS / (time.process_time() - began)
    return [
        f"| looking a hashed id up and remembering it, of {IDS:,} in 10 minutes | {took / IDS * 1e6:.2f} µs |",
        f"| memory of a remembered id, filter included | {seen.size_bytes / len(seen):.1f} bytes |",
        f"| restored ids per CPU second | {rate / 1e6:.0f} million |",
    ]


def _apply(processor: PartitionProcessor, records: Sequence[bytes]) -> None:
    """Count records behind those that were counted."""
    begin = processor.positions["orders"]
    for first in range(0, len(records), IDS_PER_BATCH):
        part = records[first : first + IDS_PER_BATCH]
        offsets = range(begin + first, begin + first + len(part))
        times = [DAY.end_ms] * len(part)
        processor.apply(RecordBatch("orders", 0, offsets[0], offsets[-1] + 1, offsets, [None] * len(part), part, times))


def _cut(processor: PartitionProcessor) -> Written:
    """Return the records of a checkpoint on the ledger's topic."""
    checkpoint = processor.cut()
    assert checkpoint is not None
    encoded = Live().encode(checkpoint)
    return Written(dict([*encoded.pages.items(), encoded.last]), {})


def pages() -> list[str]:
    """Return rows on one partition's ledger of a day and 10,000 merchants: taken over, and then written in part."""
    declarations = Declarations({DAY.id: DAY}, Settings().settle_ms, Settings().dedup_horizon_minutes)
    processor = PartitionProcessor(declarations, 0, "g1")
    processor.belongs_to(Identity(cluster="", own={}, topics={}))
    for topic in declarations.topics:
        processor.start_at(topic, 0)
    records = values(Orders(LEDGER_ORDERS, merchants=10_000))
    _apply(processor, records)
    written = _cut(processor)
    megabytes = sum(map(len, written.ledger.values())) / 2**20
    began = time.process_time()
    processor = restore_processor(declarations, 0, "g1", decode_restored(0, "g1", written, Live("g1", written)))
    per_100 = (time.process_time() - began) / megabytes * 100
    rows = [f"| pages taken over after a restore, per 100 MB (here {megabytes:.1f} MB) | {per_100:.1f} s |"]
    for count in (1, 100, 10_000):
        _apply(processor, [record.replace(b"scale-", b"later%d-" % count) for record in records[-count:]])
        found = sum(map(len, _cut(processor).ledger.values()))
        rows.append(f"| a checkpoint of it, {count:,} orders later | {found / 1000:,.0f} KB |")
    return rows


def _rows(cases: Sequence[Case]) -> list[str]:
    rows = [
        "| | merchants | events per CPU second | beyond the first fifth | beside 8 partitions | peak MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    base = next(case.begun_rate for case in cases if case.partitions == 8)
    for case in cases:
        begun = f"{case.begun_rate:,.0f} | {case.begun_rate / base:.2f}"
        beside = f"{case.rate:,.0f} | {begun} | {case.rss_mb:,.0f}"
        rows.append(f"| {case.name} | {case.orders.merchants:,} | {beside} |")
    halves = [run.halves for run in cases[-1].runs]
    beside = f"{median([second / first for first, second in halves]):.2f}"
    return [*rows, "", f"The second half of the last line's day beside its first, events per CPU second: {beside}."]


def _formula(cases: Sequence[Case]) -> list[str]:
    *others, checked = cases
    factors = fit([one for case in others for one in (case, case.fifth) if one is not None])
    foretold = foretold_mb(factors, checked)
    base, per_partition, *rest = factors
    parts = [f"{base / 2**20:.0f} MB", f"partitions × {per_partition / 2**20:.2f} MB"]
    parts += [f"{name} × {factor:.0f} bytes" for name, factor in zip(("cells", "remembered ids"), rest, strict=True)]
    return [
        "Peak memory of a worker that catches up: " + " + ".join(parts) + ".",
        (
            f"For the last line, which was not fitted ({checked.partitions} partitions, {checked.cells:,} cells, "
            f"{checked.orders.count:,} ids), it says {foretold:,.0f} MB; measured: {checked.rss_mb:,.0f} MB "
            f"({foretold / checked.rss_mb - 1:+.0%})."
        ),
    ]


async def _main() -> None:
    arguments = _arguments()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with open_bench(arguments.broker) as bench:
        cases = _cases(bench, arguments.orders)
        both = [one for case in cases for one in (case, case.fifth) if one is not None]
        for case in both:
            await prepare(case.bench)
            await preload(case.bench, case.orders)
        tell(f"{sum(case.orders.count for case in both):,} orders preloaded")
        for number in range(arguments.rounds):
            for case in both:
                case.runs.append(await catch_up(case.bench, case.orders.count, 1))
                tell(f"round {number + 1}, {case.name}: {case.runs[-1]}")
        for case in both:
            case.cells = await _cells(case.bench)
    lines = [f"Machine: {machine()}. {arguments.rounds} rounds, medians, {arguments.orders:,} orders each.", ""]
    lines += [*_rows(cases), "", *_formula(cases), "", "| | |", "|---|---:|", *duplicates(), *pages()]
    print("\n".join(lines))  # noqa: T201
    if arguments.write:
        write(arguments.write, lines, "scaling")


if __name__ == "__main__":
    asyncio.run(_main())

"""A counter without Kafka: what it wrote, and the same log for the audit."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from streams.audit import comparison
from streams.audit.admission import with_declared
from streams.audit.calendar import read_calendar
from streams.audit.declared import Declared, check_declared
from streams.audit.plan import read_plan
from streams.audit.result import AuditResult
from streams.audit.workbook import Records, Workbook, content_digest
from streams.audit.written import read_written
from streams.domain.declarations import Declarations
from streams.domain.pages import cursor_key, fingerprint_key
from streams.engine.batch import RecordBatch
from streams.engine.ledger_records import Live
from streams.engine.processor import PartitionProcessor
from streams.festivals import load_festivals
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from streams.audit.written import WrittenLedger
    from streams.engine.checkpoint import Checkpoint, RejectedRecord

START_MS = 1_573_401_600_000
"""11 November 2019, 00:00 in Shanghai."""
DAY_MS = 86_400_000
RECORD_TIME_MS = START_MS + 3_600_000

Record = tuple[int, bytes | None]
"""Record time and value."""


def order(event_id: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return the fields of a valid order."""
    fields = {
        "type": "order_placed", "event_id": event_id, "ts": START_MS + 1_000, "order_id": "o1", "platform": "tmall",
        "merchant": "m1", "market": "CN", "currency": "CNY", "amount_minor": 1_000, "coupon_minor": 30,
        "credit_minor": 7, "category": "shoes", "brand": "b1",
    }  # fmt: skip
    return fields | changes


def payment(event_id: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return the fields of a valid payment."""
    fields = {
        "type": "payment_captured", "event_id": event_id, "ts": START_MS + 2_000, "ordered_ts": START_MS + 1_000,
        "order_id": "o1", "payment_id": "p1", "platform": "tmall", "merchant": "m1", "market": "CN",
        "method": "alipay", "currency": "USD", "amount_minor": 963, "payer_currency": "CNY",
        "payer_amount_minor": 6_741, "transport_minor": 11, "duty_minor": 5,
    }  # fmt: skip
    return fields | changes


def parcel(event_id: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return the fields of a valid parcel."""
    fields = {
        "type": "parcel_delivered", "event_id": event_id, "ts": START_MS + 9 * DAY_MS, "ordered_ts": START_MS + 1_000,
        "order_id": "o1", "parcel_id": "p1", "carrier": "cainiao", "origin": "CN", "market": "RU",
        "shipped_ts": START_MS + DAY_MS,
    }  # fmt: skip
    return fields | changes


def box(event_id: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return the fields of a valid recycled box, on 20 November 2019."""
    fields = {
        "type": "box_recycled", "event_id": event_id, "ts": START_MS + 9 * DAY_MS, "station": "s1",
        "operator": "cainiao", "city": "Hangzhou", "district": "Yuhang", "boxes": 3, "points": 111, "flash": True,
        "user": "u1",
    }  # fmt: skip
    return fields | changes


def encode(fields: dict[str, Any]) -> bytes:
    """Return a record value."""
    return json.dumps(fields, ensure_ascii=False).encode()


class Bench:
    """One counter of a few partitions and everything it committed, beside the log it counted."""

    def __init__(self, directory: Path, **changes: Any) -> None:  # noqa: ANN401 - fields of Declarations
        """Start with an empty log, under the built-in declarations with `changes`; the audit works in `directory`."""
        self.declarations = dataclasses.replace(Declarations(load_festivals(), 30 * 86_400_000, 10), **changes)
        self.calendar = read_calendar(None)
        self.declared = Declared()
        """What the audit knows of a shop's declarations."""
        self.log: dict[tuple[str, int], list[Record]] = {}
        self.processors: dict[int, PartitionProcessor] = {}
        self.pages: dict[tuple[int, bytes], bytes] = {}
        self.rejected: list[RejectedRecord] = []
        self._directory = directory

    def send(self, topic: str, partition: int, *values: bytes | None, at: int = RECORD_TIME_MS) -> None:
        """Append records to the log and have them counted as one batch."""
        self.count(topic, partition, [(at, value) for value in values])

    def count(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Append records with their times to the log and have them counted as one batch."""
        records = list(records)
        log = self.log.setdefault((topic, partition), [])
        processor = self.processors.get(partition)
        if processor is None:
            processor = self.processors[partition] = PartitionProcessor(self.declarations, partition, "g1")
            processor.belongs_to(IDENTITY)
        if topic not in processor.positions:
            processor.start_at(topic, 0)
        start, end = len(log), len(log) + len(records)
        log.extend(records)
        times, values = [time for time, _ in records], [value for _, value in records]
        keys = [b"key"] * len(records)
        processor.apply(RecordBatch(topic, partition, start, end, range(start, end), keys, values, times))

    def commit(self) -> None:
        """Make everything counted so far durable."""
        for partition, processor in self.processors.items():
            checkpoint = processor.cut()
            if checkpoint is not None:
                self._keep(partition, checkpoint)

    def _keep(self, partition: int, checkpoint: Checkpoint) -> None:
        encoded = Live().encode(checkpoint)
        for key, value in (*encoded.pages.items(), encoded.last):
            self.pages[partition, key] = value
        self.rejected.extend(checkpoint.rejected)

    def cursors(self) -> dict[int, bytes]:
        """Return the committed cursors."""
        return {part: value for (part, key), value in self.pages.items() if key == cursor_key("g1")}

    def audit(
        self,
        ledger: WrittenLedger | None = None,
        festivals: Collection[str] | None = None,
        *,
        beginnings: Mapping[tuple[str, int], int] | None = None,
        rejected_from_ms: int = 0,
        reused: Mapping[tuple[str, int], int] | None = None,
    ) -> AuditResult:
        """Return what the audit finds in what was committed, or in another ledger of the same log.

        `beginnings`: where logs begin that have lost what lay before. `rejected_from_ms`: from when on rejected records
        are kept. `reused`: from which offset on other records stand in a log than were counted before.
        """
        beginnings = beginnings or {}
        ledger = ledger or read_written("g1", self.pages, self.cursors())
        fingerprint = next(value for (_, key), value in self.pages.items() if key == fingerprint_key("g1"))
        self._directory.mkdir(exist_ok=True)
        plan = read_plan(fingerprint)
        check_declared(plan, self.declared)
        book = Workbook(self._directory, plan, with_declared(self.declared.fields()))
        try:
            book.cut(beginnings)
            book.reuse(reused or {})
            for place, log in self.log.items():
                first = beginnings.get(place, 0)
                times_ms = np.array([time for time, _ in log[first:]], np.int64)
                values = [value for _, value in log[first:]]
                book.add(*place, Records(np.arange(first, len(log)), times_ms, [b"key"] * len(values), values))
            left = [r for r in self.rejected if r.offset >= beginnings.get((r.topic, r.partition), 0)]
            book.add_set_aside([_row(record) for record in left])
            result = AuditResult("g1", {}, rejected_from_ms=rejected_from_ms)
            comparison.compare(result, book, ledger, self.calendar, festivals, lambda _done, _total: None)
        finally:
            book.close()
            for file in self._directory.glob("audit.duckdb*"):
                file.unlink()
        return result


def _row(record: RejectedRecord) -> tuple[str, int, int, str, str]:
    digest = content_digest(record.key, record.value)
    return record.topic, record.partition, record.offset, str(record.rejection.reason), digest

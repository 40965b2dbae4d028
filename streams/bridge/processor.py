"""The processor of a bridge: batches of one partition of a source in, checkpoints with events out.

Driven by a tenure as the counter's is (`streams.engine.processing`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from streams.bridge.outcomes import RejectedError, WaitReason
from streams.bridge.plan import Changes
from streams.bridge.progress import BridgeCursor, Sent, SetAside, TranslatedCheckpoint
from streams.bridge.whole import translate_whole
from streams.engine.checkpoint import UnreadableError
from streams.engine.processing import StallError, new_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.bridge.records import Record
    from streams.bridge.schemas import Schemas
    from streams.bridge.translation import Translation
    from streams.domain.pages import Identity
    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import Restored
    from streams.engine.clock import Clock

GENERATION = "bridge"
"""The only one: what a bridge has sent stays sent."""
REJECTED_LIMIT_BYTES = 900_000
"""A larger record would not fit beside its headers (contract 1)."""
REJECTED_HEAD_BYTES = 64 * 1024
PAUSES_MS = {WaitReason.REGISTRY_AWAY: 500, WaitReason.UNKNOWN_SCHEMA: 2_500, WaitReason.NOT_ALLOWED: 2_500}
"""When a record is looked at again whose schema is not there; the registry is asked by a clock of its own."""
DETAILS = {
    WaitReason.REGISTRY_AWAY: "schema {} is not known, and the registry does not answer",
    WaitReason.UNKNOWN_SCHEMA: "the registry does not know schema {}: register it, or it is asked again",
    WaitReason.NOT_ALLOWED: "the registry does not let us read schema {}: see FESTIVAL_REGISTRY_*",
}
ASKED_MS = 50
"""The same where the registry was asked just now."""


class BridgeProcessor:
    """One partition of one source."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        bridge: str,
        translation: Translation,
        schemas: Schemas,
        cursor: BridgeCursor,
        partition: int,
        clock: Clock,
    ) -> None:
        """Go on where `cursor` ends."""
        self._bridge = bridge
        self._translation = translation
        self._schemas = schemas
        self._topic = translation.source.topic
        self._partition = partition
        self._clock = clock
        self._before = cursor
        self._changes = Changes(is_past_snapshot=cursor.is_past_snapshot)
        self.positions: dict[str, int] = dict(cursor.positions)
        self.epochs: dict[str, int] = dict(cursor.epochs)
        self.identity = cursor.identity
        self._newest_ms = cursor.stream_times_ms.get(self._topic)
        self._outcomes = Counter(cursor.outcomes.get(self._topic, {}))
        self._reasons = Counter(cursor.rejected.get(self._topic, {}))
        self._types = Counter(cursor.events)
        self._sequence = cursor.sequence
        self._events: list[Sent] = []
        self._set_aside: list[SetAside] = []
        self.pending_rejected_bytes = 0
        self._has_news = True
        self._told: dict[str, int] = {}

    def belongs_to(self, identity: Identity) -> None:
        """Never called: a bridge's first position is committed before anything is read."""
        raise AssertionError(identity)

    def start_at(self, topic: str, offset: int) -> None:
        """Never called: a bridge's first position is committed before anything is read."""
        raise AssertionError((topic, offset))

    def apply(self, batch: RecordBatch) -> None:
        """Translate a batch. Raises `HoleError`, and `StallError` where a record needs a schema that is not there."""
        new = new_of(batch, self.positions[self._topic])
        if new is None:
            return
        found = translate_whole(self._translation, new, self._changes, self._clock.now_ms())
        self._has_news = True
        self._outcomes += found.outcomes
        self._types += found.types
        count = len(new) if found.stop is None else found.stop
        if count:
            newest_ms = int(max(new.record_times_ms[:count]))
            self._newest_ms = newest_ms if self._newest_ms is None else max(self._newest_ms, newest_ms)
        if len(found.keys):
            self._events.append(Sent(self._translation.source.to, found.keys, found.values))
            self.pending_rejected_bytes += found.size
        for record, error in found.rejected:
            self._reasons[error.reason] += 1
            aside = set_aside(record, error, self._bridge)
            self._set_aside.append(aside)
            self.pending_rejected_bytes += len(aside.key or b"") + len(aside.value or b"")
        if new.leader_epoch is not None:
            self.epochs[self._topic] = new.leader_epoch
        if found.stop is None or found.needs is None:
            self.positions[self._topic] = batch.next_offset
            return
        self.positions[self._topic] = new.offsets[found.stop]
        reason = self._schemas.why(found.needs)
        if reason is None:
            raise StallError(self._topic, ASKED_MS, "", f"schema {found.needs} is asked for")
        raise StallError(self._topic, PAUSES_MS[reason], str(reason), DETAILS[reason].format(found.needs))

    def cut(self, *, tells_group: bool = True) -> TranslatedCheckpoint | None:
        """Return everything since the last cut, None where nothing changed; the first cut is never None."""
        is_behind = tells_group and self._told != self.positions
        if not self._has_news and not is_behind:
            return None
        if is_behind:
            self._told = dict(self.positions)
        self._sequence += 1
        events, self._events = self._events, []
        aside, self._set_aside = self._set_aside, []
        self.pending_rejected_bytes = 0
        self._has_news = False
        cursor = self._cursor()
        return TranslatedCheckpoint(
            partition=self._partition,
            generation=GENERATION,
            fingerprint=None,
            pages=(),
            cursor=cursor,
            seen=(),
            rejected=(),
            positions=dict(self.positions) if tells_group else {},
            progress=cursor,
            events=events,
            set_aside=aside,
        )

    def _cursor(self) -> BridgeCursor:
        topic, before = self._topic, self._before
        return BridgeCursor(
            positions=dict(self.positions),
            started=before.started,
            stream_times_ms={} if self._newest_ms is None else {topic: self._newest_ms},
            max_event_times_ms={},
            outcomes={topic: {str(outcome): number for outcome, number in self._outcomes.items()}},
            rejected={topic: {str(reason): number for reason, number in self._reasons.items()}},
            sequence=self._sequence,
            identity=before.identity,
            epochs=dict(self.epochs),
            begun_partitions=before.begun_partitions,
            events=dict(self._types),
            is_past_snapshot=self._changes.is_past_snapshot,
            stretches=before.stretches,
            gaps=before.gaps,
        )


def restore_bridge(  # noqa: PLR0917 - what is known beforehand, and what is restored
    bridge: str, translation: Translation, schemas: Schemas, clock: Clock, partition: int, restored: Restored
) -> BridgeProcessor:
    """Return the processor that goes on where the last committed checkpoint ended. Raises `UnreadableError`."""
    cursor = restored.cursor
    if not isinstance(cursor, BridgeCursor):
        raise UnreadableError(f"partition {partition} of {translation.source.topic} has no cursor of a bridge")
    return BridgeProcessor(bridge, translation, schemas, cursor, partition, clock)


def set_aside(record: Record, error: RejectedError, bridge: str) -> SetAside:
    """Return a record as it is set aside: itself, why, where it lay, and its own headers."""
    rejection = error.rejection
    key, value = record.key, record.value
    told: Mapping[str, str] = {
        "reason": str(rejection.reason),
        "detail": rejection.detail,
        "source_topic": record.topic,
        "source_partition": str(record.partition),
        "source_offset": str(record.offset),
        "bridge": bridge,
    }
    headers = [(name, text.encode("utf-8", "backslashreplace")) for name, text in told.items()]
    size = sum(len(name) + len(header or b"") for name, header in record.headers)
    if value is not None and len(value) + len(key or b"") + size > REJECTED_LIMIT_BYTES:
        headers.append(("original_bytes", str(len(value)).encode()))
        headers.append(("sha256", hashlib.sha256(value).hexdigest().encode()))
        value = value[:REJECTED_HEAD_BYTES]
    if key is not None and len(key) + size > REJECTED_LIMIT_BYTES:
        headers.append(("original_key_bytes", str(len(key)).encode()))
        key = key[:REJECTED_HEAD_BYTES]
    own = list(record.headers) if size <= REJECTED_HEAD_BYTES else _head(record)
    return SetAside(record.partition, key, value, [*headers, *((f"source.{name}", header) for name, header in own)])


def _head(record: Record) -> list[tuple[str, bytes | None]]:
    """Return as many headers of a record as fit, where they are too large to be written a second time."""
    found, size = [], 0
    for name, header in record.headers:
        size += len(name) + len(header or b"")
        if size > REJECTED_HEAD_BYTES:
            break
        found.append((name, header))
    return found

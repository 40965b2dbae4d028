"""`festival audit --bridge`: every record that a bridge has read, judged again, beside what stands on our topics.

As far back as the source's log reaches, up to the committed positions. An event must stand there as often as records
ask for it; where the beginning of a log is gone, at least so often.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka.structs import TopicPartition
from xxhash import xxh3_128_digest

from streams.bridge.audit.records import Judge
from streams.bridge.cluster import read_progress
from streams.bridge.map import BridgeMap, parse_map
from streams.bridge.newest import records_of
from streams.bridge.registry import Registry
from streams.engine.clock import SystemClock
from streams.engine.topic_names import BRIDGE_REJECTED, SOURCES
from streams.errors import UnreachableError, UsageError
from streams.festivals.declared import load_declared
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.bridge.progress import BridgeCursor, Progress, Stretch
    from streams.bridge.records import Record
    from streams.mapping.hashing import Hash
    from streams.settings import Settings


SHOWN = 1_000
"""Differences that are kept."""
_Content = tuple[str, str, bytes]
"""Topic, event_id and a digest of an event's fields."""


@dataclass
class SourceAudit:
    """One partition of one source."""

    topic: str
    partition: int
    start: int
    end: int
    is_whole: bool
    """Whether the log still has all that was read."""
    gaps: list[list[int]]
    read: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    difference: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as `--json` has it."""
        gaps = {"gaps": self.gaps} if self.gaps else {}
        counts = {name: self.outcomes[name] for name in ("sent", "ignored", "rejected")}
        place = {"topic": self.topic, "partition": self.partition, "from": self.start, "to": self.end}
        return {**place, "read": self.read, **counts, "difference": self.difference, **gaps}


@dataclass
class BridgeAudit:
    """One bridge."""

    bridge: str
    sources: list[SourceAudit] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)
    differing: int = 0
    aside_from_ms: int = 0
    """Record time from which on each rejected record must still be set aside: the topic keeps no older ones."""
    aside_gone: int = 0
    """Rejected records from before that are gone from there."""

    def differs(self, source: SourceAudit, offset: int | None, what: str, **more: Any) -> None:  # noqa: ANN401
        """Note a difference."""
        source.difference += 1
        self.differing += 1
        if len(self.differences) < SHOWN:
            place = {"topic": source.topic, "partition": source.partition, "offset": offset}
            self.differences.append({**place, "what": what, **more})

    def document(self) -> dict[str, Any]:
        """Return it as `--json` has it."""
        sources = [source.document() for source in self.sources]
        gone = {"rejected_gone": self.aside_gone} if self.aside_gone else {}
        return {"bridge": self.bridge, "sources": sources, "differences": self.differences, **gone}


@dataclass
class _Asked:
    """What records ask to stand on our topics."""

    events: Counter[_Content] = field(default_factory=Counter)
    places: dict[_Content, tuple[SourceAudit, int]] = field(default_factory=dict)
    """Where the first record lies that asks for it."""
    is_whole: bool = True


_Aside = dict[tuple[str, int, int], list["_SetAside"]]


@dataclass(frozen=True)
class _SetAside:
    reason: str
    key: bytes | None
    value: bytes | None
    record_time_ms: int
    is_head: bool


async def audit_bridges(settings: Settings, name: str | None, hashing: Hash | None) -> list[BridgeAudit]:
    """Return the audits of one bridge, or of all. Raises `UsageError`, `UnreachableError`, `KafkaError`."""
    progress = await read_progress(settings, name)
    names = sorted({bridge for bridge, _, _ in progress.cursors})
    if not names:
        raise UsageError(f"there is no progress of a bridge {name}" if name else "no bridge has begun here")
    aside = await _read_aside(settings, names)
    audits, asked = [], {}
    for bridge in names:
        kept_from_ms = settings.rejected_kept_from_ms(SystemClock().now_ms())
        audit, asked[bridge] = BridgeAudit(bridge, aside_from_ms=kept_from_ms), _Asked()
        await _read_sources(settings, progress, audit, asked[bridge], aside[bridge], hashing)
        audits.append(audit)
    found = await _read_events(settings, {content[:2] for one in asked.values() for content in one.events})
    for audit in audits:
        _compare(audit, asked[audit.bridge], found)
    return audits


async def _read_sources(  # noqa: PLR0917 - what is read, and where it is noted
    settings: Settings, progress: Progress, audit: BridgeAudit, asked: _Asked, aside: _Aside, hashing: Hash | None
) -> None:
    cursors = {(t, p): cursor for (b, t, p), cursor in sorted(progress.cursors.items()) if b == audit.bridge}
    facts = load_declared(settings.declarations).facts
    maps = {
        digest: parse_map(kept.text, Path(f"{bridge}.toml"), kept.descriptors.__getitem__, facts)
        for (bridge, digest), kept in progress.maps.items()
        if bridge == audit.bridge
    }
    newest = next(reversed(maps.values()))
    registry = Registry(settings.registry.urls or newest.registry, settings.registry)
    reader = await LogReader.open(settings, is_foreign=True)
    try:
        for (topic, partition), cursor in cursors.items():
            place = TopicPartition(topic, partition)
            begins = (await reader.beginning_offsets([place]))[place]
            started = cursor.gaps[-1].end if cursor.gaps else cursor.started[topic]
            source = SourceAudit(
                topic,
                partition,
                max(begins, started),
                cursor.positions[topic],
                begins <= cursor.started[topic] and not cursor.gaps,
                [[gap.start, gap.end] for gap in cursor.gaps],
            )
            audit.sources.append(source)
            asked.is_whole = asked.is_whole and source.is_whole
            judging = _Judging(audit, source, cursor, asked, aside, _judges(cursor, maps, topic, registry, hashing))
            reader.assign({place: source.start})
            async for batch in reader.read_to({place: source.end}):
                for record in records_of(batch):
                    if record.offset < source.end:
                        await judging.take(record)
            judging.finish()
    finally:
        await reader.close()
        await registry.close()


def _judges(
    cursor: BridgeCursor, maps: Mapping[str, BridgeMap], topic: str, registry: Registry, hashing: Hash | None
) -> list[tuple[Stretch, Judge]]:
    return [(one, Judge(maps[one.map].source(topic), registry, hashing)) for one in cursor.stretches]


class _Judging:
    """Judges the records of one partition in log order."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        audit: BridgeAudit,
        source: SourceAudit,
        cursor: BridgeCursor,
        asked: _Asked,
        aside: _Aside,
        judges: list[tuple[Stretch, Judge]],
    ) -> None:
        self._audit, self._source, self._cursor = audit, source, cursor
        self._asked, self._aside, self._judges = asked, aside, judges
        self._is_past_snapshot = False

    async def take(self, record: Record) -> None:
        """Compare what became of a record with what must have."""
        judge = next((judge for stretch, judge in reversed(self._judges) if stretch.start <= record.offset), None)
        judged = await (judge or self._judges[0][1]).judge(record, is_past_snapshot=self._is_past_snapshot)
        if judged.op is not None and judged.op != "r":
            self._is_past_snapshot = True
        verdict = judged.verdict
        place = (record.topic, record.partition, record.offset)
        aside = self._aside.pop(place, [])
        outcome = verdict.outcome
        if len(aside) == 1 and outcome == "sent" and self._may_be_aside(aside[0], verdict.may_be_ahead):
            outcome = "rejected"
        elif outcome == "rejected":
            self._compare_aside(record, str(verdict.reason), aside)
        elif aside:
            self._audit.differs(self._source, record.offset, f"{outcome}, and set aside", reason=aside[0].reason)
        if outcome == "sent":
            for event in verdict.events:
                content = _content(judge_topic(self._judges, record.offset), event)
                self._asked.events[content] += 1
                self._asked.places.setdefault(content, (self._source, record.offset))
        self._source.read += 1
        self._source.outcomes[outcome] += 1

    def _may_be_aside(self, aside: _SetAside, may_be_ahead: Callable[[int], bool]) -> bool:
        """Return whether a record that is good may have been rejected when it was looked at."""
        if aside.reason == "future_event":
            return may_be_ahead(aside.record_time_ms)
        if aside.reason == "second_snapshot":
            return not self._source.is_whole
        return aside.reason == "unknown_schema"

    def _compare_aside(self, record: Record, reason: str, aside: list[_SetAside]) -> None:
        if len(aside) != 1:
            if not aside and record.record_time_ms < self._audit.aside_from_ms:
                self._audit.aside_gone += 1
                return
            what = "rejected, and not set aside" if not aside else f"set aside {len(aside)} times"
            self._audit.differs(self._source, record.offset, what, reason=reason)
            return
        (one,) = aside
        if one.reason != reason:
            self._audit.differs(self._source, record.offset, "another reason", expected=reason, found=one.reason)
        if not one.is_head and (one.key, one.value) != (record.key, record.value):
            self._audit.differs(self._source, record.offset, "set aside with other bytes")

    def finish(self) -> None:
        """Compare the counts, where all that was counted is still there."""
        topic, partition = self._source.topic, self._source.partition
        for place in [place for place in self._aside if place[:2] == (topic, partition)]:
            if self._source.start <= place[2] < self._source.end:
                self._audit.differs(self._source, place[2], "set aside, and no record there", count=1)
        counted = self._cursor.outcomes.get(topic, {})
        if self._source.is_whole:
            for outcome in ("sent", "ignored", "rejected"):
                if (told := counted.get(outcome, 0)) != (found := self._source.outcomes[outcome]):
                    self._audit.differs(self._source, None, f"count of {outcome}", expected=found, found=told)


def judge_topic(judges: list[tuple[Stretch, Judge]], offset: int) -> str:
    """Return which of our topics a record's events went to."""
    found = next((judge for stretch, judge in reversed(judges) if stretch.start <= offset), judges[0][1])
    return found.to


def _content(topic: str, event: Mapping[str, Any]) -> _Content:
    return topic, str(event["event_id"]), xxh3_128_digest(json.dumps(event, sort_keys=True).encode())


def _compare(audit: BridgeAudit, asked: _Asked, found: Mapping[tuple[str, str], Counter[bytes]]) -> None:
    """Compare the events that records ask for with those that are there, by id and content."""
    by_id: defaultdict[tuple[str, str], dict[bytes, int]] = defaultdict(dict)
    for (topic, name, digest), count in asked.events.items():
        by_id[topic, name][digest] = count
    for key, contents in by_id.items():
        there = found.get(key, Counter())
        for digest in sorted({*contents, *there}):
            wanted, stands = contents.get(digest, 0), there[digest]
            if wanted == stands or (not asked.is_whole and stands > wanted):
                continue
            content = (*key, digest if wanted else next(iter(contents)))
            source, offset = asked.places[content]
            what = "event" if wanted else "event with other fields"
            audit.differs(source, offset, what, event_id=key[1], expected=wanted, found=stands)


async def _read_events(settings: Settings, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Counter[bytes]]:
    """Return the contents of all events with one of the ids, by topic and id."""
    found: dict[tuple[str, str], Counter[bytes]] = {key: Counter() for key in wanted}
    topics = sorted({topic for topic, _ in found})
    assert set(topics) <= set(SOURCES)
    async for topic, batch in _whole(settings, topics):
        for value in batch.values:
            try:
                event = json.loads(value or b"")
                counts = found.get((topic, event["event_id"]))
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            if counts is not None:
                counts[_content(topic, event)[2]] += 1
    return found


async def _read_aside(settings: Settings, names: Iterable[str]) -> dict[str, _Aside]:
    """Return what bridges have set aside, by bridge and by source, partition and offset."""
    found: dict[str, _Aside] = {name: defaultdict(list) for name in names}
    async for _, batch in _whole(settings, [BRIDGE_REJECTED]):
        for record in records_of(batch):
            told = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
            places = found.get(told.get("bridge", ""))
            if places is not None:
                place = told["source_topic"], int(told["source_partition"]), int(told["source_offset"])
                is_head = "original_bytes" in told or "original_key_bytes" in told
                places[place].append(
                    _SetAside(told["reason"], record.key, record.value, record.record_time_ms, is_head)
                )
    return found


async def _whole(settings: Settings, topics: list[str]) -> Any:  # noqa: ANN401 - an iterator
    """Yield topic (without prefix) and batches of topics of ours, whole as they are now, open transactions ended."""
    reader = await LogReader.open(settings, is_foreign=True)
    try:
        for topic in topics:
            full = settings.prefix + topic
            looked = await survey(reader.client, "", (full,), own=(full,))
            if not looked.ranges:
                raise UnreachableError(f"the topic {full} is not there: run `festival topics`")
            ends = {TopicPartition(*place): log_range.end for place, log_range in looked.ranges.items()}
            await reader.assign_from_beginning(ends)
            async for batch in reader.read_to(ends):
                yield topic, batch
    finally:
        await reader.close()

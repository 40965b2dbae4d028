"""Where the audit counts: a DuckDB file that takes the log, record by record, and answers with totals.

Memory stays bounded: rows go to the file in chunks, and DuckDB spills beside it.
"""

# ruff: noqa: S608 - names in the SQL come from `plan`, which admits plain names only

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb
import numpy as np

from streams.audit import statements
from streams.audit.admission import SHAPES, Shapes
from streams.audit.batch_admission import ABSENT, Admitted, BatchJudge, Column, Ints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from streams.audit.plan import Plan
    from streams.kafka.client.plain_records import PlainRecord

CHUNK_ROWS: Final = 50_000
"""Rows that wait here before they are written."""
COMMIT_ROWS: Final = 250_000
"""Rows of one transaction, after which the journal is emptied into the file: until then they stay in memory."""
MEMORY: Final = "160MB"
"""What DuckDB may hold before it spills to disk."""
THREADS: Final = 2
"""DuckDB counts on so many. It writes on one: several would cost a fifth more and wait for the log all the same."""
OUT_OF_ORDER_MS: Final = 5_000
"""A record is late when its event time is more than this behind the largest before it (contract 3)."""
CUT_ABOVE_BYTES: Final = 900_000
"""A larger rejected record keeps its value's first `CUT_TO_BYTES`; headers hold the whole length and digest."""
CUT_TO_BYTES: Final = 64 * 1024
CLOCK_MINUTES: Final = 11
"""The minute under way, and ten by which a broker's clock may have been put back before a log's first record."""
NEVER: Final = 2**40
"""A minute that no record reaches."""


def content_digest(key: bytes | None, value: bytes | None) -> str:
    """Return a digest of a rejected record's key and value that tells null from empty."""
    parts = ["null" if part is None else hashlib.sha256(part).hexdigest() for part in (key, value)]
    return ":".join(parts)


def kept_digest(key: bytes | None, value: bytes | None) -> str:
    """Return the digest of what must be set aside for a source record: all of it, or its beginning and its measure."""
    measure = ""
    if value is not None and len(value) + len(key or b"") > CUT_ABOVE_BYTES:
        measure = f":{len(value)}:{hashlib.sha256(value).hexdigest()}"
        value = value[:CUT_TO_BYTES]
    if key is not None and len(key) > CUT_ABOVE_BYTES:
        key = key[:CUT_TO_BYTES]
    return content_digest(key, value) + measure


class Records(NamedTuple):
    """Some records of one topic-partition, in log order."""

    offsets: Ints
    times_ms: Ints
    """Record times."""
    keys: list[bytes | None]
    values: list[bytes | None]

    @classmethod
    def of(cls, records: list[PlainRecord]) -> Records:
        """Return what was fetched."""
        count = len(records)
        return cls(
            np.fromiter(map(attrgetter("offset"), records), np.int64, count),
            np.fromiter(map(attrgetter("timestamp"), records), np.int64, count),
            list(map(attrgetter("key"), records)),
            list(map(attrgetter("value"), records)),
        )


class Workbook:
    """The log up to the ledger's positions. Call order: `add…` any number of times, `settle`, then ask."""

    def __init__(self, directory: Path, plan: Plan, shapes: Shapes = SHAPES) -> None:
        """Open a new database file in `directory`; `shapes` say what is admitted."""
        self.plan = plan
        self.stream_times_ms: dict[tuple[str, int], int] = {}
        self.max_event_times_ms: dict[tuple[str, int], int] = {}
        self.records = 0
        self.cuts: dict[tuple[str, int], int] = {}
        """Minute of record time from which on the audit is sure, of partitions whose log has lost its beginning."""
        columns = {topic: self._columns_of(topic, shapes) for topic in plan.facts()}
        self._integers = {
            topic: [statements.column(name) for name, sql_type in of.items() if sql_type == "BIGINT"]
            for topic, of in columns.items()
        }
        self._reused: dict[tuple[str, int], int] = {}
        self._kept = {topic: {"ts", "event_id", *of} for topic, of in columns.items()}
        self._judges = {topic: BatchJudge(topic, of, shapes) for topic, of in columns.items()}
        self._chunks: dict[tuple[str, str], list[dict[str, Column]]] = {}
        """What is to be written, by topic and type."""
        self._waiting = self._uncommitted = 0
        self._rejections: list[tuple[str, int, int, str, str, int]] = []
        self._set_aside: list[tuple[str, int, int, str, str]] = []
        self.db = duckdb.connect(str(directory / "audit.duckdb"))
        # Sampling guesses the type of an object column from its first values; a column of nulls would be a wrong one.
        self.db.execute(f"SET memory_limit = '{MEMORY}'; SET pandas_analyze_sample = 0; SET threads = 1")
        self.db.execute(f"SET temp_directory = '{directory / 'spill'}'; SET preserve_insertion_order = false")
        for topic, of in columns.items():
            self.db.execute(statements.create_events(topic, of.items()))
        for table in ("rejections", "set_aside"):
            self.db.execute(
                f"CREATE TABLE {table} "
                "(topic VARCHAR, part INTEGER, off BIGINT, reason VARCHAR, content VARCHAR, record_ms BIGINT)"
            )
        self.db.execute("BEGIN")

    def reuse(self, places: Mapping[tuple[str, int], int]) -> None:
        """Note from which offset on a topic-partition's log is another one than was counted before."""
        self._reused = dict(places)

    def cut(self, places: Iterable[tuple[str, int]]) -> None:
        """Note, before anything is added, of which topic-partitions the log has lost its beginning."""
        self.cuts = dict.fromkeys(places, NEVER)

    def close(self) -> None:
        """Let the file go; may be called twice."""
        self.db.close()

    def add(self, topic: str, partition: int, records: Records) -> None:
        """Judge and keep records of one topic-partition, in log order."""
        if not len(records.offsets):
            return
        where = (topic, partition)
        times_ms = records.times_ms
        if self.cuts.get(where) == NEVER:
            self.cuts[where] = int(times_ms[0]) // 60_000 + self.plan.horizon_minutes + CLOCK_MINUTES
        self.records += len(times_ms)
        found, rejected = self._judges[topic].judge(records.values, times_ms)
        self._rejections.extend(
            (
                topic, partition, int(records.offsets[row]), reason,
                kept_digest(records.keys[row], records.values[row]), int(times_ms[row]),
            )
            for row, reason in rejected.items()
        )  # fmt: skip
        stream_times_ms = _newest(self.stream_times_ms, where, times_ms)
        ts = np.full(len(times_ms), -1)
        for admitted in found:
            ts[admitted.rows] = admitted.columns["ts"]
        earlier_ts = _newest(self.max_event_times_ms, where, ts)
        kept = self._kept[topic]
        for admitted in found:
            rows = admitted.rows
            chunk: dict[str, Column] = {
                "part": np.full(len(rows), partition, np.int32),
                "off": records.offsets[rows],
                "minute": stream_times_ms[1:][rows] // 60_000,
                "is_late": (ts < earlier_ts[:-1] - OUT_OF_ORDER_MS)[rows],
                "ft": _festival_times_ms(admitted),
                **{statements.column(name): column for name, column in admitted.columns.items() if name in kept},
            }
            self._chunks.setdefault((topic, admitted.type), []).append(chunk)
        self._wait(len(times_ms))

    def add_set_aside(self, rows: Sequence[tuple[str, int, int, str, str]]) -> None:
        """Keep what lies on the rejected topics: (source topic, partition, offset, reason, content digest) each."""
        self._set_aside.extend(rows)
        self._wait(len(rows))

    def settle(self) -> None:
        """Write what is still in memory and tell duplicates apart; nothing may be added afterwards."""
        self._write()
        self.db.execute(f"COMMIT; CHECKPOINT; SET threads = {THREADS}")
        self._leave_out_gone()
        for topic in self.plan.facts():
            self.db.execute(statements.create_sightings(topic))
            self.db.execute(statements.create_repeats(topic, self.plan.horizon_minutes))
            self._leave_out(topic)

    def _leave_out_gone(self) -> None:
        """Leave out what was set aside of records in whose place others stand now."""
        if not self._reused:
            return
        self.db.execute("CREATE TABLE reused (topic VARCHAR, part INTEGER, off BIGINT)")
        rows = [(*place, offset) for place, offset in self._reused.items()]
        self.db.executemany("INSERT INTO reused VALUES (?, ?, ?)", rows)
        for statement in statements.leave_out_gone():
            self.db.execute(statement)

    def _leave_out(self, topic: str) -> None:
        """Leave out what may repeat a record that is gone: nobody knows whether the ledger had seen it before."""
        cuts = {part: minute for (cut, part), minute in self.cuts.items() if cut == topic}
        self.db.execute(statements.create_cuts(topic))
        if cuts:
            parts, minutes = np.array(list(cuts), np.int32), np.array(list(cuts.values()), np.int64)
            self.insert(f"cuts_{topic}", {"part": parts, "minute": minutes})
            for table in ("events", "sightings"):
                self.db.execute(statements.leave_out(table, topic))

    def drop_repeats(self) -> None:
        """Leave out the duplicates: what is asked for from here on are totals."""
        for topic in self.plan.facts():
            self.db.execute(statements.drop_repeats(topic))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.db.execute(statement).fetchall()

    def insert(self, table: str, columns: dict[str, np.ndarray[Any, Any]]) -> None:
        """Append columns of equal length to a table that has exactly these columns."""
        self.db.register("chunk", columns)
        self.db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM chunk")
        self.db.unregister("chunk")

    def _wait(self, rows: int) -> None:
        """Take note of rows that are to be written; write them where they are many."""
        self._waiting += rows
        if self._waiting >= CHUNK_ROWS:
            self._write()
        if self._uncommitted >= COMMIT_ROWS:
            self.db.execute("COMMIT; CHECKPOINT; BEGIN")
            self._uncommitted = 0

    def _write(self) -> None:
        for (topic, event_type), chunks in self._chunks.items():
            joined = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
            nulls = [column for column in self._integers[topic] if column in joined]
            replaced = ", ".join(f"nullif({column}, {ABSENT}) AS {column}" for column in nulls)
            star = f"* REPLACE ({replaced})" if replaced else "*"
            self.db.register("chunk", joined)
            self.db.execute(f"INSERT INTO events_{topic} BY NAME SELECT {star}, '{event_type}' AS type FROM chunk")
            self.db.unregister("chunk")
        self._chunks.clear()
        self._write_rejections()
        self._uncommitted += self._waiting
        self._waiting = 0

    def _write_rejections(self) -> None:
        for table, rows in (("rejections", self._rejections), ("set_aside", self._set_aside)):
            if not rows:
                continue
            topics, partitions, offsets, reasons, contents, *times = zip(*rows, strict=True)
            self.insert(
                table,
                {
                    "topic": np.array(topics, object),
                    "part": np.array(partitions, np.int32),
                    "off": np.array(offsets, np.int64),
                    "reason": np.array(reasons, object),
                    "content": np.array(contents, object),
                    **({"record_ms": np.array(times[0], np.int64)} if times else {}),
                },
            )
            rows.clear()

    def _columns_of(self, topic: str, shapes: Shapes) -> dict[str, str]:
        """Return SQL types of the fields of a topic that rollups need, by name."""
        numbers = {name for shape in shapes[topic].values() for name, _, _ in shape.integers}
        read = [name for name in self.plan.columns(topic) if name not in statements.OWN_FIELDS]
        return {name: "BIGINT" if name in numbers else "VARCHAR" for name in read}


def _newest(newest_ms: dict[tuple[str, int], int], where: tuple[str, int], times_ms: Ints) -> Ints:
    """Return the largest time before each of `times_ms` and after the last, and take note of that one."""
    running = np.maximum.accumulate(np.concatenate(([newest_ms.get(where, -1)], times_ms)))
    if running[-1] >= 0:
        newest_ms[where] = int(running[-1])
    return running


def _festival_times_ms(admitted: Admitted) -> Column:
    """Return the times that decide where events belong: those of their orders, else their own."""
    ts, ordered_ts = admitted.columns["ts"], admitted.columns["ordered_ts"]
    return np.where(ordered_ts == ABSENT, ts, ordered_ts)

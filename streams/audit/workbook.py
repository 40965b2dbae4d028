"""Where the audit counts: a DuckDB file that takes the log, record by record, and answers with totals.

Memory stays bounded: rows go to the file in chunks, and DuckDB spills beside it.
"""

# ruff: noqa: S608 - names in the SQL come from `plan`, which admits plain names only

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np

from streams.audit import statements
from streams.audit.admission import SHAPES, Kind, Shapes, admit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from streams.audit.plan import Plan

CHUNK_ROWS: Final = 50_000
MEMORY: Final = "1GB"
"""What DuckDB may hold before it spills to disk."""
CUT_ABOVE_BYTES: Final = 900_000
"""A larger rejected record keeps its value's first `CUT_TO_BYTES`; headers hold the whole length and digest."""
CUT_TO_BYTES: Final = 64 * 1024
CLOCK_MINUTES: Final = 11
"""The minute under way, and ten by which a broker's clock may have been put back before a log's first record."""
NEVER: Final = 2**40
"""A minute that no record reaches."""
_ABSENT: Final = -1
"""Stands for NULL in a column of integers on its way into DuckDB; no field may be negative."""
_FLAGS: Final = {False: "false", True: "true"}
_FIXED: Final = ("part", "off", "minute", "earlier_ts", "ts", "ft", "type", "event_id")
_FIXED_NUMBERS: Final = frozenset(_FIXED[:6])


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


class Workbook:
    """The log up to the ledger's positions. Call order: `add…` any number of times, `settle`, then ask."""

    def __init__(self, directory: Path, plan: Plan, shapes: Shapes = SHAPES) -> None:
        """Open a new database file in `directory`; `shapes` say what is admitted."""
        self._shapes = shapes
        self.plan = plan
        self.stream_times_ms: dict[tuple[str, int], int] = {}
        self.max_event_times_ms: dict[tuple[str, int], int] = {}
        self.records = 0
        self.cuts: dict[tuple[str, int], int] = {}
        """Minute of record time from which on the audit is sure, of partitions whose log has lost its beginning."""
        self._columns = {topic: self._columns_of(topic) for topic in plan.facts()}
        # What a type does not declare is unknown to it, whatever stands there: None is no key of a JSON object.
        self._read: dict[str, dict[str, list[Any]]] = {
            topic: {
                name: [column if column in shape.fields else None for column, _ in columns]
                for name, shape in shapes[topic].items()
            }
            for topic, columns in self._columns.items()
        }
        self._rows: dict[str, list[tuple[Any, ...]]] = {topic: [] for topic in self._columns}
        self._reused: dict[tuple[str, int], int] = {}
        self._rejections: list[tuple[str, int, int, str, str, int]] = []
        self._set_aside: list[tuple[str, int, int, str, str]] = []
        self.db = duckdb.connect(str(directory / "audit.duckdb"))
        # Sampling guesses the type of an object column from its first values; a column of nulls would be a wrong one.
        self.db.execute(f"SET memory_limit = '{MEMORY}'; SET pandas_analyze_sample = 0; SET threads = 2")
        self.db.execute(f"SET temp_directory = '{directory / 'spill'}'; SET preserve_insertion_order = false")
        for topic, columns in self._columns.items():
            self.db.execute(statements.create_events(topic, columns))
        for table in ("rejections", "set_aside"):
            self.db.execute(
                f"CREATE TABLE {table} "
                "(topic VARCHAR, part INTEGER, off BIGINT, reason VARCHAR, content VARCHAR, record_ms BIGINT)"
            )

    def reuse(self, places: Mapping[tuple[str, int], int]) -> None:
        """Note from which offset on a topic-partition's log is another one than was counted before."""
        self._reused = dict(places)

    def cut(self, places: Iterable[tuple[str, int]]) -> None:
        """Note, before anything is added, of which topic-partitions the log has lost its beginning."""
        self.cuts = dict.fromkeys(places, NEVER)

    def close(self) -> None:
        """Let the file go; may be called twice."""
        self.db.close()

    def add(self, topic: str, partition: int, records: Iterable[tuple[int, int, bytes | None, bytes | None]]) -> None:
        """Judge and keep records of one topic-partition, in log order: (offset, record time, key, value) each."""
        rows = self._rows[topic]
        columns = self._read[topic]
        where = (topic, partition)
        if self.cuts.get(where) == NEVER and (records := list(records)):
            self.cuts[where] = records[0][1] // 60_000 + self.plan.horizon_minutes + CLOCK_MINUTES
        stream_time_ms = self.stream_times_ms.get(where, -1)
        latest_ms = self.max_event_times_ms.get(where, -1)
        for offset, record_time_ms, key, value in records:
            self.records += 1
            stream_time_ms = max(stream_time_ms, record_time_ms)
            verdict = admit(topic, value, record_time_ms, self._shapes)
            if isinstance(verdict, str):
                self._rejections.append((topic, partition, offset, verdict, kept_digest(key, value), record_time_ms))
                continue
            ts, name = verdict["ts"], verdict["type"]
            take: Callable[[str | None], Any] = verdict.get  # type: ignore[assignment] # of no name: nothing
            rows.append(
                (partition, offset, stream_time_ms // 60_000, latest_ms, ts, verdict.get("ordered_ts", ts), name,
                 verdict["event_id"], *map(take, columns[name]))
            )  # fmt: skip
            latest_ms = max(latest_ms, ts)
        if stream_time_ms >= 0:
            self.stream_times_ms[where] = stream_time_ms
        if latest_ms >= 0:
            self.max_event_times_ms[where] = latest_ms
        if len(rows) >= CHUNK_ROWS:
            self._write_events(topic)
        if len(self._rejections) >= CHUNK_ROWS:
            self._write_rejections()

    def add_set_aside(self, rows: Sequence[tuple[str, int, int, str, str]]) -> None:
        """Keep what lies on the rejected topics: (source topic, partition, offset, reason, content digest) each."""
        self._set_aside.extend(rows)
        if len(self._set_aside) >= CHUNK_ROWS:
            self._write_rejections()

    def settle(self) -> None:
        """Write what is still in memory and tell duplicates apart; nothing may be added afterwards."""
        self._write_rejections()
        self._leave_out_gone()
        for topic in self._columns:
            self._write_events(topic)
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
            self.db.execute(statements.leave_out(topic))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.db.execute(statement).fetchall()

    def insert(self, table: str, columns: dict[str, np.ndarray[Any, Any]]) -> None:
        """Append columns of equal length to a table that has exactly these columns."""
        self.db.register("chunk", columns)
        self.db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM chunk")
        self.db.unregister("chunk")

    def _write_events(self, topic: str) -> None:
        rows = self._rows[topic]
        if not rows:
            return
        columns = [(statements.column(name), sql_type) for name, sql_type in self._columns[topic]]
        numbers = _FIXED_NUMBERS | {name for name, sql_type in columns if sql_type == "BIGINT"}
        others = (other for shape in self._shapes[topic].values() for other in shape.others)
        flags = {statements.column(name) for name, kind in others if kind is Kind.FLAG}
        names = (*_FIXED, *(name for name, _ in columns))
        chunk = {
            name: np.array([_ABSENT if v is None else v for v in values], np.int64)
            if name in numbers
            else np.array([_FLAGS[v] if type(v) is bool else v for v in values] if name in flags else values, object)
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
        }
        optional = [name for name, sql_type in columns if sql_type == "BIGINT"]
        replaced = ", ".join(f"nullif({name}, {_ABSENT}) AS {name}" for name in optional)
        self.db.register("chunk", chunk)
        star = f"* REPLACE ({replaced})" if replaced else "*"
        self.db.execute(f"INSERT INTO events_{topic} BY NAME SELECT {star} FROM chunk")
        self.db.unregister("chunk")
        rows.clear()

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

    def _columns_of(self, topic: str) -> list[tuple[str, str]]:
        """Return names and SQL types of the fields of a topic that rollups need."""
        numbers = {name for shape in self._shapes[topic].values() for name, _, _ in shape.integers}
        read = [name for name in self.plan.columns(topic) if name not in statements.OWN_FIELDS]
        return [(name, "BIGINT" if name in numbers else "VARCHAR") for name in read]

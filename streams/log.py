"""Logs: one line per event that matters, on stderr, as text or as JSON; a flood from a library is cut to a trickle.

Fields travel in `extra={...}` and are shown as `key=value`, or as keys of the JSON object. What somebody may want to
compute with (positions, partitions, seconds) is a field, never only a part of the text.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

import orjson

FLOODING = ("aiokafka", "faust", "mode", "kafka")
"""Libraries that write thousands of lines a minute while a broker is down (aiokafka one per retry and connection)."""
BURST = 3
"""Lines of one kind let through per period: enough to see that it repeats."""
PERIOD_SECONDS = 30
KINDS_LIMIT = 1_000
"""Kinds remembered: they are templates in the source of libraries, a few dozen."""
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "suppressed"}


_process: dict[str, str | None] = {"worker": None, "prefix": ""}
"""What every JSON line says of the process that wrote it."""


def identify(**fields: str) -> None:
    """Say of this process `worker` (its name, null where it is none) or `prefix`, in every JSON line from now on."""
    assert fields.keys() <= _process.keys(), fields
    _process.update(fields)


class TextFormatter(logging.Formatter):
    """`2019-11-11T00:00:00.000Z INFO festival.worker restored partition=3 seconds=0.4`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and after it the traceback where there is one."""
        fields = "".join(f" {key}={_text(value)}" for key, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, worker, prefix, the fields, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        # The fields stand first, so that none of them can take the place of a key of ours.
        document = {
            **_fields(record),
            **_process,
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class FloodFilter(logging.Filter):
    """Lets `BURST` lines per kind and period pass for the libraries that flood; the next says how many were cut."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__()
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the line; time is the record's own."""
        if record.name.partition(".")[0] not in FLOODING:
            return True
        kind = (record.name, record.levelno, str(record.msg)[:60])
        since, count = self._kinds.get(kind, (record.created, 0))
        if record.created - since >= PERIOD_SECONDS:
            if count > BURST:
                record.suppressed = count - BURST
            since, count = record.created, 0
        if len(self._kinds) >= KINDS_LIMIT:
            self._kinds.clear()
        self._kinds[kind] = (since, count + 1)
        return count < BURST


def configure(level: str = "info", fmt: str = "text", stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (stderr) from `level` on, as "text" or "json"; may be called again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if fmt == "json" else TextFormatter())
    handler.addFilter(FloodFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # Their information is for their developers: a command that prints one answer would print ten lines of it.
    threshold = logging.NOTSET if level == "debug" else max(logging.WARNING, logging.getLogger().level)
    for library in FLOODING:
        logging.getLogger(library).setLevel(threshold)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    if suppressed := getattr(record, "suppressed", 0):
        fields["suppressed_lines"] = suppressed
    return fields


def _text(value: object) -> str:
    if isinstance(value, dict):
        value = ",".join(f"{key}:{inner}" for key, inner in value.items()) or "none"
    elif isinstance(value, list | tuple):
        value = ",".join(map(str, value)) or "none"
    text = str(value)
    # Quoted where a reader could not tell where it ends; a line break would forge a line.
    return repr(text) if not text or any(c.isspace() or c in "\"'=" for c in text) or not text.isprintable() else text

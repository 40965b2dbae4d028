"""One record of a foreign topic, as the rules of a map see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.bridge.outcomes import RejectedError
from streams.domain.rejections import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Headers = Sequence[tuple[str, bytes | None]]


@dataclass(slots=True)
class Record:
    """A record as it lies on its topic. `topic` has no prefix: that is never put before a foreign topic."""

    topic: str
    partition: int
    offset: int
    record_time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def header(self, name: str) -> str | None:
        """Return the last header of a name as text, None where there is none. Raises `RejectedError`."""
        for found, value in reversed(self.headers):
            if found == name:
                return _text(value, name)
        return None

    def key_text(self) -> str | None:
        """Return the key as text. Raises `RejectedError`."""
        return _text(self.key, "key")


def _text(value: bytes | None, name: str) -> str | None:
    try:
        return value.decode() if value else None
    except UnicodeDecodeError as error:
        raise RejectedError(Reason.NOT_UTF8, name, f"byte {error.start} is not UTF-8") from None


OF_RECORD: dict[str, Callable[[Record], Any]] = {
    "timestamp": lambda record: record.record_time_ms,
    "key": Record.key_text,
    "topic": lambda record: record.topic,
    "partition": lambda record: record.partition,
    "offset": lambda record: record.offset,
}
"""What `record` of a rule names."""


def read_headers(found: bytes | Headers | None) -> Headers:
    """Return the headers of a record, as they lie in its bytes or as they were read already.

    A name that is not UTF-8 is shown with backslashes: it is nobody's name, and nothing to stop for.
    """
    if not isinstance(found, bytes):
        return found or ()
    count, at = _varint(found, 0)
    headers = []
    for _ in range(count):
        size, at = _varint(found, at)
        name, at = found[at : at + size], at + size
        size, at = _varint(found, at)
        value = None if size < 0 else found[at : at + size]
        at += max(size, 0)
        headers.append((name.decode("utf-8", "backslashreplace"), value))
    return headers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number as Kafka writes it, and where it ends."""
    number, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says whether more follows
            return (number >> 1) ^ -(number & 1), at
        shift += 7

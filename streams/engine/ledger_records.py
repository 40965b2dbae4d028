"""The records that a checkpoint becomes, and back: the only place where a ledger's values are encoded and decoded.

Called by the ledger stores, and by nothing else that counts. Pure; the names of records are in `streams.domain.pages`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import orjson

from streams.domain.pages import Digests, PageKey, cursor_key, decode_cursor, encode_cursor, fingerprint_key
from streams.domain.rejections import Reason, Rejection
from streams.engine.checkpoint import Original, RejectedRecord, Restored, SeenKey, UnreadableError
from streams.engine.digest import Digest, misfit
from streams.engine.judgement import encode_note, note_key
from streams.engine.topic_names import LEDGER, SEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.engine.checkpoint import Checkpoint
    from streams.engine.judgement import Note

Pair = tuple[bytes, bytes]
"""Key and value of a record."""
Headers = tuple[tuple[str, bytes], ...]


class Written(NamedTuple):
    """What lies on the two topics of a ledger for one partition and generation: the newest value of each key."""

    ledger: Mapping[bytes, bytes]
    """In log order of the newest write of each key; notes are left out."""
    seen: Mapping[bytes, bytes]


class Encoded(NamedTuple):
    """A checkpoint as records; rejected ones are encoded one by one."""

    pages: Mapping[bytes, bytes]
    """What goes before the cursor, for the topic of the ledger."""
    seen: Mapping[bytes, bytes | None]
    """For the topic of seen ids; a value of None is a tombstone."""
    last: Pair
    """The cursor."""


class Live:
    """The digests of what one partition and generation has on its two topics."""

    def __init__(self, generation: str = "", written: Written | None = None) -> None:
        """Begin with what lies there; nothing without `written`."""
        self._ledger, self._seen = Digest(), Digest()
        if written is not None:
            own = cursor_key(generation)
            self._ledger.write({key: value for key, value in written.ledger.items() if key != own})
            self._seen.write(written.seen)

    def take(self, records: Mapping[bytes, bytes]) -> None:
        """Take note of records that lie on the ledger's topic besides."""
        self._ledger.write(records)

    @property
    def digests(self) -> Digests:
        """Return them as they stand in a cursor."""
        return Digests(ledger=self._ledger.total, seen=self._seen.total)

    def encode(self, checkpoint: Checkpoint) -> Encoded:
        """Return the records of the next checkpoint, which is written from now on: its cursor carries the digests."""
        pages = {key.encode(): content for key, content in checkpoint.pages}
        if checkpoint.fingerprint is not None:
            pages = {fingerprint_key(checkpoint.generation): checkpoint.fingerprint, **pages}
        seen = {encode_seen_key(key): hashes for key, hashes in checkpoint.seen}
        self._ledger.write(pages)
        self._seen.write(seen)
        cursor = msgspec.structs.replace(checkpoint.cursor, digests=self.digests)
        return Encoded(pages, seen, (cursor_key(checkpoint.generation), encode_cursor(cursor)))


def encode_held(generation: str, note: Note) -> Pair:
    """Return the record of a note."""
    return note_key(generation), encode_note(note)


def encode_seen_key(key: SeenKey) -> bytes:
    """Return the record key of some hashes of seen ids."""
    return orjson.dumps([key.generation, "seen", key.topic, key.minute, key.sequence, key.part])


def encode_headers(record: RejectedRecord, prefix: str) -> Headers:
    """Return the headers of a rejected record; readers of its topic find the source under its real name there."""
    headers = [
        ("reason", record.rejection.reason.encode()),
        ("detail", record.rejection.detail.encode("utf-8", "backslashreplace")),
        ("source_topic", (prefix + record.topic).encode()),
        ("source_partition", b"%d" % record.partition),
        ("source_offset", b"%d" % record.offset),
    ]
    if (original := record.original) is not None:
        headers += [("original_bytes", b"%d" % original.size_bytes), ("sha256", original.sha256.encode())]
    if record.original_key_bytes is not None:
        headers.append(("original_key_bytes", b"%d" % record.original_key_bytes))
    return tuple(headers)


def decode_rejected(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]], prefix: str
) -> RejectedRecord:
    """Return the rejected record that a store wrote so."""
    found = {name: content.decode() for name, content in headers}
    key_bytes = found.get("original_key_bytes")
    return RejectedRecord(
        topic=found["source_topic"].removeprefix(prefix),
        partition=int(found["source_partition"]),
        offset=int(found["source_offset"]),
        rejection=Rejection(Reason(found["reason"]), found["detail"]),
        key=key,
        value=value,
        original=Original(int(found["original_bytes"]), found["sha256"]) if "sha256" in found else None,
        original_key_bytes=None if key_bytes is None else int(key_bytes),
    )


def decode_restored(partition: int, generation: str, written: Written, live: Live) -> Restored:
    """Return what a store finds committed, pages undecoded. Raises `UnreadableError`.

    `live` are the digests of `written`.
    """
    try:
        ledger = dict(written.ledger)
        cursor, fingerprint = ledger.pop(cursor_key(generation), None), ledger.pop(fingerprint_key(generation), None)
        decoded = None if cursor is None else decode_cursor(cursor)
        return Restored(
            cursor=decoded,
            fingerprint=fingerprint,
            pages={_page_key(key): content for key, content in ledger.items()},
            seen={_seen_key(key): hashes for key, hashes in written.seen.items()},
            misfit=_misfit(Digests(ledger=0, seen=0) if decoded is None else decoded.digests, live.digests),
        )
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise UnreadableError(f"ledger of partition {partition}, {generation}: {error}") from error


def _misfit(committed: Digests, found: Digests) -> str | None:
    for topic, before, now in ((LEDGER, committed.ledger, found.ledger), (SEEN, committed.seen, found.seen)):
        if before != now:
            return misfit(topic, before, now)
    return None


def decode_positions(cursor: bytes) -> Mapping[str, int]:
    """Return how far a cursor of any generation has counted; raises `msgspec.DecodeError` where it is none."""
    return decode_cursor(cursor).positions


_decode_page_key = msgspec.json.Decoder(tuple[str, Literal["page"], str, str, int]).decode
_decode_seen_key = msgspec.json.Decoder(tuple[str, Literal["seen"], str, int, int, int]).decode


def _page_key(key: bytes) -> PageKey:
    generation, _, festival, rollup, number = _decode_page_key(key)
    return PageKey(generation, festival, rollup, number)


def _seen_key(key: bytes) -> SeenKey:
    generation, _, topic, minute, sequence, part = _decode_seen_key(key)
    return SeenKey(generation, topic, minute, sequence, part)

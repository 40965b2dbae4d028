"""What a ledger's values are on its topics, byte by byte, and what of it is refused when it is read back."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from streams.domain.pages import Cursor, PageKey, cursor_key, encode_cursor, fingerprint_key
from streams.domain.rejections import Reason, Rejection
from streams.engine.checkpoint import Original, RejectedRecord, Restored, SeenKey, UnreadableError
from streams.engine.judgement import Note, decode_note, note_key
from streams.engine.ledger_records import (
    Live,
    Written,
    decode_rejected,
    decode_restored,
    encode_headers,
    encode_held,
)
from streams.engine.status import HeldReason
from tests.unit.domain.samples import IDENTITY
from tests.unit.engine.test_processor import batch, cut, orders, restored, started

BAD = RejectedRecord("orders", 3, 7, Rejection(Reason.NOT_JSON, "no \ud800"), b"key", b"{")


def read_back(written: Written) -> Restored:
    """Return what a store finds."""
    return decode_restored(3, "g1", written, Live("g1", written))


def test_the_headers_of_a_rejected_record_name_the_source_as_it_is_called_on_kafka() -> None:
    assert encode_headers(BAD, "night-") == (
        ("reason", b"not_json"),
        ("detail", b"no \\ud800"),
        ("source_topic", b"night-orders"),
        ("source_partition", b"3"),
        ("source_offset", b"7"),
    )


def test_the_head_of_a_large_record_tells_of_the_whole_one() -> None:
    both = dataclasses.replace(BAD, original=Original(950_000, "0a"), original_key_bytes=940_000)
    assert encode_headers(both, "")[5:] == (
        ("original_bytes", b"950000"),
        ("sha256", b"0a"),
        ("original_key_bytes", b"940000"),
    )


@pytest.mark.parametrize(
    "record",
    [
        dataclasses.replace(BAD, rejection=Rejection(Reason.EMPTY, "nothing"), value=b""),
        dataclasses.replace(BAD, rejection=Rejection(Reason.NULL_VALUE, "none"), key=None, value=None),
        dataclasses.replace(
            BAD,
            rejection=Rejection(Reason.TOO_LARGE, "too large"),
            original=Original(950_000, "0a"),
            original_key_bytes=940_000,
        ),
    ],
)
def test_a_rejected_record_is_read_as_it_was_written(record: RejectedRecord) -> None:
    assert decode_rejected(record.key, record.value, encode_headers(record, "night-"), "night-") == record


def test_a_checkpoint_is_read_back_as_it_was_cut() -> None:
    processor = started()
    processor.apply(batch(10, orders("a")))
    checkpoint = cut(processor)
    live = Live()
    pages, seen, last = live.encode(checkpoint)
    assert next(iter(pages.items())) == (fingerprint_key("g1"), checkpoint.fingerprint)
    assert last[0] == cursor_key("g1")
    found = read_back(Written(dict([*pages.items(), last]), {key: hashes for key, hashes in seen.items() if hashes}))
    cursor = msgspec.structs.replace(checkpoint.cursor, digests=live.digests)
    assert found == dataclasses.replace(restored(checkpoint), cursor=cursor)


def two_checkpoints() -> Written:
    """Return what two checkpoints leave behind."""
    processor, live = started(), Live()
    ledger: dict[bytes, bytes] = {}
    seen: dict[bytes, bytes | None] = {}
    for offset, name in ((10, "a"), (11, "b")):
        processor.apply(batch(offset, orders(name)))
        pages, ids, last = live.encode(cut(processor))
        ledger |= {**pages, last[0]: last[1]}
        seen |= ids
    return Written(ledger, {key: hashes for key, hashes in seen.items() if hashes is not None})


def test_what_is_not_all_of_one_checkpoint_does_not_fit_its_cursor() -> None:
    """A page too few, an older one, one more; ids without their cursor, and a cursor without them."""
    whole = two_checkpoints()
    assert read_back(whole).misfit is None
    page = next(key for key in whole.ledger if b'"page"' in key)
    (first, second) = whole.seen
    cursor = cursor_key("g1")
    for ledger, seen, topic in (
        ({key: value for key, value in whole.ledger.items() if key != page}, whole.seen, "festival.ledger"),
        ({**whole.ledger, page: b"older"}, whole.seen, "festival.ledger"),
        ({**whole.ledger, b'["g1","page","day","orders_by_second",9]': b""}, whole.seen, "festival.ledger"),
        (whole.ledger, {first: whole.seen[first]}, "festival.seen"),
        (whole.ledger, {**whole.seen, b'["g1","seen","orders",26,9,0]': b"later"}, "festival.seen"),
        ({}, {second: whole.seen[second]}, "festival.seen"),
        ({key: value for key, value in whole.ledger.items() if key != cursor}, {}, "festival.ledger"),
    ):
        misfit = read_back(Written(ledger, seen)).misfit
        assert misfit is not None
        assert misfit.startswith(f"what lies on {topic} is not what its cursor was committed with")


def test_nothing_is_read_back_from_nothing() -> None:
    assert read_back(Written({}, {})) == Restored()


CURSOR = Cursor(
    positions={},
    started={},
    stream_times_ms={},
    max_event_times_ms={},
    outcomes={},
    rejected={},
    sequence=1,
    identity=IDENTITY,
    epochs={},
)


@pytest.mark.parametrize(
    "written",
    [
        Written({cursor_key("g1"): b"{"}, {}),
        Written({b'["g1","of tomorrow"]': b""}, {}),
        Written({b'["g1","sketch","day","orders_by_second",0]': b""}, {}),
        Written({b'["g1","page","day","orders_by_second","0"]': b""}, {}),
        Written({b"\xff": b""}, {}),
        Written({}, {b'["g1","seen","orders",26]': b""}),
        Written({}, {b'["g1","page","orders",26,1,0]': b""}),
    ],
)
def test_what_is_none_of_ours_is_unreadable_and_never_left_out(written: Written) -> None:
    with pytest.raises(UnreadableError, match=r"^ledger of partition 3, g1: "):
        read_back(written)


def test_pages_and_seen_ids_are_known_by_their_names_and_left_as_bytes() -> None:
    pages = {b'["g1","page","day","orders_by_second",4]': b"\xc1 no page"}
    seen = {b'["g1","seen","orders",26,2,1]': b"hashes"}
    cursor = msgspec.structs.replace(CURSOR, digests=Live("g1", Written(pages, seen)).digests)
    assert read_back(Written({**pages, cursor_key("g1"): encode_cursor(cursor)}, seen)) == Restored(
        cursor,
        None,
        {PageKey("g1", "day", "orders_by_second", 4): b"\xc1 no page"},
        {SeenKey("g1", "orders", 26, 2, 1): b"hashes"},
    )


def test_a_note_is_a_record_that_the_boards_read_back() -> None:
    note = Note(HeldReason.LOG_DELETED, "orders", 7, "gone")
    key, value = encode_held("g1", note)
    assert key == note_key("g1")
    assert decode_note(value) == note

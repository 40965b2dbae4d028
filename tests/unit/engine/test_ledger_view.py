"""The ledger view shows whole checkpoints of one generation, whatever the fetches cut them into."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.batch import RecordBatch
from streams.engine.checkpoint import UnreadableError
from streams.engine.generations import Generations, NextGeneration, decode, encode
from streams.engine.ledger_keys import GENERATIONS_KEY, Kind, parse_key
from streams.engine.ledger_view import FollowerDelta, LedgerView

Record = tuple[bytes, bytes | None]


def page(name: str, generation: str = "g1") -> bytes:
    return f'["{generation}","page","{name}"]'.encode()


def cursor(generation: str = "g1") -> bytes:
    return f'["{generation}","cursor"]'.encode()


def batch(*records: Record, partition: int = 0, start: int = 0) -> RecordBatch:
    offsets = range(start, start + len(records))
    keys, values = [key for key, _ in records], [value for _, value in records]
    return RecordBatch("festival.ledger", partition, start, offsets.stop, offsets, keys, values, [0] * len(records))


def drained(view: LedgerView) -> FollowerDelta:
    delta = view.drain()
    assert delta is not None
    return delta


def control(current: str, following: str | None = None) -> Record:
    next_generation = NextGeneration(id=following, fingerprint="f") if following else None
    return GENERATIONS_KEY, encode(Generations(current=current, next=next_generation))


def test_the_first_hand_over_is_a_reset_even_of_nothing_and_later_ones_come_only_with_news() -> None:
    view = LedgerView(3)
    assert view.drain() == FollowerDelta("g1", 3, reset=True, changed_pages={}, cursors={})
    assert view.drain() is None
    view.add(batch((page("a"), b"1"), (cursor(), b"c1")))
    assert view.drain() == FollowerDelta("g1", 3, reset=False, changed_pages={(0, page("a")): b"1"}, cursors={0: b"c1"})
    assert view.drain() is None


def test_pages_are_held_back_until_the_cursor_of_their_own_partition_and_generation() -> None:
    view = LedgerView(2)
    view.drain()
    view.add(batch((page("a"), b"1"), (page("b"), b"1")))
    view.add(batch((cursor(), b"other"), partition=1))
    view.add(batch((page("a", "g2"), b"2"), (cursor("g2"), b"g2"), start=2))
    assert drained(view).changed_pages == {}
    view.add(batch((page("a"), b"3"), (cursor(), b"c"), start=4))
    assert drained(view).changed_pages == {(0, page("a")): b"3", (0, page("b")): b"1"}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=30), st.lists(st.integers(1, 4)))
def test_however_fetches_cut_the_log_only_whole_checkpoints_are_seen(
    writes: list[tuple[int, int]], cuts: list[int]
) -> None:
    # Each checkpoint writes some pages with its number and then a cursor with the same number.
    log: list[Record] = []
    numbers = count(1)
    for name, is_end in writes:
        value = b"%d" % next(numbers)
        log += [(page(f"p{name}"), value), (page("all"), value)]
        if is_end:
            log.append((cursor(), value))
    view, start = LedgerView(1), 0
    shown: dict[tuple[int, bytes], bytes] = {}
    for size in [*cuts, len(log)]:
        part = log[start : start + size]
        view.add(batch(*part, start=start))
        start += len(part)
        delta = view.drain()
        if delta is not None:
            shown |= delta.changed_pages
            if delta.cursors:
                assert shown[0, page("all")] == delta.cursors[0]


def test_a_switch_hands_over_all_of_the_new_generation_once_it_is_shown() -> None:
    view = LedgerView(1)
    view.add(batch((page("a"), b"1"), (cursor(), b"c1"), control("g1", "g2")))
    view.show_current()
    view.add(batch((page("a", "g2"), b"21"), (page("b", "g2"), b"22"), (cursor("g2"), b"c2"), start=3))
    assert drained(view).changed_pages == {(0, page("a")): b"1"}
    assert not view.add(batch((page("a"), b"3"), (cursor(), b"c3"), start=6))
    assert view.add(batch(control("g2"), start=8))
    # Not yet shown: the other partitions may not have been read that far.
    assert drained(view).generation == "g1"
    view.show_current()
    everything = {(0, page("a", "g2")): b"21", (0, page("b", "g2")): b"22"}
    assert view.drain() == FollowerDelta("g2", 1, reset=True, changed_pages=everything, cursors={0: b"c2"})
    # What the old generation still writes, or has removed, interests nobody.
    view.add(batch((page("a"), b"4"), (cursor(), b"c4"), (page("a"), None), (cursor(), None), start=9))
    assert view.drain() is None


def test_a_generation_that_a_newer_recount_left_behind_is_forgotten() -> None:
    view = LedgerView(1)
    view.add(batch((page("a", "g2"), b"2"), (cursor("g2"), b"c2"), control("g1", "g3"), (cursor("g3"), b"c3")))
    view.show_current()
    assert set(view._by_name) == {"g3"}


def test_records_of_another_program_are_skipped_and_told_once_per_partition() -> None:
    view = LedgerView(1)
    view.add(batch((b"?", b""), (b"!", b""), (page("a"), b"1"), (cursor(), b"c")))
    assert drained(view).changed_pages == {(0, page("a")): b"1"}
    ((partition, offset, error),) = view.take_strange()
    assert (partition, offset) == (0, 0)
    assert "a record with the key b'?' is none" in error
    assert view.take_strange() == []


def test_a_removed_control_record_means_the_first_generation() -> None:
    view = LedgerView(1)
    view.add(batch(control("g4")))
    assert view.add(batch((GENERATIONS_KEY, None), start=1))
    assert view.generations == Generations()


def test_a_control_record_of_another_version_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="control record"):
        decode(b'{"current": 7}')


@pytest.mark.parametrize(
    ("generations", "newer"),
    [
        (Generations(), "g2"),
        (Generations(current="g9", previous="g8"), "g10"),
        (Generations(current="g3", next=NextGeneration(id="g11", fingerprint="f")), "g12"),
    ],
)
def test_a_newer_generation_has_a_name_that_was_never_used(generations: Generations, newer: str) -> None:
    assert generations.newer() == newer
    assert decode(encode(generations)) == generations


@pytest.mark.parametrize(
    ("key", "parsed"),
    [
        (b'["g1","page","singles-day-2019","orders_by_second",7]', ("g1", Kind.PAGE)),
        (b'["g12","cursor"]', ("g12", Kind.CURSOR)),
        (b'["g1","fingerprint"]', ("g1", Kind.OTHER)),
        (b'["g1","seen","orders",5,6,0]', ("g1", Kind.OTHER)),
        (b'["generations"]', ("", Kind.GENERATIONS)),
    ],
)
def test_keys_tell_generation_and_kind(key: bytes, parsed: tuple[str, Kind]) -> None:
    assert parse_key(key) == parsed


@pytest.mark.parametrize("key", [None, b"", b"[]", b'["x1","page"]', b'["g","page"]', b'["g1"]', b'{"g1","page"}'])
def test_keys_of_another_program_are_told_apart(key: bytes | None) -> None:
    with pytest.raises(ValueError, match="none of this program's version"):
        parse_key(key)


def test_a_note_holds_until_the_next_cursor_of_its_partition_and_generation() -> None:
    view = LedgerView(2)
    view.add(batch((cursor(), b"c1")))
    view.drain()
    note = b'["g1","held"]'
    view.add(batch((note, b"n1"), start=1))
    assert drained(view).notes == {0: b"n1"}
    assert view.drain() is None
    view.add(batch((cursor(), b"other"), partition=1))
    assert drained(view).notes == {0: b"n1"}
    view.add(batch((cursor("g2"), b"next"), start=2))
    assert view.drain() is None
    view.add(batch((note, b"n2"), (page("a"), b"1"), (cursor(), b"c2"), start=3))
    assert drained(view).notes == {}
    view.add(batch((page("a"), b"2"), (cursor(), b"c3"), (note, b"n3"), start=6))
    assert drained(view).notes == {0: b"n3"}

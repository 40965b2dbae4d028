"""Which sightings of an id are duplicates, across minutes, batches and restarts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.duplicates import SeenIds
from streams.domain.texts import hash_texts

HORIZON = 3


def test_an_id_hashes_alike_in_every_process() -> None:
    assert hash_texts(["e1"]).tolist() == [0x1F7E24023B50EAEF]


def test_an_id_is_a_duplicate_up_to_the_horizon_in_whole_minutes() -> None:
    for later, is_duplicate in ((0, True), (HORIZON, True), (HORIZON + 1, False)):
        seen = SeenIds(HORIZON)
        ids = hash_texts(["e1"])
        assert seen.sight(100, ids) is None
        found = seen.sight(100 + later, ids)
        assert (found is not None and found.tolist() == [True]) is is_duplicate


def test_a_duplicate_renews_the_memory() -> None:
    seen = SeenIds(HORIZON)
    ids = hash_texts(["e1"])
    verdicts = [seen.sight(minute, ids) for minute in (0, 3, 6, 9, 13)]
    assert [v is not None for v in verdicts] == [False, True, True, True, False]


def test_twice_in_one_batch_counts_once() -> None:
    found = SeenIds(HORIZON).sight(0, hash_texts(["a", "b", "a", "a"]))
    assert found is not None
    assert found.tolist() == [False, False, True, True]


STEPS = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 0, 1, 2, 5)),
        st.lists(st.integers(0, 50), min_size=1, max_size=30),
        st.booleans(),
    ),
    max_size=40,
)


@given(STEPS)
def test_verdicts_equal_a_dictionary_of_latest_sightings_also_across_restarts(
    steps: list[tuple[int, list[int], bool]],
) -> None:
    seen, minute = SeenIds(HORIZON), 0
    latest: dict[int, int] = {}
    written: dict[int, list[bytes]] = {}
    for later, numbers, is_restarted in steps:
        minute += later
        expected = []
        for number in numbers:
            expected.append(number in latest and minute - latest[number] <= HORIZON)
            latest[number] = minute
        found = seen.sight(minute, hash_texts([f"e{n}" for n in numbers]))
        assert ([False] * len(numbers) if found is None else found.tolist()) == expected
        for span_minute, hashes in seen.take_span().items():
            written.setdefault(span_minute, []).append(hashes)
        if is_restarted:
            live = set(seen.minutes)
            seen = SeenIds(HORIZON)
            for old in sorted(written.keys() & live):
                seen.restore(old, [np.frombuffer(hashes, dtype="<u8") for hashes in written[old]])


def test_memory_stays_below_12_bytes_an_id_as_minutes_come_and_go() -> None:
    seen, random = SeenIds(2), np.random.default_rng(7)
    for minute in range(8):
        for _ in range(20):
            assert seen.sight(minute, random.integers(0, 2**64, 3000, dtype=np.uint64)) is None
    assert len(seen) == 3 * 20 * 3000
    assert seen.size_bytes <= 12.5 * len(seen)
    assert seen.minutes == [5, 6, 7]

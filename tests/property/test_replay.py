"""A replay writes the same bytes with the compiled part and without it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.festivals import parse_festival
from streams.festivals import load_festivals
from streams.kafka.client.whole_batch import BATCH_BYTES, WholeBatch, fill
from streams.mapping.hashing import hash_with
from streams.native import IS_BUILT
from streams.native.texts import joined, taken
from streams.replay.drawn_events import columns
from streams.replay.load import FACTS, SHARES, festival_load
from streams.replay.rendering import Renderer
from streams.replay.timeline import Timeline
from streams.replay.writing import Piece, write
from tests.conftest import skip
from tests.unit.replay.memory import RECORD_TIME_MS

if IS_BUILT:
    from streams.native.records import Values
    from streams.native.writing import write_records

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from streams.mapping.hashing import Hash
    from streams.native.texts import Texts

CODECS = {None: 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
PRODUCER = (7_000_000_001, 3, 123_456)
"""Id, epoch, sequence number of the first record."""

_NUMBERS = st.integers(0, 2**63 - 1) | st.integers(0, 20).map(lambda power: min(10**power, 2**63 - 1))
_NUMBERS_OR_NOT = _NUMBERS | _NUMBERS.map(lambda number: max(number - 1, 0)) | st.integers(-(2**63), -1)
_LENGTHS = st.sampled_from((None, 0, 1, 63, 64, 8_191, 8_192, 65_537, BATCH_BYTES // 2)) | st.integers(0, 400)
_OWN = parse_festival(
    'id = "own"\nstarts = 2019-05-01T00:00:00\ntimezone = "Europe/Berlin"\nhome_currency = "EUR"\n[replay]\n'
    'platforms = { "a\\"b%d" = 7, "双" = 3 }\nmarkets = { DE = 8, CH = 1 }\ncurrencies = { CH = "CHF" }\n'
    'merchants = 40\naverage_order = { CHF = "71" }\norigins = { DE = 1, CH = 2 }\n'
    'carriers = { dhl = 3, "d\\\\p" = 1 }\n',
    "own.toml",
)
_FESTIVALS = {**load_festivals(), _OWN.id: _OWN}


@pytest.fixture(autouse=True)
def _is_built() -> None:
    if not IS_BUILT:
        skip("the compiled part is not built here: no C compiler, or no headers of Python")


@st.composite
def _pieces(draw: st.DrawFn) -> list[Piece]:
    rows = draw(st.integers(0, 5))
    pieces = []
    for _ in range(draw(st.integers(1, 5))):
        choices = draw(st.none() | st.lists(st.binary(max_size=5), min_size=1, max_size=4))
        items = _NUMBERS_OR_NOT if choices is None else st.integers(0, len(choices) - 1)
        column = np.array(draw(st.lists(items, min_size=rows, max_size=rows)), dtype=np.int64)
        pieces.append(Piece(draw(st.binary(max_size=5) | st.just(b"%d%")), column, choices))
    return pieces


@given(_pieces(), st.binary(max_size=3) | st.just(b"%b"), st.randoms(use_true_random=False))
def test_texts_are_equal_in_every_order(pieces: list[Piece], after: bytes, order: Random) -> None:
    compiled, interpreted = (write(pieces, after, is_compiled=is_compiled) for is_compiled in (True, False))
    assert list(compiled) == interpreted
    rows = np.array(order.sample(range(2 * len(compiled)), len(compiled)), dtype=np.int64)
    found = [
        taken(joined([texts, [None], texts], is_compiled=is_compiled), rows)
        for texts, is_compiled in ((compiled, True), (interpreted, False))
    ]
    assert list(found[0]) == found[1]


@given(
    festival=st.sampled_from(sorted(_FESTIVALS)),
    facts=st.sets(st.sampled_from(FACTS), min_size=1).map(lambda chosen: tuple(sorted(chosen, key=FACTS.index))),
    seed=st.integers(0, 2**31 - 1),
    share=st.sampled_from((Decimal(0), Decimal("0.3"))),
    name=st.none() | st.sampled_from(('a"b\\c%d', "\u53cc" * 64)),
    hashing=st.sampled_from((None, hash_with(b"key"))),
)
def test_records_are_equal(  # noqa: PLR0917 - what is drawn
    festival: str, facts: tuple[str, ...], seed: int, share: Decimal, name: str | None, hashing: Hash | None
) -> None:
    shares = dict.fromkeys(SHARES, share)
    load = festival_load(
        _FESTIVALS[festival], RECORD_TIME_MS, orders=300, partitions=2, seed=seed, facts=facts, shares=shares
    )
    load = replace(load, festival=name or festival)
    timeline = Timeline(load, range(2))
    renderers = [Renderer(load, is_compiled=is_compiled, hashing=hashing) for is_compiled in (True, False)]
    while not timeline.is_done:
        events = columns(load, timeline.take_orders(100))
        compiled, interpreted = ((list(r.keys(events)), list(r.values(events))) for r in renderers)
        assert compiled == interpreted


class Producer:
    """As much of one as makes a batch."""

    def __init__(self, compression: str | None) -> None:
        self._compression = compression

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(BATCH_BYTES, CODECS[self._compression])


def _built(keys: Texts, values: Texts, compression: str | None) -> list[tuple[bytes, int]]:
    """Return the bytes of each batch the records fill, and their number."""
    batches, first = [], 0
    producer: Any = Producer(compression)
    while first < len(keys):
        batch, count = fill(producer, keys, values, first, time_ms=RECORD_TIME_MS, compression=compression)
        assert batch.closed()
        assert batch.record_count() == count
        batch._set_producer_state(*PRODUCER)
        batches.append((bytes(batch._build()), count))
        first += count
    return batches


def _texts(lengths: Sequence[int | None]) -> list[bytes | None]:
    return [None if length is None else bytes(place * place % 251 for place in range(length)) for length in lengths]


@given(
    st.lists(st.tuples(st.integers(0, 70), _LENGTHS), min_size=1, max_size=12),
    st.sampled_from((None, "snappy", "lz4", "zstd")),
    st.sampled_from((1, 7, 40)),
)
def test_batches_are_equal(lengths: list[tuple[int, int | None]], compression: str | None, repeated: int) -> None:
    """Cut at the same records, and with the same bytes, checksum included."""
    keys = _texts([length for length, _ in lengths]) * repeated
    values = _texts([length for _, length in lengths]) * repeated
    whole = _built(joined([keys]), joined([values]), compression)
    assert whole == _built(keys, values, compression)
    assert sum(count for _, count in whole) == len(keys)


def test_the_record_that_just_fits_is_the_last_one_of_both() -> None:
    room = BATCH_BYTES - 61 - len(write_records(Values.of([b"k"]), Values.of([b"a" * 300_000]), 0, 0)[0])
    counts = []
    for length in range(room - 20, room):
        keys, values = [b"k", b"k"], [b"a" * 300_000, b"b" * length]
        whole = _built(joined([keys]), joined([values]), None)
        assert whole == _built(keys, values, None)
        counts.append(len(whole))
    assert sorted(set(counts)) == [1, 2]


def test_what_gzip_wrote_is_read_again() -> None:
    """It notes the time of day, so two runs need not be equal."""
    keys, values = [b"a", b"b"] * 50, [b"v" * 300, None] * 50
    ((batch, count),) = _built(joined([keys]), joined([values]), "gzip")
    assert len(batch) < 1_000
    found = MemoryRecords(batch).next_batch()
    assert found is not None
    assert found.validate_crc()
    assert [(record.offset, record.key, record.value) for record in found] == [
        (offset, key, value) for offset, (key, value) in enumerate(zip(keys, values, strict=True))
    ]
    assert count == 100


def test_a_batch_sent_again_has_the_same_bytes() -> None:
    batch = WholeBatch(b"\x00" * 10, 1, RECORD_TIME_MS, "snappy")
    batch._set_producer_state(*PRODUCER)
    first = batch._build()
    assert batch._build() is first

"""The ways of decoding lead to one verdict and to the same columns, whatever the bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from streams.domain.judging import judge
from streams.domain.rejections import Rejection
from streams.native import IS_BUILT
from tests.conftest import skip
from tests.unit.domain.samples import START_MS, box, encode, order, parcel, payment

if TYPE_CHECKING:
    from streams.domain.columns import Columns

RECORD_TIME_MS = START_MS + 1000
EVENTS = {"orders": order(), "payments": payment(), "parcels": parcel(), "recycling": box()}
CODED = {"platform", "merchant", "market", "category", "method", "origin", "city"}
HASHED = ("event_id", "buyer", "user")
COMPILED, INTERPRETED = (
    {topic: Decoder(fact, CODED, HASHED, is_compiled=is_compiled) for topic, fact in FACTS.items()}
    for is_compiled in (IS_BUILT, False)
)
RELATIONS = {"unknown_currency", "missing_field", "discount_exceeds_amount", "time_order", "future_event"}

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 10**14)
    | st.floats()
    | st.text(max_size=70)
    | st.sampled_from(
        ("CNY", "XXX", "LTL", "HRK", "__x", "_x", "", "cainiao", "é" * 64, "京" * 43, "x" * 64, "\x7f", 10**13, 10**18)
    )
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_LAYOUTS = st.sampled_from((None, 0, 1, "\t", "\r\n"))


@st.composite
def _records(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    topic = draw(st.sampled_from(tuple(FACTS)))
    return topic, [draw(_values(topic)) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def _values(draw: st.DrawFn, topic: str) -> bytes:
    names = [f.name for f in FACTS[topic].fields] + ["type", "note", "__note", "é"]
    event: dict[str, Any] = EVENTS[topic] | draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=3))
    for name in draw(st.lists(st.sampled_from(sorted(event)), max_size=2)):
        event.pop(name, None)
    pairs = draw(st.permutations(list(event.items())))
    texts = [(json.dumps(name), json.dumps(value, ensure_ascii=draw(st.booleans()))) for name, value in pairs]
    if draw(st.booleans()) and texts:
        texts.append(draw(st.sampled_from(texts)))  # a key given twice
    space = draw(st.sampled_from(("", "", " ", "\t", "\r\n", "\x0b", "\xa0")))
    text = space + "{" + f",{space}".join(f"{name}{space}:{space}{value}{space}" for name, value in texts) + "}" + space
    value = text.encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        where = draw(st.integers(0, len(value)))
        value = value[:where] + draw(st.binary(max_size=2)) + value[where + draw(st.integers(0, 2)) :]
    return value


def _shown(columns: Columns) -> list[object]:
    return [
        columns.indexes.tolist(),
        {name: column.tolist() for name, column in columns.numbers.items()},
        {name: [column.texts[code] for code in column.codes.tolist()] for name, column in columns.texts.items()},
        {name: column.appearing() for name, column in columns.texts.items()},
        {name: column.tolist() for name, column in columns.hashes.items()},
    ]


@given(_records())
def test_all_ways_of_decoding_agree(record: tuple[str, list[bytes]]) -> None:
    topic, values = record
    good = encode(EVENTS[topic])
    times = [RECORD_TIME_MS] * (len(values) + 1)
    columns, rejections = COMPILED[topic].decode([*values, good], times)
    others, other_rejections = INTERPRETED[topic].decode([*values, good], times)
    assert rejections == other_rejections
    assert _shown(columns) == _shown(others)

    suspicious = encode({**EVENTS[topic], "note": "__x"})
    careful, careful_rejections = INTERPRETED[topic].decode([*values, suspicious], times)
    assert rejections == careful_rejections
    assert _shown(columns) == _shown(careful)

    found = dict(rejections)
    for index, value in enumerate(values):
        verdict = judge(FACTS[topic], value)
        if isinstance(verdict, Rejection):
            assert found[index] == verdict
        else:
            assert index not in found or found[index].reason in RELATIONS


def test_the_compiled_hash_is_that_of_the_package() -> None:
    if not IS_BUILT:
        skip("the compiled part is not built here: no C compiler, or no headers of Python")
    decoder = COMPILED["recycling"]
    users = [(f"u{n}" * 64)[:n] for n in range(1, 65)] + ["京" * n for n in range(1, 65)]
    columns, rejections = decoder.decode([encode(box(user=user)) for user in users], [RECORD_TIME_MS] * len(users))
    assert rejections == []
    assert columns.hashes["user"].tolist() == [xxh3_64_intdigest(user.encode()) for user in users]

"""The two ways of decoding lead to one verdict, whatever the bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.decoding import Decoder
from streams.domain.facts import FACTS
from tests.unit.domain.samples import START_MS, encode, order, payment

RECORD_TIME_MS = START_MS + 1000
DECODERS = {topic: Decoder(fact, {"platform", "merchant", "currency"}) for topic, fact in FACTS.items()}

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=70)
    | st.sampled_from(("CNY", "__x", "")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _records(draw: st.DrawFn) -> tuple[str, bytes]:
    topic = draw(st.sampled_from(("orders", "payments")))
    event: dict[str, Any] = order() if topic == "orders" else payment()
    names = [f.name for f in FACTS[topic].fields] + ["type", "note"]
    event |= draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=3))
    for name in draw(st.lists(st.sampled_from(sorted(event)), max_size=2)):
        event.pop(name, None)
    value = json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 2))):
        where = draw(st.integers(0, len(value)))
        value = value[:where] + draw(st.binary(max_size=2)) + value[where + draw(st.integers(0, 2)) :]
    return topic, value


@given(_records())
def test_the_strict_decoder_and_the_judge_agree(record: tuple[str, bytes]) -> None:
    topic, value = record
    decoder, good = DECODERS[topic], encode(order() if topic == "orders" else payment())
    judged = decoder._judge(value)
    suspicious = encode({**json.loads(good), "note": "__x"})
    fields, rejections = decoder.decode([value, good], [RECORD_TIME_MS] * 2)
    careful, rejections_amid = decoder.decode([value, suspicious], [RECORD_TIME_MS] * 2)
    assert rejections == rejections_amid
    assert {n: c.tolist() for n, c in fields.numbers.items()} == {n: c.tolist() for n, c in careful.numbers.items()}
    assert fields.texts == careful.texts
    if isinstance(judged, type(decoder._judge(good))):
        assert all(
            rejection.reason in {"missing_field", "discount_exceeds_amount", "time_order", "future_event"}
            for _, rejection in rejections
        )
    else:
        assert rejections == [(0, judged)]

"""What aiokafka's producer asks of a batch: an upgrade that asks for more fails here, not in a replay."""

from __future__ import annotations

import inspect
import re

from aiokafka import codec
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch

from streams.kafka.client.whole_batch import WholeBatch


def _asked(owner: type) -> set[str]:
    return set(re.findall(r"\b_?builder\.(\w+)\(", inspect.getsource(owner)))


def test_a_whole_batch_answers_all_that_is_asked_of_a_batch() -> None:
    # Adding to a batch, and closing an open one of a transaction, is never done to a closed one.
    asked = (_asked(MessageBatch) | _asked(MessageAccumulator)) - {"append", "close"}
    assert asked == {"closed", "record_count", "_set_producer_state", "_build"}
    for name in asked:
        expected = inspect.signature(getattr(BatchBuilder, name)).parameters
        assert list(inspect.signature(getattr(WholeBatch, name)).parameters) == list(expected), name


def test_the_codecs_take_bytes_and_their_defaults_are_those_of_a_batch() -> None:
    for name in ("gzip", "snappy", "lz4", "zstd"):
        assert isinstance(getattr(codec, f"{name}_encode")(b"a" * 100), bytes)

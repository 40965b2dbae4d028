"""A recount from begin to end, its counting planted: what it reports, and what each trouble becomes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from streams.engine.checkpoint import FencedError, OutcomeUnknownError, UnreadableError
from streams.engine.generations import Generations, NextGeneration
from streams.errors import AnswerNo, UnreachableError, UsageError
from streams.kafka.ledger import recount as module
from streams.kafka.ledger.recount import RecountReport
from tests.unit.domain.samples import declarations
from tests.unit.kafka.ledger.kafka_logs import PARTITIONS, logs
from tests.unit.kafka.ledger.test_recount_steps import Bench, bench

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bench", "logs"]

ORDERS = TopicPartition("orders", 0)
OTHER = TopicPartition("orders", 1)


class Planted:
    """The counting of a recount: says it counted to where the log ended, or raises."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.begun: list[Generations] = []
        self.ends: Mapping[TopicPartition, int] = {}
        self._bench = bench
        monkeypatch.setattr(bench.recount, "_count_beside", self.beside)
        monkeypatch.setattr(bench.recount, "_count_on", self.on)

        async def check_topics(_: object) -> int:
            return PARTITIONS

        monkeypatch.setattr(module, "check_topics", check_topics)

    async def beside(
        self, generations: Generations, partitions: int, *_: object
    ) -> tuple[Generations, dict[TopicPartition, int]]:
        assert partitions == PARTITIONS
        self.begun.append(generations)
        if self.error is not None:
            raise self.error
        assert generations.next is not None
        self._bench.recount._counted(3)
        return Generations(current=generations.next.id, previous=generations.current), {ORDERS: 3, OTHER: 0}

    async def on(self, generations: Generations, positions: Any, ends: Any) -> dict[TopicPartition, int]:  # noqa: ANN401
        assert generations.current == "g2"
        assert positions == {ORDERS: 3, OTHER: 0}
        self.ends = ends
        self._bench.recount._counted(2)
        return {ORDERS: 5}


@pytest.fixture
def planted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Planted:
    return Planted(bench, monkeypatch)


async def test_a_recount_reports_both_generations_and_how_far_the_new_one_is_counted(
    bench: Bench, planted: Planted
) -> None:
    bench.logs.write("orders", *[(b"k", b"v")] * 5, by=None)
    report = await bench.recount.run()
    assert report == RecountReport("g2", "g1", False, PARTITIONS, 5, {"orders": {0: 5, 1: 0}}, {})
    assert planted.ends[ORDERS] == 5
    assert planted.ends.keys() == {TopicPartition(t, p) for t in declarations().topics for p in range(PARTITIONS)}
    assert not bench.logs.open


async def test_a_recount_that_was_killed_says_that_it_went_on(bench: Bench, planted: Planted) -> None:
    fingerprint = hashlib.sha256(declarations().fingerprint).hexdigest()
    unfinished = Generations(current="g1", next=NextGeneration(id="g2", fingerprint=fingerprint))
    bench.write(unfinished)
    assert (await bench.recount.run()).resumed
    assert planted.begun == [unfinished]


@pytest.mark.parametrize(
    ("error", "becomes", "text"),
    [
        (KafkaConnectionError("away"), UnreachableError, "Kafka went away: .*away.*Run `festival recount` again"),
        (OutcomeUnknownError("lost"), UnreachableError, "Kafka went away: .*lost"),
        (UnreadableError("rubbish"), UsageError, "the ledger cannot be read: rubbish"),
        (FencedError("other"), AnswerNo, "another recount is at work: other"),
    ],
)
async def test_a_trouble_of_a_recount_becomes_a_sentence_and_leaves_no_reader_open(
    bench: Bench, planted: Planted, error: Exception, becomes: type[Exception], text: str
) -> None:
    planted.error = error
    with pytest.raises(becomes, match=text):
        await bench.recount.run()
    assert not bench.logs.open

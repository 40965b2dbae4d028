"""Looks at the source topics as they are now: how many partitions they have, and which offsets those hold.

What may be said of the totals is judged by it (`streams.engine.judgement`). Used by workers, boards and commands, each
with a client that it has anyway. Asking creates no topic.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.errors import KafkaConnectionError, LeaderNotAvailableError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.offset import OffsetRequest

from streams.domain.pages import Identity
from streams.engine.judgement import LogRange, Sources, end_of_epoch
from streams.engine.topic_names import LEDGER, SOURCES, rejected_topic
from streams.kafka.client.requests import EpochsRequest, MetadataRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

SURVEY_SECONDS = 15.0
"""Longest wait for the answers of all brokers together."""
_EARLIEST, _LATEST = -2, -1
_ALL, _COMMITTED = 0, 1
"""Isolation levels of ListOffsets."""
SET_ASIDE = frozenset(map(rejected_topic, SOURCES))
"""Nothing that decides a count lies on these: one that is made again is no other ledger."""
NO_EPOCHS: Mapping[tuple[str, int], int] = MappingProxyType({})
Leaders = dict[tuple[str, int], int]
"""The broker that leads a partition, by topic on Kafka and partition."""


async def survey(
    client: Any,  # noqa: ANN401 - aiokafka's client has no public type
    prefix: str,
    topics: Sequence[str],
    *,
    own: Sequence[str] = (LEDGER,),
    only: Collection[int] | None = None,
    epochs: Mapping[tuple[str, int], int] = NO_EPOCHS,
) -> Sources:
    """Return the state of `topics`; the smallest number of partitions that one of `own` has is that of the ledger.

    `only`: look at the offsets of these partition numbers, not of all. `epochs`: leader epochs by topic and partition,
    of which is asked where they end. Raises `KafkaError` where a broker does not answer, or a partition has no leader
    at the moment.
    """
    try:
        async with asyncio.timeout(SURVEY_SECONDS):
            return await _survey(client, prefix, topics, own=own, only=only, epochs=epochs)
    except TimeoutError as error:
        raise KafkaConnectionError(f"no answer within {SURVEY_SECONDS:.0f} s") from error


@dataclass(frozen=True, slots=True)
class Described:
    """What the cluster says of topics. Names are those on Kafka, with the prefix."""

    cluster_id: str
    ids: Mapping[str, str]
    """Id of each topic that is there: a topic that is deleted and made again has another one."""
    counts: Mapping[str, int]
    """Number of partitions, 0 for a topic that is not there."""
    leaders: Leaders
    epochs: Mapping[tuple[str, int], int]
    """Epoch of each partition's leader."""


class EpochEnd(NamedTuple):
    """Where a log's records of an epoch end."""

    epoch: int
    """The largest that the log has records of and that is not beyond the epoch asked for; -1: it has none."""
    end_offset: int


async def describe(client: Any, topics: Sequence[str]) -> Described:  # noqa: ANN401 - see above
    """Return what the cluster says of topics on Kafka. Raises `KafkaError` where a broker does not answer."""
    node = client.get_random_node()
    if node is None:
        raise KafkaConnectionError("no broker is known")
    answer = (await client.send(node, MetadataRequest(list(topics)))).to_object()
    ids, counts = {}, dict.fromkeys(topics, 0)
    leaders, epochs = {}, {}
    for topic in answer["topics"]:
        error, name = for_code(topic["error_code"]), topic["topic"]
        if error is UnknownTopicOrPartitionError:
            continue
        if topic["error_code"]:
            raise error(name)
        ids[name], counts[name] = topic["topic_id"], len(topic["partitions"])
        for partition in topic["partitions"]:
            place = name, partition["partition"]
            leaders[place], epochs[place] = partition["leader"], partition["leader_epoch"]
    return Described(answer["cluster_id"], ids, counts, leaders, epochs)


async def epoch_ends(
    client: Any,  # noqa: ANN401 - see above
    described: Described,
    asked: Mapping[tuple[str, int], int],
) -> dict[tuple[str, int], EpochEnd]:
    """Return where the records of the epochs `asked` end, by topic on Kafka and partition.

    A leader that is none any more answers with an error: raises `KafkaError` then, as where a broker does not answer.
    """
    wanted = {place: described.leaders[place] for place in asked}
    questions = {place: (place[1], described.epochs[place], epoch) for place, epoch in asked.items()}
    answers = await _ask_leaders(client, wanted, questions, EpochsRequest)
    found = {}
    for answer in answers:
        for topic, partitions in answer.topics:
            for code, number, epoch, end_offset in partitions:
                if code:
                    raise for_code(code)(f"{topic}[{number}]")
                found[topic, number] = EpochEnd(epoch, end_offset)
    return found


async def _survey(
    client: Any,  # noqa: ANN401 - see above
    prefix: str,
    topics: Sequence[str],
    *,
    own: Sequence[str],
    only: Collection[int] | None,
    epochs: Mapping[tuple[str, int], int],
) -> Sources:
    described = await describe(client, [prefix + name for name in (*topics, *own)])
    counts, leaders = described.counts, described.leaders
    sources = {prefix + topic for topic in topics}
    wanted = {tp: node for tp, node in leaders.items() if tp[0] in sources and (only is None or tp[1] in only)}
    asked = {(prefix + topic, number): epoch for (topic, number), epoch in epochs.items()}
    # One after the other on each connection, the ends last: no offset is beyond one that is asked for after it.
    beginnings, stable, ends, of_epochs = await asyncio.gather(
        _offsets(client, wanted, _EARLIEST, _ALL),
        _offsets(client, wanted, _LATEST, _COMMITTED),
        _offsets(client, wanted, _LATEST, _ALL),
        epoch_ends(client, described, {place: epoch for place, epoch in asked.items() if place in wanted}),
    )
    ranges = {_bare(place, prefix): LogRange(beginnings[place], stable[place], end) for place, end in ends.items()}
    ids = {name.removeprefix(prefix): topic_id for name, topic_id in described.ids.items()}
    identity = Identity(
        cluster=described.cluster_id,
        own={name: ids[name] for name in own if name in ids and name not in SET_ASIDE},
        topics={topic: ids[topic] for topic in topics if topic in ids},
    )
    return Sources(
        {topic: counts[prefix + topic] for topic in topics},
        ranges,
        min(counts[prefix + name] for name in own),
        identity,
        {_bare(place, prefix): end_of_epoch(asked[place], *end) for place, end in of_epochs.items()},
        {_bare(place, prefix): described.epochs[place] for place in wanted},
    )


def _bare(place: tuple[str, int], prefix: str) -> tuple[str, int]:
    return place[0].removeprefix(prefix), place[1]


async def _offsets(
    client: Any,  # noqa: ANN401 - see above
    wanted: Mapping[tuple[str, int], int],
    time: int,
    isolation: int,
) -> dict[tuple[str, int], int]:
    questions = {place: (place[1], time) for place in wanted}
    answers = await _ask_leaders(client, wanted, questions, lambda topics: OffsetRequest(-1, isolation, topics))
    found = {}
    for answer in answers:
        for topic, partitions in answer.topics:
            for number, code, _, offset in partitions:
                if code:
                    raise for_code(code)(f"{topic}[{number}]")
                found[topic, number] = offset
    return found


async def _ask_leaders(
    client: Any,  # noqa: ANN401 - see above
    leaders: Mapping[tuple[str, int], int],
    questions: Mapping[tuple[str, int], Any],
    request: Callable[[list[tuple[str, list[Any]]]], object],
) -> list[Any]:
    """Return the answers of the brokers that lead the partitions, each asked once for all of its own."""
    by_node: defaultdict[int, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for (topic, number), question in questions.items():
        node = leaders[topic, number]
        if node < 0:
            raise LeaderNotAvailableError(f"{topic}[{number}] has no leader")
        by_node[node][topic].append(question)
    return await asyncio.gather(*(client.send(node, request(list(topics.items()))) for node, topics in by_node.items()))

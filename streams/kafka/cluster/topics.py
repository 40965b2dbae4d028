"""The topics: what they are called, what they must be like, creating the missing ones, checking all of them.

`festival topics` creates, grows and checks, a worker checks before it joins. Partitions are added to topics of our own
where the sources have grown. Nothing here deletes a topic, alters one or adds partitions to a source: that belongs to
the operator, who gets the command that mends it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from streams.engine.topic_names import (
    AUDITS,
    BRIDGE,
    BRIDGE_REJECTED,
    IMPORTS,
    LEDGER,
    SEEN,
    SOURCES,
    TOTALS,
)
from streams.errors import UnreachableError, UsageError
from streams.kafka.client import clients
from streams.kafka.client.administrator import AWAY, Administrator
from streams.kafka.client.denials import denial, is_denied
from streams.kafka.client.internals import install
from streams.kafka.cluster.topic_settings import deviations, specs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from streams.kafka.cluster.topic_settings import Deviation, Spec
    from streams.settings import Settings

log = logging.getLogger("festival.topics")

OWN = (LEDGER, SEEN, *(f"{source}.rejected" for source in SOURCES))
"""What a checkpoint writes to: partition p of each belongs to partition p of the sources."""

OTHERS = (IMPORTS, AUDITS, TOTALS, BRIDGE, BRIDGE_REJECTED)
"""What no worker needs."""
DEFAULT_PARTITIONS = 4
"""Partitions bound the number of workers, and each costs a transaction per checkpoint: 4 take 11 ms, 32 take 67."""
REQUEST_TIMEOUT_MS = 15_000
KNOWN_SECONDS = 10.0
"""Longest wait until all brokers know of the same topics."""
_LEADERS_TRIES = 100
_LEADERS_PAUSE_SECONDS = 0.1


class TopicsError(UsageError):
    """Topics are missing or not as they must be; the text holds the commands that mend them."""


class DeniedError(UnreachableError):
    """The broker does not allow it; the text names principal, operation and resource."""


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """All topics as they must be, names with prefix."""

    partitions: int
    """How many each source has."""
    created: tuple[str, ...]
    grown: tuple[str, ...]
    """Our own topics to which partitions were added."""
    topics: tuple[str, ...]
    counts: dict[str, int]
    """Number of partitions of each topic."""


async def create_topics(settings: Settings, partitions: int | None = None) -> TopicsReport:
    """Create the missing topics with `partitions` (None: as many as the sources have, else 4), then check all of them.

    Our own topics get as many partitions as the sources, but for that of imports, where a file's place follows its
    number, and those of audits, totals and bridges.

    Raises `TopicsError` where topics exist that are not as they must be, `UnreachableError` without a broker.
    """
    specs = specs_of(settings)
    async with open_admin(settings) as admin:
        found = await _partitions(admin, [spec.name for spec in specs])
        sources = _only(found, settings, SOURCES)
        if partitions is not None:
            _refuse_other_counts(sources, partitions)
        shared = {spec.name: found[spec.name] for spec in specs if spec.partitions is None and spec.name in found}
        wanted = partitions or max((sources or shared).values(), default=DEFAULT_PARTITIONS)
        missing = [spec for spec in specs if spec.name not in found]
        await _create(admin, missing, wanted)
        grown = [name for name, count in _only(found, settings, OWN).items() if count < wanted]
        await _grow(admin, settings, grown, wanted)
        made = {spec.name: spec.partitions or wanted for spec in missing}
        await _await_leaders(admin, dict.fromkeys(grown, wanted) | made)
        count = await _check(admin, settings, specs)
        counts = await _partitions(admin, [spec.name for spec in specs])
    return TopicsReport(
        count, tuple(spec.name for spec in missing), tuple(grown), tuple(spec.name for spec in specs), counts
    )


async def check_topics(settings: Settings, *, also: Collection[str] = (), may_differ: bool = False) -> int:
    """Return the number of partitions the sources have; changes nothing.

    `may_differ`: numbers of partitions that do not fit are told in the log and not refused; partitions that not all
    topics have are held, the others are counted. So are settings without which the count is right. The topics of
    imports, audits, totals and bridges are looked at where they stand in `also`: a worker does without them, and
    without the right to describe them.
    Raises `TopicsError` where topics are missing or not as they must be, `UnreachableError` without a broker.
    """
    async with open_admin(settings) as admin:
        others = {settings.prefix + name for name in OTHERS if name not in also}
        specs = [s for s in specs_of(settings) if s.name not in others]
        return await _check(admin, settings, specs, may_differ=may_differ)


def own_names(settings: Settings) -> frozenset[str]:
    """Return the names on Kafka of all topics of ours."""
    return frozenset(spec.name for spec in specs_of(settings))


async def partitions_of(settings: Settings, names: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of those topics that exist, by their full names.

    Raises `DeniedError` where one may not be described, `UnreachableError` without a broker.
    """
    async with open_admin(settings) as admin:
        return await _partitions(admin, names)


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[Administrator]:
    """Give a connected admin client; what Kafka refuses meanwhile is an `UnreachableError`."""
    install()
    admin = Administrator(**settings.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            async with asyncio.timeout(clients.REACH_SECONDS):
                await admin.start()
            yield admin
        except (*AWAY, TimeoutError) as error:
            raise clients.cannot_reach(settings, error) from error
        except KafkaError as error:
            if is_denied(error):
                raise DeniedError(str(denial(error, settings.security.principal, "Describe"))) from error
            raise UnreachableError(f"Kafka at {settings.bootstrap_servers} refuses to answer: {error}") from error
    finally:
        await admin.close()


async def _partitions(admin: Administrator, names: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of those topics that exist, once all brokers that answer know of the same.

    What was made a moment ago is not known everywhere; after `KNOWN_SECONDS` it is what one of them knows.
    """
    clock = asyncio.get_running_loop().time
    limit = clock() + KNOWN_SECONDS
    while True:
        known = await _known(admin, names)
        if all(each == known[0] for each in known) or clock() >= limit:
            return {name: max(each.get(name, 0) for each in known) for name in names if any(name in k for k in known)}
        await asyncio.sleep(_LEADERS_PAUSE_SECONDS)


async def _known(admin: Administrator, names: Sequence[str]) -> list[dict[str, int]]:
    """Return the number of partitions with a leader of those topics that exist, as each broker knows it."""
    answers = await asyncio.gather(
        *(admin.describe_at(node, list(names)) for node in admin.nodes), return_exceptions=True
    )
    found: list[dict[str, int]] = []
    problem: BaseException = KafkaConnectionError("no broker is known")
    for answer in answers:
        if isinstance(answer, BaseException):
            if not isinstance(answer, AWAY):
                raise answer
            problem = answer
            continue
        found.append(_counts(answer))
    if not found:
        raise problem
    return found


def _counts(topics: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts = {}
    for topic in topics:
        error = for_code(topic["error_code"])
        if error is NoError:
            counts[topic["topic"]] = len(topic["partitions"])
        elif not error.retriable:  # else it is not there, or not yet
            raise error(topic["topic"])
    return counts


def _refuse_other_counts(found: Mapping[str, int], partitions: int) -> None:
    other = sorted(name for name, count in found.items() if count != partitions)
    if other:
        raise TopicsError(
            f"{', '.join(other)}: there with {found[other[0]]} partitions, not {partitions}. "
            "Partitions are never added to sources here: keys would move to others, where a resend is not remembered "
            "and counts twice. "
            "Leave --partitions out, or start anew beside them with another --prefix."
        )


async def _create(admin: Administrator, specs: Sequence[Spec], partitions: int) -> None:
    topics = []
    for spec in specs:
        topic = NewTopic(spec.name, spec.partitions or partitions, 1, topic_configs=dict(spec.created_with))
        # -1 is the broker's default; the constructor refuses it, the protocol does not.
        topic.replication_factor = -1
        topics.append(topic)
    if not topics:
        return
    response: Any = await admin.create_topics(topics)
    problems = [
        f"topic {name}: not created: {message or for_code(code).description}"
        for name, code, message in response.topic_errors
        if for_code(code) not in (NoError, TopicAlreadyExistsError)
    ]
    if problems:
        raise TopicsError("\n".join(problems))


async def _grow(admin: Administrator, settings: Settings, names: Sequence[str], partitions: int) -> None:
    if not names:
        return
    try:
        await admin.create_partitions({name: NewPartitions(partitions) for name in names})
    except KafkaConnectionError:
        raise
    except KafkaError as error:
        raise TopicsError(
            f"no partitions are added to {', '.join(names)}: {error}. With the right Alter on them run: "
            f"{topics_command(settings)}"
        ) from error


async def _await_leaders(admin: Administrator, partitions: Mapping[str, int]) -> None:
    """Return once every broker that answers knows a leader of each new partition: who asks earlier sees them missing.

    `partitions` says how many each topic has at least.
    """
    for _ in range(_LEADERS_TRIES if partitions else 0):
        nodes = admin.nodes
        answers = await asyncio.gather(
            *(admin.describe_at(node, list(partitions)) for node in nodes), return_exceptions=True
        )
        told = [answer for answer in answers if not isinstance(answer, AWAY)]
        if told and all(not isinstance(answer, BaseException) and _are_led(answer, partitions) for answer in told):
            return
        await asyncio.sleep(_LEADERS_PAUSE_SECONDS)


def _are_led(topics: Sequence[Mapping[str, Any]], partitions: Mapping[str, int]) -> bool:
    return all(topic["error_code"] == 0 and _led(topic) >= partitions[topic["topic"]] for topic in topics)


def _led(topic: Mapping[str, Any]) -> int:
    """Return how many partitions have a leader."""
    return sum(partition["error_code"] == 0 for partition in topic["partitions"])


def _only(found: Mapping[str, int], settings: Settings, names: Sequence[str]) -> dict[str, int]:
    """Return the numbers of partitions of those of `names` that are there, by the name on Kafka."""
    return {settings.prefix + name: found[settings.prefix + name] for name in names if settings.prefix + name in found}


async def _check(admin: Administrator, settings: Settings, specs: Sequence[Spec], *, may_differ: bool = False) -> int:
    found = await _partitions(admin, [spec.name for spec in specs])
    problems = []
    if missing := [spec.name for spec in specs if spec.name not in found]:
        problems.append(f"missing: {', '.join(missing)}. Create them with: {topics_command(settings)}")
    differences = _differences(found, settings)
    if may_differ:
        for difference in differences:
            log.warning("partitions are held: %s", difference)
    else:
        problems += differences
    configs = await _configs(admin, list(found))
    for spec in specs:
        if spec.name in configs:
            for deviation in deviations(spec, configs[spec.name], settings.bootstrap_servers):
                if may_differ and deviation.is_wish:
                    log.warning(deviation.text)
                else:
                    problems.append(deviation.text)
    if problems:
        raise TopicsError("\n".join(problems))
    return max(_only(found, settings, SOURCES).values())


def _differences(found: Mapping[str, int], settings: Settings) -> list[str]:
    """Return what is to say of numbers of partitions that do not fit."""
    sources, own = _only(found, settings, SOURCES), _only(found, settings, OWN)
    most = max(sources.values(), default=0)
    told = []
    if few := sorted(name for name, count in sources.items() if count < most):
        by_count: dict[int, list[str]] = {}
        for name in sorted(sources):
            by_count.setdefault(sources[name], []).append(name)
        counts = "; ".join(f"{count} have {', '.join(names)}" for count, names in sorted(by_count.items()))
        alter = f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers} --alter --partitions {most} --topic"
        commands = "; ".join(f"{alter} {name}" for name in few)
        told.append(
            f"unequal numbers of partitions: {counts}. Partition p of all sources is counted together, so those that "
            f"not all have are not counted. Add what lacks with: {commands}; then run: {topics_command(settings)}"
        )
    if few := sorted(name for name, count in own.items() if count < most):
        told.append(
            f"too few partitions: the sources have {most}, {', '.join(few)} {min(own.values())}; those beyond are not "
            f"counted. Add them with: {topics_command(settings)}"
        )
    return told


def topics_command(settings: Settings) -> str:
    """Return the command that creates and grows the topics of these settings."""
    prefix = f" --prefix {settings.prefix}" if settings.prefix else ""
    return f"festival topics --broker {settings.bootstrap_servers}{prefix}"


async def look_at_settings(settings: Settings) -> list[Deviation]:
    """Return which settings of the sources and of the ledger's topics are not as they must be; one request for all.

    Topics that are missing are left out. Raises `TopicsError` where the settings may not be read, `UnreachableError`
    without a broker.
    """
    others = {settings.prefix + name for name in OTHERS}
    specs = [spec for spec in specs_of(settings) if spec.name not in others]
    async with open_admin(settings) as admin:
        configs = await _configs(admin, [spec.name for spec in specs])
    found = (deviations(spec, configs[spec.name], settings.bootstrap_servers) for spec in specs if spec.name in configs)
    return [deviation for each in found for deviation in each]


async def _configs(admin: Administrator, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the effective settings of those topics that exist, the broker's defaults included."""
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, str]] = {}
    problems = []
    responses: list[Any] = await admin.describe_configs(resources)
    for response in responses:
        for code, message, _, name, entries in response.resources:
            if for_code(code) is UnknownTopicOrPartitionError:
                continue
            if code:
                reason = message or for_code(code).description
                problems.append(f"topic {name}: its settings cannot be read (DescribeConfigs): {reason}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    if problems:
        raise TopicsError("\n".join(problems))
    return configs

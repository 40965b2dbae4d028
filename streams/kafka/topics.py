"""The topics: what they are called, what they must be like, creating the missing ones, checking all of them.

`festival topics` creates and checks, a worker checks before it joins. Nothing here deletes a topic, alters one or
adds partitions to one: what exists belongs to the operator, who gets the command that mends it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from streams.configuration import DAY_MS
from streams.errors import UnreachableError, UsageError
from streams.kafka import clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from streams.settings import Settings

SOURCES = ("orders", "payments", "parcels", "recycling")
LEDGER = "festival.ledger"
SEEN = "festival.seen"
IMPORTS = "festival.imports"

DEFAULT_PARTITIONS = 4
"""Partitions bound the number of workers, and each costs a transaction per checkpoint: 4 take 11 ms, 32 take 67."""
RETENTION_MARGIN_MS = 5 * DAY_MS
"""What sources keep beyond `settle`: time to mend a worker that stood still before its input is deleted."""
REJECTED_RETENTION_MS = 90 * DAY_MS
COMPACTION_LAG_MS = 60_000
"""For a minute a live reader sees every checkpoint as it was written, not mixed with later ones by compaction. Whoever
takes a partition over, or starts to follow, reads what is not compacted: 50 MB for each minute of 30,000 orders/s."""
SEGMENT_MS = 60_000
"""Kafka never compacts the segment it writes to."""
SEGMENT_BYTES = 64 * 1024 * 1024
"""At Kafka's default a restore would read up to 1 GB of old pages."""
REQUEST_TIMEOUT_MS = 15_000
UNLIMITED = -1
"""How Kafka writes a retention without end."""
_LEADERS_TRIES = 100
_LEADERS_PAUSE_SECONDS = 0.1


class TopicsError(UsageError):
    """Topics are missing or not as they must be; the text holds the commands that mend them."""


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """All topics as they must be, names with prefix."""

    partitions: int
    created: tuple[str, ...]
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Spec:
    """What one topic must be like: settings it is created with, and those that are checked."""

    name: str
    created_with: Mapping[str, str]
    exact: Mapping[str, str]
    at_least: Mapping[str, int]
    """Lower bounds, where `UNLIMITED` is above every bound."""


def rejected_topic(source: str) -> str:
    """Return the name of the topic that takes the rejected records of `source`."""
    return f"{source}.rejected"


async def create_topics(settings: Settings, partitions: int | None = None) -> TopicsReport:
    """Create the missing topics with `partitions` (None: as many as there are, else 4), then check all of them.

    Raises `TopicsError` where topics exist that are not as they must be, `UnreachableError` without a broker.
    """
    specs = _specs(settings)
    async with open_admin(settings) as admin:
        found = await _partitions(admin, [spec.name for spec in specs])
        wanted = partitions or max(found.values(), default=DEFAULT_PARTITIONS)
        if partitions is not None:
            _refuse_other_counts(found, partitions)
        missing = [spec for spec in specs if spec.name not in found]
        await _create(admin, missing, wanted)
        await _await_leaders(admin, [spec.name for spec in missing])
        count = await _check(admin, settings, specs)
    return TopicsReport(count, tuple(spec.name for spec in missing), tuple(spec.name for spec in specs))


async def check_topics(settings: Settings, *, with_imports: bool = False) -> int:
    """Return the number of partitions all topics have; changes nothing.

    The topic of imports is for imports only: a worker does without it, and without the right to describe it.
    Raises `TopicsError` where topics are missing or not as they must be, `UnreachableError` without a broker.
    """
    async with open_admin(settings) as admin:
        specs = [s for s in _specs(settings) if with_imports or s.name != settings.prefix + IMPORTS]
        return await _check(admin, settings, specs)


def _specs(settings: Settings) -> list[_Spec]:
    retention_ms = settings.settle_ms + RETENTION_MARGIN_MS
    # Retention by size would delete what retention by time promises to keep; compaction would drop orders of one key.
    source_exact = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "retention.bytes": "-1"}
    ledger_exact = {"cleanup.policy": "compact"}
    rejected = {"cleanup.policy": "delete", "retention.ms": str(max(REJECTED_RETENTION_MS, retention_ms))}
    ledger = {
        **ledger_exact,
        "min.compaction.lag.ms": str(COMPACTION_LAG_MS),
        "segment.ms": str(SEGMENT_MS),
        "segment.bytes": str(SEGMENT_BYTES),
    }
    specs = []
    for source in SOURCES:
        bounds = {"retention.ms": retention_ms}
        created_with = source_exact | {"retention.ms": str(retention_ms)}
        specs.append(_Spec(settings.prefix + source, created_with, source_exact, bounds))
        # A compacted topic refuses records without a key, and a refused record would fail its checkpoint.
        specs.append(_Spec(settings.prefix + rejected_topic(source), rejected, {"cleanup.policy": "delete"}, {}))
    bounds = {"min.compaction.lag.ms": COMPACTION_LAG_MS}
    specs += [_Spec(settings.prefix + name, ledger, ledger_exact, bounds) for name in (LEDGER, SEEN)]
    # Deleted progress would be a file imported twice.
    imports = {**ledger_exact, "segment.bytes": str(SEGMENT_BYTES)}
    specs.append(_Spec(settings.prefix + IMPORTS, imports, ledger_exact, {}))
    return specs


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a connected admin client; what Kafka refuses meanwhile is an `UnreachableError`."""
    admin = AIOKafkaAdminClient(**settings.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            await admin.start()
            yield admin
        except (KafkaConnectionError, TimeoutError) as error:
            raise clients.cannot_reach(settings, error) from error
        except KafkaError as error:
            raise UnreachableError(f"Kafka at {settings.bootstrap_servers} refuses to answer: {error}") from error
    finally:
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of those topics that exist."""
    found = {}
    for topic in await admin.describe_topics(list(names)):
        error = for_code(topic["error_code"])
        if error is NoError:
            found[topic["topic"]] = len(topic["partitions"])
        elif error is not UnknownTopicOrPartitionError:
            raise TopicsError(f"topic {topic['topic']}: the broker does not describe it: {error.description}")
    return found


def _refuse_other_counts(found: Mapping[str, int], partitions: int) -> None:
    other = sorted(name for name, count in found.items() if count != partitions)
    if other:
        raise TopicsError(
            f"{', '.join(other)}: there with {found[other[0]]} partitions, not {partitions}. "
            "Partitions are never added: keys would move to others, where a resend is not remembered and counts twice. "
            "Leave --partitions out, or start anew beside them with another --prefix."
        )


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[_Spec], partitions: int) -> None:
    topics = []
    for spec in specs:
        topic = NewTopic(spec.name, partitions, 1, topic_configs=dict(spec.created_with))
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


async def _await_leaders(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """Return once each partition of the new topics has a leader: clients that ask earlier see them missing."""
    for _ in range(_LEADERS_TRIES if names else 0):
        topics = await admin.describe_topics(list(names))
        if all(t["error_code"] == 0 and all(p["error_code"] == 0 for p in t["partitions"]) for t in topics):
            return
        await asyncio.sleep(_LEADERS_PAUSE_SECONDS)


async def _check(admin: AIOKafkaAdminClient, settings: Settings, specs: Sequence[_Spec]) -> int:
    found = await _partitions(admin, [spec.name for spec in specs])
    problems = []
    if missing := [spec.name for spec in specs if spec.name not in found]:
        problems.append(f"missing: {', '.join(missing)}. Create them with: {_topics_command(settings)}")
    if len(set(found.values())) > 1:
        by_count: dict[int, list[str]] = {}
        for name in sorted(found):
            by_count.setdefault(found[name], []).append(name)
        counts = "; ".join(f"{count} have {', '.join(names)}" for count, names in sorted(by_count.items()))
        problems.append(
            f"unequal numbers of partitions: {counts}. Partition p of all topics is counted together, so all need "
            "the same number: create those anew that are wrong, or start beside them with another --prefix."
        )
    configs = await _configs(admin, list(found))
    for spec in specs:
        if spec.name in configs:
            problems += _config_problems(spec, configs[spec.name], settings.bootstrap_servers)
    if problems:
        raise TopicsError("\n".join(problems))
    return next(iter(found.values()))


def _topics_command(settings: Settings) -> str:
    prefix = f" --prefix {settings.prefix}" if settings.prefix else ""
    return f"festival topics --broker {settings.bootstrap_servers}{prefix}"


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the effective settings per topic, the broker's defaults included."""
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, str]] = {}
    problems = []
    responses: list[Any] = await admin.describe_configs(resources)
    for response in responses:
        for code, message, _, name, entries in response.resources:
            if code:
                reason = message or for_code(code).description
                problems.append(f"topic {name}: its settings cannot be read (DescribeConfigs): {reason}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    if problems:
        raise TopicsError("\n".join(problems))
    return configs


def _config_problems(spec: _Spec, config: Mapping[str, Any], broker: str) -> list[str]:
    wrong = {key: value for key, value in spec.exact.items() if config.get(key) != value}
    for key, bound in spec.at_least.items():
        value = int(config.get(key, UNLIMITED))
        if value != UNLIMITED and value < bound:
            wrong[key] = str(bound)
    return [
        f"topic {spec.name}: {key} is {config.get(key)}, must be {'' if key in spec.exact else 'at least '}{value}. "
        f"Mend it with: kafka-configs.sh --bootstrap-server {broker} --alter --entity-type topics "
        f"--entity-name {spec.name} --add-config {key}={value}"
        for key, value in wrong.items()
    ]

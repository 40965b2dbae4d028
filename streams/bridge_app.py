"""The composition root of a bridge: a map and settings in, a running Faust app with all its parts out.

What can be refused is refused before the group is joined: topics, the name, a map that translates otherwise than the
one the progress was made with.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from streams.bridge.cluster import KafkaCluster, read_progress
from streams.bridge.map import differences, parse_map, said
from streams.bridge.member import BridgeMember
from streams.bridge.registry import Registry
from streams.bridge.status import BridgeStatus
from streams.bridge.store import group_of, translating
from streams.bridge.translation import Translation
from streams.bridge.web import bridge_web
from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.topic_names import BRIDGE, BRIDGE_REJECTED
from streams.errors import UnreachableError, UsageError
from streams.festivals.declared import load_declared
from streams.kafka.client.clients import await_broker, through_trouble
from streams.kafka.client.log_reader import LogReader
from streams.kafka.cluster.survey import describe
from streams.kafka.cluster.topics import check_topics, own_names
from streams.kafka.cluster.watch import watch_clock
from streams.kafka.group.claim import claim_name
from streams.kafka.group.faust_app import build_app
from streams.kafka.ledger.store import crash_from_environment
from streams.log import identify
from streams.mapping.hashing import load_hash
from streams.process import quiet_libraries, serve, stop_signal, unless_stopped
from streams.web.entrance import entrance_of
from streams.web.ports import listen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.bridge.map import BridgeMap
    from streams.bridge.progress import KeptMap, Progress
    from streams.domain.facts import Fact
    from streams.settings import Settings

log = logging.getLogger("festival.bridge")


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What may be accepted."""

    accepts_map: bool = False
    accepts_loss: bool = False


async def run_bridge(
    settings: Settings, bridge_map: BridgeMap, options: BridgeOptions, announce: Callable[[str], None]
) -> dict[str, dict[str, int]]:
    """Translate until SIGTERM or SIGINT; return the committed records by topic and outcome.

    `announce` is told the address of the HTTP interface. Raises `FestivalError` for whatever ends the bridge before.
    """
    refuse_own(settings, bridge_map)
    hashing = load_hash(settings.hash_key_file)
    registry = Registry(settings.registry.urls or bridge_map.registry, settings.registry)
    for source in bridge_map.sources:
        Translation(source, registry, hashing)  # whatever the map needs and is not set is told now
    statuses = [BridgeStatus(source.topic) for source in bridge_map.sources]
    claim = claim_name(settings, f"bridges/{bridge_map.name}")
    settings = replace(settings, name=claim.name)
    identify(worker=f"{bridge_map.name}:{claim.name}")
    quiet_libraries(settings)
    clock = BrokerClock(SystemClock())
    stopped = stop_signal()
    try:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(registry.close)
            if not await unless_stopped(stopped, partial(_has_all, settings, bridge_map)):
                return {}
            shared = translating(
                KafkaCluster(settings, clock),
                settings.prefix,
                bridge_map,
                superseded=await judge_map(settings, bridge_map, accepts=options.accepts_map),
                accepts_loss=options.accepts_loss,
                at_step=crash_from_environment(),
            )
            listener = listen(settings.web_host, settings.web_port, is_explicit=settings.is_web_port_explicit)
            entrance = entrance_of(settings.web_config, listener)
            hosts = settings.web_allowed_hosts
            web = bridge_web(listener, statuses, registry, clock, hosts=hosts, entrance=entrance)
            announce(await stack.enter_async_context(web))
            for work in (registry.run(), watch_clock(clock)):
                stack.callback(asyncio.create_task(work).cancel)
            for sentence in warnings_of(bridge_map):
                log.warning(sentence)
            app = build_app(settings, claim.directory, group_of(bridge_map.name))
            member = BridgeMember(app, bridge_map, shared, registry, statuses, clock, hashing)
            log.info("bridge starts", extra={"digest": bridge_map.digest, "sources": len(bridge_map.sources)})
            await serve(app, member, stopped)
            return _report(statuses)
    finally:
        claim.release()


def refuse_own(settings: Settings, bridge_map: BridgeMap) -> None:
    """Raise `UsageError` where a topic of ours is a source: a bridge would read what it writes."""
    own = own_names(settings)
    if ours := [source.topic for source in bridge_map.sources if source.topic in own]:
        raise UsageError(f"{', '.join(ours)}: a topic of ours cannot be a source of a map")


def warnings_of(bridge_map: BridgeMap) -> list[str]:
    """Return what the user of a map should know."""
    return [
        f"{source.topic}: the map names no event_id, so it is made of partition and offset: what a producer sends "
        "again counts again"
        for source in bridge_map.sources
        if not source.names_events
    ]


async def _has_all(settings: Settings, bridge_map: BridgeMap) -> bool:
    """Return True once the topics were seen, ours and the map's; raises what is wrong with them."""
    await await_broker(settings)
    await through_trouble(partial(check_topics, settings, also=(BRIDGE, BRIDGE_REJECTED), may_differ=True))
    await through_trouble(partial(_refuse_missing, settings, bridge_map))
    return True


async def _refuse_missing(settings: Settings, bridge_map: BridgeMap) -> None:
    """Raise `UsageError` where a source is not there; one that may not be looked at waits later on."""
    topics = [source.topic for source in bridge_map.sources]
    reader = await LogReader.open(settings, is_patient=False, is_foreign=True)
    try:
        counts = (await describe(reader.client, topics)).counts
    except TopicAuthorizationFailedError:
        return
    except KafkaError as error:
        raise UnreachableError(f"the source topics cannot be looked at: {error}") from error
    finally:
        await reader.close()
    if missing := [topic for topic in topics if not counts[topic]]:
        raise UsageError(f"there is no topic {', '.join(missing)}, which the map names as a source")


async def judge_map(settings: Settings, bridge_map: BridgeMap, *, accepts: bool) -> frozenset[str]:
    """Return the digests of translations that this map takes the place of.

    Raises `UsageError` with each difference, where it translates otherwise than the one before and nobody accepts it.
    """
    try:
        progress = await read_progress(settings, bridge_map.name)
    except KafkaError as error:
        raise UnreachableError(f"the progress of the bridge cannot be read: {error}") from error
    wanted = bridge_map.translations
    others = {
        (topic, stretch.translation, stretch.map)
        for (_, topic, _), cursor in progress.cursors.items()
        for stretch in cursor.stretches[-1:]
        if topic in wanted and stretch.translation != wanted[topic]
    }
    if others and not accepts:
        tell = partial(_told, bridge_map, progress, load_declared(settings.declarations).facts)
        told = [line for topic, _, digest in sorted(others) for line in tell(topic, digest)]
        raise UsageError(
            "\n".join(
                [f"map {bridge_map.name}: it translates otherwise than the one that the progress was made with:"]
                + [f"  {line}" for line in dict.fromkeys(told)]
                + ["Go on with it from there with --accept-map; what was sent before stays as it is."]
            )
        )
    return frozenset(translation for _, translation, _ in others)


def _told(bridge_map: BridgeMap, progress: Progress, facts: Mapping[str, Fact], topic: str, digest: str) -> list[str]:
    kept = progress.maps.get((bridge_map.name, digest))
    if kept is None:
        return [f"{topic}: the map before is not known any more"]
    before = said(reopened(kept, bridge_map.name, facts).source(topic))
    return [f"{topic}: {line}" for line in differences(before, said(bridge_map.source(topic)))]


def reopened(kept: KeptMap, name: str, facts: Mapping[str, Fact]) -> BridgeMap:
    """Return a map as it was kept, with its files of descriptors beside it."""
    return parse_map(kept.text, Path(f"{name}.toml"), kept.descriptors.__getitem__, facts)


def _report(statuses: list[BridgeStatus]) -> dict[str, dict[str, int]]:
    report: dict[str, dict[str, int]] = {status.topics[0]: {} for status in statuses}
    for status in statuses:
        for (topic, outcome), records in status.snapshot().outcomes.items():
            report[topic][outcome] = records
    return report

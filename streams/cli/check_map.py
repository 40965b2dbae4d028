"""What `festival check --map` looks at: the topics that a map names, the bridge's own, rights, the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError, for_code

from streams.bridge.registry import Registry, RegistryError
from streams.bridge.store import group_of
from streams.bridge_app import refuse_own, warnings_of
from streams.cli.findings import Finding
from streams.engine.topic_names import BRIDGE, BRIDGE_REJECTED
from streams.errors import UsageError
from streams.kafka.client.requests import MetadataRequest, ask
from streams.kafka.cluster.permissions import READ, missing_on, missing_on_group
from streams.kafka.cluster.topics import open_admin

if TYPE_CHECKING:
    from streams.bridge.map import BridgeMap
    from streams.settings import Settings


async def check_map(settings: Settings, bridge_map: BridgeMap) -> tuple[list[Finding], bool]:
    """Return what is to say of a map, and whether the registry is away. Raises `UnreachableError` without a broker."""
    found = [
        Finding("map", "ok", f"{bridge_map.name}: {len(bridge_map.sources)} sources, digest {bridge_map.digest[:12]}")
    ]
    found += [Finding("map", "note", sentence, "name an event_id") for sentence in warnings_of(bridge_map)]
    try:
        refuse_own(settings, bridge_map)
    except UsageError as error:
        found.append(Finding("map", "wrong", str(error), "take it out of the map"))
    own = [settings.prefix + name for name in (BRIDGE, BRIDGE_REJECTED)]
    topics = [source.topic for source in bridge_map.sources]
    async with open_admin(settings) as admin:
        answer = await ask(admin, MetadataRequest([*topics, *own]))
        for topic in answer.to_object()["topics"]:
            found.append(_topic(topic, is_own=topic["topic"] in own))
        group = settings.prefix + group_of(bridge_map.name)
        found += [_lack(group, "group", lack) for lack in await missing_on_group(admin, group)]
    registry, is_away = await _registry(settings, bridge_map)
    return [*found, *registry], is_away


def _topic(topic: dict[str, Any], *, is_own: bool) -> Finding:
    name, error = topic["topic"], for_code(topic["error_code"])
    subject = "bridge topics" if is_own else "source"
    if error.__name__ == "TopicAuthorizationFailedError":
        return _lack(name, "topic", "Read")
    if topic["error_code"]:
        mend = "festival topics" if is_own else "correct its name in the map, or let its producer create it"
        return Finding(subject, "wrong", f"{name}: not there", mend)
    if not is_own and (lack := missing_on(topic["authorized_operations"], (READ,))):
        return _lack(name, "topic", lack[0])
    return Finding(subject, "ok", f"{name}: {len(topic['partitions'])} partitions")


def _lack(name: str, resource: str, operation: str) -> Finding:
    mend = f"allow {operation} on it to this user (kafka-acls.sh --add --operation {operation} --{resource} {name})"
    return Finding("permissions", "wrong", f"{operation} on {resource} {name} is not allowed", mend)


async def _registry(settings: Settings, bridge_map: BridgeMap) -> tuple[list[Finding], bool]:
    """Return what is to say of the registry, and whether it is away."""
    if not any(source.needs_registry for source in bridge_map.sources):
        return [], False
    urls = settings.registry.urls or bridge_map.registry
    registry = Registry(urls, settings.registry)
    try:
        await registry.look_up("1")
    except (RegistryError, KafkaError) as error:
        mend = "start it, or correct [registry] url in the map, FESTIVAL_REGISTRY_URL and who asks"
        return [Finding("registry", "wrong", str(error), mend)], True
    finally:
        await registry.close()
    return [Finding("registry", "ok", f"{', '.join(urls)} answers")], False

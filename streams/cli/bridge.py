"""`festival bridge`: foreign topics translated onto the four topics, exactly once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.bridge.given import read_given
from streams.bridge.map import load_map
from streams.bridge.newest import newest_records
from streams.bridge.registry import Registry, RegistryError
from streams.bridge.trial import Trial
from streams.bridge_app import BridgeOptions, run_bridge, warnings_of
from streams.broker import address
from streams.cli.options import json_option, setting_option, settings_options, web_options
from streams.configuration import NAME, WEB_CONFIG
from streams.engine.clock import SystemClock
from streams.errors import UnreachableError, UsageError
from streams.festivals.declared import load_declared
from streams.mapping.hashing import load_hash
from streams.process import use_uvloop
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.bridge.map import BridgeMap
    from streams.settings import Settings

LAST = 1_000


@click.command("bridge")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--map", "map_file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The map, a TOML file."
)
@click.option("--check", "is_check", is_flag=True, help="Say what records would become; send nothing.")
@click.option("--topic", help="With --check: this source only; whose records a FILE in .ndjson holds.")
@click.option("--last", type=click.IntRange(min=1), help=f"With --check: so many of each partition; default: {LAST:,}.")
@click.option("--accept-map", is_flag=True, help="Go on with a map that translates otherwise than the one before.")
@click.option("--accept-loss", is_flag=True, help="Go on at a log's beginning where records before it were lost.")
@setting_option(NAME)
@json_option
@setting_option(WEB_CONFIG)
@web_options
@settings_options
def command(
    settings: Settings,
    files: Sequence[Path],
    map_file: Path,
    topic: str | None,
    last: int | None,
    *,
    is_check: bool,
    accept_map: bool,
    accept_loss: bool,
    as_json: bool,
) -> int:
    """Translate foreign topics onto the four topics, exactly once, until Ctrl-C or SIGTERM.

    The map says which records of which topics are which events. Several bridges of one map share the partitions.

    With --check nothing is sent: the map is tried on FILEs (.ndjson, a JSON value a line, or .json with whole records),
    else on the newest records of its topics. Compare the sums with the shop's own before going live. Exit status 1
    where a record is rejected.
    """
    bridge_map = load_map(map_file, load_declared(settings.declarations).facts)
    if topic is not None and topic not in {source.topic for source in bridge_map.sources}:
        raise UsageError(f"--topic: {topic} is no source of the map")
    if not is_check:
        if files or topic is not None or last is not None:
            raise UsageError("FILE, --topic and --last go with --check")
        return _run(settings, bridge_map, BridgeOptions(accept_map, accept_loss), as_json=as_json)
    if accept_map or accept_loss:
        raise UsageError("--accept-map and --accept-loss are for a bridge that runs, not for --check")
    if files and last is not None:
        raise UsageError("--last: is of topics, not of files")
    quiet_clients(settings)
    if not files:
        settings = dataclasses.replace(settings, broker=address.resolve(settings))
    for sentence in warnings_of(bridge_map):
        click.echo(f"note: {sentence}", err=True)
    document = asyncio.run(_try(settings, bridge_map, files, topic, last or LAST))
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        _print(document)
    return 1 if document["rejected"] else 0


def _run(settings: Settings, bridge_map: BridgeMap, options: BridgeOptions, *, as_json: bool) -> int:
    settings = dataclasses.replace(settings, broker=address.resolve(settings))
    use_uvloop()

    def announce(url: str) -> None:
        click.echo(f"bridge {bridge_map.name}: {url}", err=True)

    report = asyncio.run(run_bridge(settings, bridge_map, options, announce))
    if as_json:
        click.echo(json.dumps({"map": bridge_map.name, "records": report}))
    return 0


async def _try(
    settings: Settings, bridge_map: BridgeMap, files: Sequence[Path], topic: str | None, last: int
) -> dict[str, Any]:
    now_ms = SystemClock().now_ms()
    hashing = load_hash(settings.hash_key_file)
    given = [read_given(file, bridge_map, topic, now_ms) for file in files]
    registry = Registry(settings.registry.urls or bridge_map.registry, settings.registry)
    schemas = next((one.schemas for one in given if one.schemas is not None), None)
    try:
        if schemas is not None:
            trial = Trial(bridge_map, schemas, hashing)
        else:
            trial = Trial(bridge_map, registry, hashing, registry.look_up)
        for one in given:
            for record in one.records:
                await trial.take(record, now_ms)
        if not files:
            topics = [topic] if topic is not None else [source.topic for source in bridge_map.sources]
            async for record in newest_records(settings, topics, last):
                await trial.take(record, now_ms)
    except RegistryError as error:
        raise UnreachableError(str(error)) from error
    finally:
        await registry.close()
    return trial.document()


def _print(document: Mapping[str, Any]) -> None:
    click.echo(f"map {document['map']}: {document['records']:,} records make {document['events']:,} events")
    for source in document["sources"]:
        told = ", ".join(f"{source[name]:,} {name}" for name in ("sent", "ignored", "rejected"))
        click.echo(f"{source['topic']} to {source['to']}: {told}")
        for kind, count in source["types"].items():
            sums = source["sums"].get(kind, {})
            money = "; ".join(
                f"{code} {', '.join(f'{name} {minor:,}' for name, minor in amounts.items())}"
                for code, amounts in sums.items()
            )
            click.echo(f"  {kind}: {count:,}{f' ({money})' if money else ''}")
        for reason, count in source["reasons"].items():
            click.echo(f"  rejected, {reason}: {count:,}")
    for line in _first_of_each(document["results"]):
        click.echo(line)


def _first_of_each(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for the first record of each kind, so that its reader can look it up."""
    seen: dict[tuple[str, str], str] = {}
    for one in results:
        where = f"{one['topic']}[{one['partition']}]@{one['offset']}"
        if one["outcome"] == "sent":
            kind, told = f"sent {one['events'][0]['type']}", json.dumps(one["events"][0], ensure_ascii=False)
        elif one["outcome"] == "ignored":
            kind, told = f"ignored, {one['rule']}", ""
        else:
            kind = f"rejected, {one['reason']}"
            told = f"{one['path'] or 'the record'}: {one['detail']}"
        seen.setdefault((one["topic"], kind), f"first {kind}: {where}{f' {told}' if told else ''}")
    return list(seen.values())

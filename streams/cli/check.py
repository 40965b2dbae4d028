"""`festival check`: whether everything is ready for the night, and how to mend what is not."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from aiokafka.errors import KafkaError

from streams.bridge.map import load_map
from streams.broker import address
from streams.cli.check_map import check_map
from streams.cli.committed import read_committed
from streams.cli.findings import Finding, finding_of
from streams.cli.options import json_option, settings_options
from streams.domain.declared import Declared
from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.topic_names import SOURCES, TOTALS
from streams.errors import UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.festivals.declared import load_declared
from streams.festivals.selection import coming_festival
from streams.kafka.cluster.broker_time import MEND, listen, said_of
from streams.kafka.cluster.open_transactions import look_once
from streams.kafka.cluster.permissions import inspect_cluster, needs
from streams.kafka.cluster.topics import DeniedError, TopicsError, check_topics, partitions_of, topics_command
from streams.night.leftovers import leftovers
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.festivals import Festival
    from streams.engine.judgement import OpenTransaction
    from streams.kafka.cluster.permissions import Cluster, Lack
    from streams.settings import Settings

REPLICAS = 3
"""With fewer, one broker that is lost takes records or the totals with it, or stops the count."""
HEARING_SECONDS = 3.0
"""So long a checkpoint is waited for, to learn from it what time the broker has."""
HORIZON_MS = 400 * 24 * 60 * 60 * 1000
"""A festival that is further away is more likely a wrong year."""


@click.command("check")
@click.option("--workers", type=click.IntRange(1, 1_000), metavar="W", help="How many workers will run on the night.")
@click.option("--festival", "festival_id", metavar="ID", help="The festival of the night; default: the coming one.")
@click.option(
    "--map", "map_file", type=click.Path(path_type=Path, dir_okay=False), help="Look at what a bridge's map needs, too."
)
@json_option
@settings_options
def command(
    settings: Settings, workers: int | None, festival_id: str | None, map_file: Path | None, *, as_json: bool
) -> int:
    """Say whether all is ready for the night, and how to mend what is not; changes nothing.

    Looks at settings, festivals, declarations, broker, topics, partitions and permissions. Exit status: 0 ready,
    1 something of the cluster is wrong, 2 settings or files are, 3 Kafka cannot be reached. Notes do not count.
    """
    quiet_clients(settings, logging.CRITICAL)
    findings, status = [Finding("settings", "ok", _described(settings))], 0
    try:
        findings += check_festivals(load_festivals(settings.festivals_dir), festival_id, SystemClock().now_ms())
    except UsageError as error:
        findings += [finding_of("festivals", "wrong", line) for line in str(error).splitlines()]
    declared, told = _declared(settings)
    findings += told
    bridge_map = None
    if map_file is not None:
        try:
            bridge_map = load_map(map_file, declared.facts)
        except UsageError as error:
            findings += [finding_of("map", "wrong", line) for line in str(error).splitlines()]
    if any(finding.verdict == "wrong" for finding in findings):
        status = 2
    try:
        connected = dataclasses.replace(settings, broker=address.resolve(settings))
        found = asyncio.run(_check_cluster(connected, workers))
        findings += found
        status = status or int(any(finding.verdict == "wrong" for finding in found))
        if bridge_map is not None:
            found, is_away = asyncio.run(check_map(connected, bridge_map))
            findings += found
            wrong = any(finding.verdict == "wrong" for finding in found)
            status = status or (UnreachableError.exit_status if is_away else int(wrong))
    except UnreachableError as error:
        findings.append(Finding("broker", "wrong", str(error)))
        status = status or UnreachableError.exit_status
    _print(findings, status, as_json=as_json)
    return status


def _described(settings: Settings) -> str:
    prefix = f"prefix {settings.prefix}" if settings.prefix else "no prefix"
    return f"{prefix}, {settings.security.protocol}, a checkpoint every {settings.checkpoint_interval_ms} ms"


def check_festivals(festivals: Mapping[str, Festival], festival_id: str | None, now_ms: int) -> list[Finding]:
    """Return what is to say of the festivals, and of the one of the night: `festival_id`, else the coming one."""
    known = Finding("festivals", "ok", f"{len(festivals)} can be counted: {', '.join(sorted(festivals))}")
    if festival_id is not None and festival_id not in festivals:
        mend = "put its file into the folder of --festivals"
        return [known, Finding("festivals", "wrong", f"--festival: {festival_id} is not known", mend)]
    coming = festivals[festival_id] if festival_id is not None else coming_festival(festivals, now_ms)
    if coming is None:
        mend = "put the file of the next one into the folder of --festivals, on every worker and board"
        return [known, Finding("festivals", "note", "none is to come: every festival known is over", mend)]
    return [known, *_check_festival(coming, now_ms)]


def _check_festival(festival: Festival, now_ms: int) -> list[Finding]:
    starts = dt.datetime.fromtimestamp(festival.start_ms / 1000, dt.UTC)
    subject = f"festival {festival.id}"
    hours = (festival.end_ms - festival.start_ms) // 3_600_000
    found = [Finding(subject, "ok", f"starts {starts:%Y-%m-%d %H:%M:%S} UTC, {hours} hours")]

    def note(text: str, mend: str) -> None:
        found.append(Finding(subject, "note", text, mend))

    if festival.end_ms <= now_ms:
        note("is over: new events of it count, those of the coming night do not", "check `starts`")
    if festival.start_ms > now_ms + HORIZON_MS:
        note("is more than a year away", "check the year of `starts`")
    if festival.plausible.average_order_value_minor is None:
        text = "has no bounds of the average order value: a total a thousand times too high raises no alert"
        note(text, "add [plausible] with average_order_value")
    if not festival.rates:
        home = festival.home_currency
        text = f"has no rates: orders in other currencies than {home} are not in the total in {home}"
        note(text, "add [rates.USD] and whatever else is sold in")
    if festival.previous is None:
        note("has no previous edition: nothing to compare with on the screen", "add [previous]")
    elif not festival.previous.curve:
        text = "has only the total of the previous edition: no forecast, and no comparison before the end"
        note(text, "add its `curve` to [previous]")
    elif festival.previous.before_minor is None:
        text = "has no total of the edition before the previous one: growth is not in the forecast"
        note(text, "add `before` to [previous]")
    return found


def _declared(settings: Settings) -> tuple[Declared, list[Finding]]:
    """Return what the shop has declared, and what is to be said of its file; nothing where there is none."""
    if settings.declarations is None:
        return Declared(), []
    try:
        declared = load_declared(settings.declarations)
    except UsageError as error:
        return Declared(), [finding_of("declarations", "wrong", line) for line in str(error).splitlines()]
    named = [
        *(f"{d.field} of {d.fact}" for d in declared.dimensions),
        *(f"{a.field} of {a.fact}" for a in declared.amounts),
    ]
    return declared, [Finding("declarations", "ok", ", ".join(named) or "nothing is declared")]


async def _check_cluster(settings: Settings, workers: int | None) -> list[Finding]:
    """Return what is to say of broker, topics and permissions; raises `UnreachableError`."""
    clock = BrokerClock(SystemClock())
    cluster = await inspect_cluster(settings)
    count = f"{cluster.brokers} broker{'s' if cluster.brokers != 1 else ''}"
    found = [Finding("broker", "ok", f"{settings.bootstrap_servers} answers, {count}")]
    try:
        partitions = await check_topics(settings)
    except (TopicsError, DeniedError) as error:
        found += [finding_of("topics", "wrong", line) for line in str(error).splitlines()]
    else:
        found.append(Finding("topics", "ok", f"all there and as they must be, {partitions} partitions each"))
        found += _check_partitions(partitions, workers)
    found += await _check_publishing(settings)
    found.append(await _check_clock(settings, clock))
    found += await _check_sources(settings, clock)
    found += await _check_ledger(settings)
    found += _check_replicas(cluster)
    found += [finding_of("rehearsals", "note", sentence) for sentence in await leftovers(settings)]
    found += [_lack(lack, settings) for lack in cluster.lacks]
    if not cluster.lacks:
        missing = "" if len(cluster.topics) == len(needs(settings.prefix)) else " on what is there already"
        found.append(Finding("permissions", "ok", f"a worker may do all it needs{missing}"))
    return found


async def _check_publishing(settings: Settings) -> list[Finding]:
    """Return what is to say of the topic that boards publish on."""
    topic = settings.prefix + TOTALS
    if not settings.publish:
        return []
    try:
        is_there = topic in await partitions_of(settings, [topic])
    except DeniedError as error:
        return [Finding("publishing", "note", f"the boards' user must see it, this one does not: {error}")]
    if is_there:
        return [Finding("publishing", "ok", f"boards publish the totals on {topic}")]
    return [
        Finding("publishing", "wrong", f"{topic} is missing", f"with FESTIVAL_PUBLISH=yes: {topics_command(settings)}")
    ]


async def _check_clock(settings: Settings, clock: BrokerClock) -> Finding:
    """Return what is to say of this machine's clock, once something was written to the ledger, or has not been."""
    try:
        await listen(settings, clock, HEARING_SECONDS)
    except (KafkaError, OSError) as error:
        return Finding("clock", "note", f"what the broker's shows is not known: {error!r}")
    if (said := said_of(clock)) is not None:
        return Finding("clock", "wrong", said, MEND)
    offset_ms = clock.offset_ms()
    if offset_ms is None:
        seconds = f"{HEARING_SECONDS:.0f} s"
        return Finding("clock", "ok", f"what the broker's shows is not known: no checkpoint came within {seconds}")
    return Finding("clock", "ok", f"within {abs(offset_ms) / 1000:.1f} s of the broker's")


async def _check_sources(settings: Settings, clock: BrokerClock) -> list[Finding]:
    """Return what is to say of transactions that producers have left open on the source topics."""
    try:
        _, opened = await look_once(settings, SOURCES, None, clock.now_ms())
    except (KafkaError, OSError) as error:
        return [Finding("sources", "note", f"cannot be looked at: {error!r}")]
    return [_open(one, settings) for one in opened]


async def _check_ledger(settings: Settings) -> list[Finding]:
    """Return what is to say of the ledger: whether it belongs to these logs, and is whole."""
    try:
        committed = await read_committed(settings)
    except (KafkaError, OSError, UnreachableError) as error:
        return [Finding("ledger", "note", f"cannot be read: {error}")]
    if not committed.snapshot.has_state:
        return [Finding("ledger", "ok", "nothing is committed yet")]
    held = [f"partition {one.partition} is held ({one.reason}): {one.detail}" for one in committed.judgement.held]
    if not held:
        return [Finding("ledger", "ok", f"{committed.snapshot.generation} belongs to these logs, and is whole")]
    return [finding_of("ledger", "wrong", sentence) for sentence in held]


def _open(opened: OpenTransaction, settings: Settings) -> Finding:
    since = dt.datetime.fromtimestamp(opened.since_ms / 1000, dt.UTC)
    whose = f"by {opened.transactional_id}" if opened.transactional_id is not None else "by a producer"
    topic = settings.prefix + opened.topic
    detail = (
        f"{topic}[{opened.partition}]: a transaction {whose} is open at offset {opened.offset} since "
        f"{since:%Y-%m-%d %H:%M:%S} UTC; nothing behind it can be counted"
    )
    mend = (
        f"end it at that producer, or abort it with: kafka-transactions.sh --bootstrap-server "
        f"{settings.bootstrap_servers} abort --topic {topic} --partition {opened.partition} "
        f"--start-offset {opened.offset}"
    )
    return Finding("transactions", "wrong", detail, mend)


def _check_partitions(partitions: int, workers: int | None) -> list[Finding]:
    if workers is None:
        return []
    if workers > partitions:
        text = f"{workers} workers share {partitions} partitions: {workers - partitions} of them will count nothing"
        return [Finding("workers", "wrong", text, f"start {partitions}, or add partitions")]
    busiest = -(-partitions // workers)
    return [Finding("workers", "ok", f"{workers} of them hold at most {busiest} of {partitions} partitions each")]


def _check_replicas(cluster: Cluster) -> list[Finding]:
    found = []
    wanted = min(REPLICAS, cluster.brokers)
    if few := [topic.name for topic in cluster.topics if topic.replicas < wanted]:
        text = f"{', '.join(few)}: fewer than {wanted} replicas"
        found.append(Finding("replicas", "note", text, "raise them with kafka-reassign-partitions.sh"))
    if behind := [topic.name for topic in cluster.topics if topic.out_of_sync]:
        mend = "see kafka-topics.sh --describe --under-replicated-partitions, and bring the missing broker back"
        found.append(Finding("replicas", "wrong", f"{', '.join(behind)}: replicas that do not follow", mend))
    return found


def _lack(lack: Lack, settings: Settings) -> Finding:
    user = shlex.quote(f"User:{settings.security.principal}")
    operations = " ".join(f"--operation {operation}" for operation in lack.operations)
    pattern = " --resource-pattern-type prefixed" if lack.resource == "transactional-id" else ""
    mend = (
        f"kafka-acls.sh --bootstrap-server {settings.bootstrap_servers} --add --allow-principal {user} "
        f"{operations} --{lack.resource} {lack.name}{pattern}"
    )
    detail = f"{', '.join(lack.operations)} on {lack.resource} {lack.name} is not allowed"
    return Finding("permissions", "wrong", detail, mend)


def _print(findings: list[Finding], status: int, *, as_json: bool) -> None:
    if as_json:
        document = {"ready": status == 0, "checks": [finding.document() for finding in findings]}
        click.echo(json.dumps(document))
        return
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        click.echo(f"{finding.verdict:<5}  {finding.subject:<{width}}  {finding.text()}")
    click.echo("ready" if status == 0 else "NOT ready: see what is wrong above")

"""`festival check`: whether everything is ready for the night, and how to mend what is not."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import logging
from typing import TYPE_CHECKING, Literal

import click

from streams.cli.options import json_option, settings_options
from streams.engine.clock import SystemClock
from streams.errors import UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.kafka import address
from streams.kafka.permissions import inspect_cluster, needs
from streams.kafka.topics import TopicsError, check_topics
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.festivals import Festival
    from streams.kafka.permissions import Cluster, Lack
    from streams.settings import Settings

REPLICAS = 3
"""With fewer, one broker that is lost takes records or the totals with it, or stops the count."""
HORIZON_MS = 400 * 24 * 60 * 60 * 1000
"""A festival that is further away is more likely a wrong year."""
Verdict = Literal["ok", "note", "wrong"]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one look at one thing found."""

    subject: str
    verdict: Verdict
    text: str
    """With how to mend it, where it is not "ok"."""


@click.command("check")
@click.option("--workers", type=click.IntRange(1, 1_000), metavar="W", help="How many workers will run on the night.")
@click.option("--festival", "festival_id", metavar="ID", help="The festival of the night; default: the coming one.")
@json_option
@settings_options
def command(settings: Settings, workers: int | None, festival_id: str | None, *, as_json: bool) -> int:
    """Say whether all is ready for the night, and how to mend what is not; changes nothing.

    Looks at settings, festivals, broker, topics, partitions and permissions. Exit status: 0 ready, 1 something of the
    cluster is wrong, 2 settings or festivals are, 3 Kafka cannot be reached. Notes do not count.
    """
    quiet_clients(settings, logging.CRITICAL)
    findings, status = [Finding("settings", "ok", _described(settings))], 0
    try:
        findings += check_festivals(load_festivals(settings.festivals_dir), festival_id, SystemClock().now_ms())
    except UsageError as error:
        findings += [Finding("festivals", "wrong", line) for line in str(error).splitlines()]
    if any(finding.verdict == "wrong" for finding in findings):
        status = 2
    try:
        connected = dataclasses.replace(settings, broker=address.resolve(settings))
        found = asyncio.run(_check_cluster(connected, workers))
        findings += found
        status = status or int(any(finding.verdict == "wrong" for finding in found))
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
        text = f"--festival: {festival_id} is not known; its file must lie in the folder of --festivals"
        return [known, Finding("festivals", "wrong", text)]
    coming = festivals[festival_id] if festival_id is not None else coming_festival(festivals, now_ms)
    if coming is None:
        text = "none is to come: every festival known is over; put the file of the next one into the folder of"
        return [known, Finding("festivals", "note", f"{text} --festivals, on every worker and board")]
    return [known, *_check_festival(coming, now_ms)]


def coming_festival(festivals: Mapping[str, Festival], now_ms: int) -> Festival | None:
    """Return the festival that runs or is the next to begin, None where all are over."""
    left = [festival for festival in festivals.values() if festival.end_ms > now_ms]
    return min(left, key=lambda festival: festival.start_ms, default=None)


def _check_festival(festival: Festival, now_ms: int) -> list[Finding]:
    starts = dt.datetime.fromtimestamp(festival.start_ms / 1000, dt.UTC)
    subject = f"festival {festival.id}"
    hours = (festival.end_ms - festival.start_ms) // 3_600_000
    found = [Finding(subject, "ok", f"starts {starts:%Y-%m-%d %H:%M:%S} UTC, {hours} hours")]

    def note(text: str) -> None:
        found.append(Finding(subject, "note", text))

    if festival.end_ms <= now_ms:
        note("is over: new events of it count, those of the coming night do not; check `starts`")
    if festival.start_ms > now_ms + HORIZON_MS:
        note("is more than a year away; check the year of `starts`")
    if festival.plausible.average_order_value_minor is None:
        note("has no bounds of the average order value: a total a thousand times too high raises no alert; add "
             "[plausible] with average_order_value")  # fmt: skip
    if not festival.rates:
        note(f"has no rates: orders in other currencies than {festival.home_currency} are not in the total in "
             f"{festival.home_currency}; add [rates.USD] and whatever else is sold in")  # fmt: skip
    if festival.previous is None:
        note("has no previous edition: nothing to compare with on the screen; add [previous]")
    return found


async def _check_cluster(settings: Settings, workers: int | None) -> list[Finding]:
    """Return what is to say of broker, topics and permissions; raises `UnreachableError`."""
    cluster = await inspect_cluster(settings)
    count = f"{cluster.brokers} broker{'s' if cluster.brokers != 1 else ''}"
    found = [Finding("broker", "ok", f"{settings.bootstrap_servers} answers, {count}")]
    try:
        partitions = await check_topics(settings)
    except TopicsError as error:
        found += [Finding("topics", "wrong", line) for line in str(error).splitlines()]
    else:
        found.append(Finding("topics", "ok", f"all there and as they must be, {partitions} partitions each"))
        found += _check_partitions(partitions, workers)
    found += _check_replicas(cluster)
    found += [Finding("permissions", "wrong", _mend(lack, settings)) for lack in cluster.lacks]
    if not cluster.lacks:
        missing = "" if len(cluster.topics) == len(needs(settings.prefix)) else " on what is there already"
        found.append(Finding("permissions", "ok", f"a worker may do all it needs{missing}"))
    return found


def _check_partitions(partitions: int, workers: int | None) -> list[Finding]:
    if workers is None:
        return []
    if workers > partitions:
        text = f"{workers} workers share {partitions} partitions: {workers - partitions} of them will count nothing. "
        return [Finding("workers", "wrong", text + f"Start {partitions}, or begin anew with more partitions.")]
    busiest = -(-partitions // workers)
    return [Finding("workers", "ok", f"{workers} of them hold at most {busiest} of {partitions} partitions each")]


def _check_replicas(cluster: Cluster) -> list[Finding]:
    found = []
    wanted = min(REPLICAS, cluster.brokers)
    if few := [topic.name for topic in cluster.topics if topic.replicas < wanted]:
        text = f"{', '.join(few)}: fewer than {wanted} replicas; raise them with kafka-reassign-partitions.sh"
        found.append(Finding("replicas", "note", text))
    if behind := [topic.name for topic in cluster.topics if topic.out_of_sync]:
        text = f"{', '.join(behind)}: replicas that do not follow; see kafka-topics.sh --describe --under-replicated"
        found.append(Finding("replicas", "wrong", f"{text}-partitions, and bring the missing broker back"))
    return found


def _mend(lack: Lack, settings: Settings) -> str:
    user = settings.security.username or "ANONYMOUS"
    operations = " ".join(f"--operation {operation}" for operation in lack.operations)
    pattern = " --resource-pattern-type prefixed" if lack.resource == "transactional-id" else ""
    return (
        f"{', '.join(lack.operations)} on {lack.resource} {lack.name} is not allowed. Mend it with: kafka-acls.sh "
        f"--bootstrap-server {settings.bootstrap_servers} --add --allow-principal User:{user} {operations} "
        f"--{lack.resource} {lack.name}{pattern}"
    )


def _print(findings: list[Finding], status: int, *, as_json: bool) -> None:
    if as_json:
        document = {"ready": status == 0, "findings": [dataclasses.asdict(finding) for finding in findings]}
        click.echo(json.dumps(document))
        return
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        click.echo(f"{finding.verdict:<5}  {finding.subject:<{width}}  {finding.text}")
    click.echo("ready" if status == 0 else "NOT ready: see what is wrong above")

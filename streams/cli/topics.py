"""`festival topics`: create or check the topics."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING

import click

from streams.cli.options import broker_options, json_option
from streams.kafka.cluster.topics import DEFAULT_PARTITIONS, create_topics

if TYPE_CHECKING:
    from streams.settings import Settings


@click.command("topics")
@click.option(
    "--partitions",
    type=click.IntRange(1, 1_000),
    help=f"How many each topic has; default: as existing ones have, else {DEFAULT_PARTITIONS}.",
)
@json_option
@broker_options
def command(settings: Settings, partitions: int | None, *, as_json: bool) -> None:
    """Create the missing topics and check all of them: partitions, retention, timestamps, compaction.

    Where the sources have more partitions than the ledger, the ledger's topics get as many. Nothing is ever deleted or
    altered, and no source is grown; what is not as it must be is named, with the command that mends it.
    """
    report = asyncio.run(create_topics(settings, partitions))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
        return
    for topic in report.topics:
        done = "created" if topic in report.created else "grown" if topic in report.grown else "checked"
        click.echo(f"{topic}: {report.counts[topic]} partitions, {done}")

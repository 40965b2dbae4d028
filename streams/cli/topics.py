"""`festival topics`: create or check the topics."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING

import click

from streams.cli.options import broker_options, json_option
from streams.kafka.topics import DEFAULT_PARTITIONS, create_topics

if TYPE_CHECKING:
    from streams.settings import Settings


@click.command("topics")
@click.option(
    "--partitions",
    type=click.IntRange(1, 1_000),
    help=f"Of each topic; default: as existing ones have, else {DEFAULT_PARTITIONS}.",
)
@json_option
@broker_options
def command(settings: Settings, partitions: int | None, *, as_json: bool) -> None:
    """Create the missing topics and check all of them: partitions, retention, timestamps, compaction.

    Nothing is ever deleted, altered or grown; what is not as it must be is named, with the command that mends it.
    """
    report = asyncio.run(create_topics(settings, partitions))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
        return
    for topic in report.topics:
        click.echo(f"{topic}: {report.partitions} partitions, {'created' if topic in report.created else 'checked'}")

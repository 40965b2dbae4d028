"""`festival worker`: count; more workers share the partitions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from streams.app import run_worker
from streams.cli.options import broker_options, json_option, setting_option, web_options
from streams.configuration import NAME, SHOW, WEB_CONFIG
from streams.process import use_uvloop
from streams.serving import worker_web

if TYPE_CHECKING:
    from streams.settings import Settings


@click.command("worker")
@setting_option(NAME)
@setting_option(SHOW)
@json_option
@setting_option(WEB_CONFIG)
@web_options
@broker_options
def command(settings: Settings, *, as_json: bool) -> None:
    """Count the source topics into the ledger, until Ctrl-C or SIGTERM.

    Start more of them, on any machine, to share the partitions. A worker that is started again under its name within
    the session timeout gets its partitions back at once; one that leaves for good is missed after that timeout.

    With --json the end prints what was committed, by topic and outcome.
    """
    use_uvloop()
    report = asyncio.run(run_worker(settings, services=(worker_web,)))
    if as_json:
        click.echo(report.as_json())

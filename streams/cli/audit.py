"""`festival audit`: recounts the topics by an independent path and compares every measure with the ledger."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from streams.audit.record import AuditRecord, record_path, write_record
from streams.audit.run import READING, run_audit
from streams.cli.options import broker_options, json_option
from streams.cli.progress import progress
from streams.engine.clock import SystemClock

if TYPE_CHECKING:
    from streams.audit.result import AuditResult, Difference
    from streams.cli.progress import Bar
    from streams.settings import Settings

SHOWN = 20
"""Differences in the table; `--json` has all that were kept."""


@click.command
@click.option("--festival", metavar="ID", help="Compare the rollups of this festival only; default: of all.")
@json_option
@broker_options
def command(settings: Settings, festival: str | None, *, as_json: bool) -> int:
    """Recount the topics up to the ledger's positions by an independent path; exit 1 on any difference."""
    with ExitStack() as stack:
        report = _Report(stack)
        result = asyncio.run(run_audit(settings, None if festival is None else [festival], report))
    write_record(record_path(settings), AuditRecord(SystemClock().now_ms(), result.difference_by_measure))
    if as_json:
        click.echo(json.dumps(result.document()))
    else:
        _print(result)
    return 0 if result.is_exact else 1


class _Report:
    """Shows one bar after the other."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._bars: dict[str, Bar] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._bars:
            # One bar on a terminal at a time: the one before has come to its end.
            self._stack.close()
            unit = "records" if what == READING else "rollups"
            self._bars[what] = self._stack.enter_context(progress(what, total=total, unit=unit))
        self._bars[what].advance(done)


def _print(result: AuditResult) -> None:
    counted = f"{result.records:,} records and {result.compared_cells:,} cells of ledger {result.generation}"
    if result.is_exact:
        click.echo(f"Exact: {counted} compared, no difference.")
        return
    click.echo(f"NOT exact: {result.differing:,} differences in {counted}.\n")
    rows = [("measure", "ledger", "recount", "where")]
    rows += [(d.measure, str(d.ledger), str(d.recount), _where(d)) for d in result.differences[:SHOWN]]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for measure, ledger, recount, where in rows:
        click.echo(f"{measure:<{widths[0]}}  {ledger:>{widths[1]}}  {recount:>{widths[2]}}  {where}")
    if result.differing > SHOWN:
        click.echo(f"… and {result.differing - SHOWN:,} more; --json lists up to 1,000 of each measure and rollup.")
    worst = {name: by for name, by in sorted(result.difference_by_measure.items()) if by}
    click.echo("\nLargest difference per measure: " + ", ".join(f"{name} {by:,}" for name, by in worst.items()))


def _where(difference: Difference) -> str:
    words = []
    for name, value in difference.where.items():
        if name == "window_start_ms":
            moment = dt.datetime.fromtimestamp(value // 1000, dt.UTC)
            words.append(f"at {moment:%Y-%m-%dT%H:%M:%SZ}")
        elif name == "problem":
            words.append(str(value))
        else:
            words.append(f"{name}={value}")
    return " ".join(words)

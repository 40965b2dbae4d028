"""`festival audit`: recounts the topics by an independent path and compares every measure with the ledger."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.audit.calendar import read_calendar
from streams.audit.procedure import run_audit
from streams.audit.recorded import record_audit
from streams.cli.audit_progress import audit_progress
from streams.cli.options import broker_options, json_option
from streams.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from streams.audit.result import AuditResult, Difference
    from streams.settings import Settings

GONE = (
    "rejected records are older than FESTIVAL_REJECTED_RETENTION, and gone from the topic: those that are younger were "
    "compared."
)
SHOWN = 20
"""Differences in the table; `--json` has all that were kept."""


@click.command
@click.option("--festival", metavar="ID", help="Compare the rollups of this festival only; default: of all.")
@click.option("--no-record", is_flag=True, help="Record the verdict neither on Kafka nor here: no board shows it.")
@click.option(
    "--bridge",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="Audit what bridges have sent instead: of one map, or of all.",
)
@click.option("--sealed", metavar="FILE", help="Check a sealed file, and count it again while its topics are there.")
@json_option
@broker_options
def command(
    settings: Settings,
    festival: str | None,
    bridge: str | None,
    sealed: str | None,
    *,
    no_record: bool,
    as_json: bool,
) -> int:
    """Recount the topics up to the ledger's positions by an independent path; exit 1 on any difference.

    Exit 1 also for a festival that the ledger does not count, and where the ledger does not count all that the topics
    hold: partitions are held, or were added. Exit 3 where the log does not hold any more what was counted. The verdict
    goes to the topic festival.audits, and boards show it; where that cannot be, the exit status stays the verdict's.

    With --sealed the digest of the file is checked (exit 2), and the topics are counted again up to where it was
    sealed. Where they do not hold that any more it says so, and the answer is that of the audit in the file.
    """
    if sealed is not None:
        if bridge is not None:
            raise UsageError("--bridge: a sealed file knows no bridges")
        return _audit_sealed(settings, Path(sealed), festival, as_json=as_json)
    if bridge is not None:
        if festival is not None:
            raise UsageError("--festival: a bridge knows no festivals")
        return _audit_bridges(settings, bridge or None, as_json=as_json)
    if festival is not None and festival not in (known := read_calendar(settings.festivals_dir)):
        raise UsageError(f"--festival: {festival} is not known; there are {', '.join(sorted(known))}")
    with audit_progress() as report:
        result = asyncio.run(run_audit(settings, None if festival is None else [festival], report))
    if not no_record:
        asyncio.run(record_audit(settings, result, functools.partial(click.echo, err=True)))
    if as_json:
        click.echo(json.dumps(result.document()))
    else:
        _print(result)
        _print_beginnings(result)
        _print_gone(result)
        _print_notes(result)
    return 0 if result.is_exact else 1


def _audit_sealed(settings: Settings, path: Path, festival: str | None, *, as_json: bool) -> int:
    # Imported here: the audit of totals must not load what counts, and a sealed file is read as a board reads.
    from streams.cli.audit_sealed import audit_file  # noqa: PLC0415

    audited = audit_file(settings, path, festival)
    if as_json:
        click.echo(json.dumps(audited.document()))
    elif audited.result is not None:
        _print(audited.result)
        _print_notes(audited.result)
    else:
        click.echo(audited.text())
    return 0 if audited.is_exact else 1


def _audit_bridges(settings: Settings, name: str | None, *, as_json: bool) -> int:
    # Imported here: the audit of totals must not load what translates.
    from streams.bridge.audit.reckoning import audit_bridges  # noqa: PLC0415
    from streams.bridge.registry import RegistryError  # noqa: PLC0415
    from streams.mapping.hashing import load_hash  # noqa: PLC0415

    try:
        audits = asyncio.run(audit_bridges(settings, name, load_hash(settings.hash_key_file)))
    except RegistryError as error:
        raise UnreachableError(str(error)) from error
    is_exact = not any(audit.differing for audit in audits)
    if as_json:
        click.echo(json.dumps({"exact": is_exact, "bridges": [audit.document() for audit in audits]}))
        return 0 if is_exact else 1
    for audit in audits:
        records = sum(source.read for source in audit.sources)
        verdict = f"{audit.differing:,} differences" if audit.differing else "exact"
        click.echo(f"bridge {audit.bridge}: {verdict}, {records:,} records of {len(audit.sources)} partitions")
        for source in audit.sources:
            for start, end in source.gaps:
                click.echo(f"{source.topic}[{source.partition}]: lost and accepted at {start}, went on at {end}")
        if audit.aside_gone:
            click.echo(f"{audit.aside_gone:,} {GONE}")
        for difference in audit.differences[:SHOWN]:
            click.echo(json.dumps(difference))
    return 0 if is_exact else 1


def _print(result: AuditResult) -> None:
    counted = f"{result.records:,} records and {result.compared_cells:,} cells of ledger {result.generation}"
    if result.is_exact:
        click.echo(f"Exact: {counted} compared, no difference.")
        return
    if result.lacking or result.late:
        click.echo("NOT exact: the ledger does not count all that the topics hold.\n")
        click.echo("\n".join([*result.lacking, *result.lateness()]))
        click.echo("")
        if not result.differing:
            click.echo(f"What it does count is right: {counted} compared, no difference.")
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


def _print_beginnings(result: AuditResult) -> None:
    for topic, places in result.cut.items():
        for partition, began in places.items():
            click.echo(
                f"{topic}[{partition}]: the log begins at offset {result.began[topic][partition]:,} and the ledger at "
                f"{began:,}. What is gone cannot be audited; what is left was compared, from there on."
            )
    for topic, places in result.counted_from.items():
        for partition, offset in places.items():
            click.echo(f"{topic}[{partition}]: counted from offset {offset:,} on, as a recount was told to accept.")


def _print_gone(result: AuditResult) -> None:
    if result.rejected_gone:
        click.echo(f"{result.rejected_gone:,} {GONE}")


def _print_notes(result: AuditResult) -> None:
    for note in result.notes:
        first, second = (f"{note.topic}[{partition}]@{offset}" for partition, offset in note.places)
        click.echo(
            f"Note: {note.ids:,} ids on {note.topic} were seen in two partitions within the duplicate horizon, such as "
            f"{note.event_id} at {first} and {second}. A resend counts again in another partition: let producers "
            "resend with the same key and partitioner."
        )


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

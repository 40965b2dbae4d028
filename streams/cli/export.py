"""`festival export`: one committed state as CSV or Parquet files, or as a workbook."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.board.answers.totals import totals_document
from streams.cli.committed import read_committed
from streams.cli.options import broker_options, json_option
from streams.cli.sealed import committed_of, known_festivals, sealed_option
from streams.errors import AnswerNo, UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.handover.export_files import FORMATS, write_export
from streams.handover.export_rows import FACTS, FESTIVAL, STEPS_MS, fact_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.board.view.committed_view import Snapshot
    from streams.board.view.sealed import SealedState
    from streams.domain.festivals import Festival
    from streams.settings import Settings


@click.command("export")
@click.option("--out", required=True, metavar="PATH", help="The folder to write, or the XLSX file; it must not exist.")
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--festival", "named", metavar="ID", help="Default: all festivals that the ledger counts.")
@click.option("--fact", "facts", type=click.Choice(FACTS), multiple=True, help="Only this fact; may be repeated.")
@click.option("--by", metavar="DIM", help="A row per value of this dimension; facts without it are left out.")
@click.option(
    "--step", type=click.Choice(tuple(STEPS_MS)), default=FESTIVAL, show_default=True, help="A row per so much time."
)
@sealed_option
@json_option
@broker_options
def command(
    settings: Settings,
    out: str,
    kind: str,
    named: str | None,
    *,
    facts: tuple[str, ...],
    by: str | None,
    step: str,
    sealed: SealedState | None,
    as_json: bool,
) -> int:
    """Write one committed state of the totals: a table a fact, and the state they are of.

    Counts are integers and per currency, money is in major units: the sum of a column is the total. Rows are sorted by
    the columns before the measures; steps in which nothing was counted are left out. Exit status: 1 where the ledger
    does not count the festival.
    """
    path = Path(out)
    if path.exists():
        raise UsageError(f"--out: {path} exists: name another path, or move it away")
    known = known_festivals(sealed, load_festivals(settings.festivals_dir), named)
    committed = asyncio.run(read_committed(settings)) if sealed is None else committed_of(sealed)
    snapshot = committed.snapshot
    if not snapshot.has_state:
        raise UnreachableError("nothing is committed yet, so there is nothing to export: start `festival worker`")
    festivals = _wanted(snapshot, known, named)
    tables = fact_tables(snapshot, festivals, facts, by, step)
    documents = [totals_document(snapshot, festival, judgement=committed.judgement) for festival in festivals]
    state = documents[0] if named is not None else {"festivals": documents}
    files = write_export(path, kind, tables, state)
    rows = {table.fact: len(table.rows) for table in tables}
    _tell([str(file) for file in files], rows, documents, as_json=as_json)
    return 0


def _wanted(snapshot: Snapshot, known: Mapping[str, Festival], named: str | None) -> list[Festival]:
    """Return the festivals to export; raises `AnswerNo` for one that the ledger does not count."""
    if named is None:
        return [known[name] for name in sorted(known) if snapshot.counts(name)]
    if not snapshot.counts(named):
        raise AnswerNo(f"ledger {snapshot.generation} does not count {named}: nothing is written")
    return [known[named]]


def _tell(files: list[str], rows: Mapping[str, int], documents: list[dict[str, Any]], *, as_json: bool) -> None:
    is_complete = all(document["complete"] for document in documents)
    if as_json:
        told = {"files": files, "rows": rows, "festivals": [d["festival"] for d in documents], "complete": is_complete}
        click.echo(json.dumps(told))
        return
    click.echo("\n".join(files))
    for fact, count in rows.items():
        click.echo(f"{fact}: {count:,} rows")
    if not is_complete:
        click.echo("INCOMPLETE: some partitions have no committed total, or are held; the state says which", err=True)

"""`festival seal`: an ended festival as one file that outlives its topics."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams import __version__
from streams.audit.log import LogDeletedError
from streams.audit.procedure import audit_committed
from streams.cli.audit_progress import audit_progress
from streams.cli.committed import read_committed
from streams.cli.options import broker_options, json_option
from streams.engine.clock import SystemClock
from streams.errors import AnswerNo
from streams.festivals import load_festivals
from streams.festivals.selection import named_festival
from streams.handover.sealing import Audited, State, reasons_against, sealed_bytes
from streams.kafka.cluster.record_times import first_record_ms
from streams.sealed_files import check_place, write_sealed_file

if TYPE_CHECKING:
    from streams.domain.festivals import Festival
    from streams.settings import Settings


@click.command("seal")
@click.option("--festival", "named", required=True, metavar="ID", help="The festival, which has ended.")
@click.option("--out", required=True, metavar="FILE", help="Where to write; must not exist.")
@click.option("--force", is_flag=True, help="Seal what is not over, not complete or not exact as what it is.")
@json_option
@broker_options
def command(settings: Settings, named: str, out: str, *, force: bool, as_json: bool) -> int:
    """Write an ended festival into one file: every total, the positions, the rules, the audit, a SHA-256.

    Audits the very state that it seals, and takes as long as `festival audit`. `totals`, `board`, `report` and
    `export` read the file with --sealed, without a broker. Exit status: 1, and no file, where the festival is not over,
    not complete or not exact; with --force it is sealed all the same, and every reader says what it is.
    """
    path = Path(out)
    check_place(path)
    festival = named_festival(load_festivals(settings.festivals_dir), named)
    state = asyncio.run(_state(settings, festival))
    now_ms = SystemClock().now_ms()
    document = state.document()
    reasons = reasons_against(state, document, now_ms)
    if reasons and not force:
        raise AnswerNo("\n".join([*reasons, "nothing was written; --force seals it as what it is"]))
    data, digest = sealed_bytes(state, document, reasons, now_ms)
    write_sealed_file(path, data)
    if document["lag_records"]:
        click.echo(
            f"festival: {document['lag_records']:,} records on the topics are not counted yet, and so not sealed: if "
            f"some are {named}'s, let the workers catch up, and seal again",
            err=True,
        )
    if state.audited.result is not None and state.audited.result.cut:
        click.echo("festival: the log has lost its beginning: the audit compared what is left of it", err=True)
    told = {
        "file": out,
        "festival": named,
        "ledger": state.snapshot.generation,
        "sealed": digest,
        "complete": document["complete"],
        "exact": state.audited.is_exact,
        "reasons": reasons,
    }
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else f"{out}: {festival.name}, sealed as {digest}")
    for reason in reasons:
        click.echo(f"festival: {reason}", err=True)
    return 0


async def _state(settings: Settings, festival: Festival) -> State:
    """Return the committed state, audited; raises `AnswerNo` where the ledger does not count the festival."""
    committed = await read_committed(settings)
    if not committed.snapshot.counts(festival.id):
        raise AnswerNo(f"the ledger does not count {festival.id}: `festival totals` says what to do")
    try:
        with audit_progress() as report:
            result = await audit_committed(settings, committed.delta, [festival.id], report)
        audited = Audited(result, "", SystemClock().now_ms())
    except LogDeletedError as error:
        audited = Audited(None, str(error), SystemClock().now_ms())
    return State(
        snapshot=committed.snapshot,
        judgement=committed.judgement,
        festival=festival,
        fingerprint=committed.fingerprint,
        audited=audited,
        first_record_ms=await first_record_ms(settings, committed.snapshot.positions()),
        version=__version__,
    )

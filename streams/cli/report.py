"""`festival report`: one festival as a document for management and press."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams import __version__
from streams.audit.procedure import run_audit
from streams.cli.committed import read_committed
from streams.cli.options import broker_options, json_option
from streams.cli.progress import progress
from streams.cli.sealed import committed_of, known_festivals, sealed_option
from streams.engine.clock import SystemClock
from streams.errors import AnswerNo, UsageError
from streams.festivals import load_festivals
from streams.festivals.selection import choose_festival
from streams.handover.document import report_html
from streams.handover.findings import findings_of
from streams.handover.incidents import period_of
from streams.handover.printing import find_chromium, print_pdf
from streams.handover.prometheus import checked_url, read_incidents
from streams.handover.verdict import recorded_verdict, sealed_verdict, verdict_of
from streams.handover.words import LANGUAGES
from streams.kafka.cluster.record_times import first_record_ms

if TYPE_CHECKING:
    from streams.audit.verdict import Verdict
    from streams.board.view.committed_view import Snapshot
    from streams.board.view.sealed import SealedState
    from streams.cli.committed import Committed
    from streams.domain.festivals import Festival
    from streams.handover.findings import Findings
    from streams.handover.incidents import Incidents
    from streams.settings import Settings

SUFFIXES = (".html", ".pdf")


@click.command("report")
@click.option("--out", required=True, metavar="FILE", help="Where to write: FILE.html or FILE.pdf; must not exist.")
@click.option("--festival", "named", metavar="ID", help="Default: the one running now, else the latest with data.")
@click.option(
    "--lang", "language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Language of the report."
)
@click.option("--prometheus", metavar="URL", help="Tell the alerts and gaps that this Prometheus has recorded.")
@click.option("--audit", "is_audited", is_flag=True, help="Audit first; default: the last recorded verdict.")
@sealed_option
@json_option
@broker_options
def command(
    settings: Settings,
    out: str,
    named: str | None,
    language: str,
    prometheus: str | None,
    *,
    is_audited: bool,
    sealed: SealedState | None,
    as_json: bool,
) -> int:
    """Write the report of a festival: one self-contained document, as HTML or PDF.

    The totals stand in it as data too. With --audit, exit status 1 where the audit finds a difference; the report is
    written, and says so. Exit 3: a PDF without a Chromium, or a Prometheus that does not answer.
    """
    path = _path(out)
    url = None if prometheus is None else checked_url(prometheus)
    festivals = known_festivals(sealed, load_festivals(settings.festivals_dir), named)
    if sealed is not None and is_audited:
        raise UsageError("--audit: a sealed file holds its audit; `festival audit --sealed` counts again")
    chromium = find_chromium(settings) if path.suffix == ".pdf" else None
    if sealed is None:
        findings = asyncio.run(_findings(settings, festivals, named, url, is_audited=is_audited))
    else:
        findings = asyncio.run(_sealed_findings(sealed, url))
    html = report_html(findings, language)
    if chromium is None:
        with path.open("x", encoding="utf-8") as file:
            file.write(html)
    else:
        print_pdf(chromium, html, path)
    verdict = findings.verdict
    told = {
        "file": str(path),
        "festival": findings.festival.id,
        "lang": language,
        "complete": findings.totals.complete,
        "exact": None if verdict is None else verdict.exact,
    }
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else f"{path}: {findings.festival.name}")
    return 1 if is_audited and verdict is not None and not verdict.exact else 0


def _path(out: str) -> Path:
    path = Path(out)
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--out: {out} ends in neither of {' and '.join(SUFFIXES)}")
    if path.exists():
        raise UsageError(f"--out: {out} exists already")
    if not path.parent.is_dir():
        raise UsageError(f"--out: {path.parent} is no directory")
    return path


async def _findings(
    settings: Settings, festivals: dict[str, Festival], named: str | None, url: str | None, *, is_audited: bool
) -> Findings:
    """Return what is to be told; the audit is made first, so that the state it is told of is no older than it."""
    verdict = None
    if is_audited and named is not None:
        verdict = await _audit(settings, named)
    committed = await read_committed(settings)
    now_ms = SystemClock().now_ms()
    festival = choose_festival(festivals, named, committed.snapshot.festivals, now_ms)
    if not committed.snapshot.counts(festival.id):
        raise AnswerNo(f"the ledger does not count {festival.id}: `festival totals` says what to do")
    if is_audited and verdict is None:
        verdict = await _audit(settings, festival.id)
        committed = await read_committed(settings)
    if not is_audited:
        verdict = await recorded_verdict(settings, festival.id)
    snapshot = committed.snapshot
    incidents = None
    if url is not None:
        first_ms = await first_record_ms(settings, snapshot.positions())
        incidents = await _incidents(snapshot, festival, first_ms, url, now_ms)
    return _told(committed, festival, verdict, incidents, now_ms)


async def _sealed_findings(sealed: SealedState, url: str | None) -> Findings:
    """Return what is to be told of a sealed festival, its audit included."""
    now_ms, first_ms = SystemClock().now_ms(), sealed.sealed.header.first_record_ms
    incidents = None if url is None else await _incidents(sealed.snapshot, sealed.festival, first_ms, url, now_ms)
    return _told(committed_of(sealed), sealed.festival, sealed_verdict(sealed.sealed), incidents, now_ms)


def _told(
    committed: Committed, festival: Festival, verdict: Verdict | None, incidents: Incidents | None, now_ms: int
) -> Findings:
    return findings_of(
        committed.snapshot,
        festival,
        committed.judgement,
        fingerprint=committed.fingerprint,
        verdict=verdict,
        incidents=incidents,
        made_ms=now_ms,
        version=__version__,
    )


async def _audit(settings: Settings, festival_id: str) -> Verdict:
    with progress("auditing", unit="records") as bar:
        shown = 0

        def report(_: str, done: int, __: int) -> None:
            nonlocal shown
            bar.advance(max(0, done - shown))
            shown = max(shown, done)

        result = await run_audit(settings, [festival_id], report)
    return verdict_of(result, festival_id, SystemClock().now_ms())


async def _incidents(snapshot: Snapshot, festival: Festival, first_ms: int | None, url: str, now_ms: int) -> Incidents:
    from_ms, to_ms = period_of(snapshot.as_counted(festival), first_ms, snapshot.committed_ms, now_ms)
    return await read_incidents(url, from_ms, max(to_ms, from_ms + 1))

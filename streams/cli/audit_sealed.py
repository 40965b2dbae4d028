"""`festival audit --sealed`: a sealed file, checked, and counted again while its topics are there."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from streams.audit.log import LogDeletedError
from streams.audit.procedure import SealedLedger, audit_sealed
from streams.broker import address
from streams.cli.audit_progress import audit_progress
from streams.cli.sealed import known_festivals, read_sealed_state

if TYPE_CHECKING:
    from pathlib import Path

    from streams.audit.result import AuditResult
    from streams.board.view.sealed import SealedState
    from streams.engine.sealed.contents import Sealed
    from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class SealedAudit:
    """What is known of a file whose digest holds."""

    sealed: Sealed
    result: AuditResult | None
    """None where the topics do not hold what was counted."""
    why_not: str | None

    @property
    def is_exact(self) -> bool:
        """Return the answer: that of the recount, else that of the audit in the file."""
        header = self.sealed.header
        return bool(header.exact and header.complete) if self.result is None else self.result.is_exact

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        told = (self.sealed.audit or {"exact": None}) if self.result is None else self.result.document()
        counted_again = self.result is not None
        return {"sealed": self.sealed.digest, "counted_again": counted_again, "detail": self.why_not, **told}

    def text(self) -> str:
        """Return what a terminal is told where it was not counted again."""
        header = self.sealed.header
        verdict = {True: "exact", False: "NOT exact", None: "not audited"}[header.exact]
        incomplete = "" if header.complete else ", and incomplete"
        return f"Not counted again: {self.why_not}\nWhen it was sealed it was {verdict}{incomplete}."


def audit_file(settings: Settings, path: Path, festival: str | None) -> SealedAudit:
    """Return what is known of a sealed file.

    Raises `UsageError` where it is none, was changed or does not hold the `festival`, `UnreachableError` without a
    broker.
    """
    state = read_sealed_state(path)
    known_festivals(state, {}, festival)
    click.echo(f"the digest holds: sealed as {state.sealed.digest}", err=True)
    connected = dataclasses.replace(settings, broker=address.resolve(settings))
    try:
        with audit_progress() as report:
            result = asyncio.run(audit_sealed(connected, _ledger(state), report))
    except LogDeletedError as error:
        return SealedAudit(state.sealed, None, str(error))
    return SealedAudit(state.sealed, result, None)


def _ledger(state: SealedState) -> SealedLedger:
    festival, header = state.festival, state.sealed.header
    rates = {rate.currency: known for rate in festival.rates if (known := festival.rate_of(rate.currency)) is not None}
    return SealedLedger(
        committed=state.sealed.delta(knows_others=True),
        festival=festival.id,
        home_currency=festival.home_currency,
        rates={**rates, festival.home_currency: Decimal(1)},
        lacking=[] if header.complete else list(header.reasons),
    )

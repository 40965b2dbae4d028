"""`festival recount`: a new generation of the ledger from the beginning of the log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import msgspec

from streams.app import declare
from streams.board.answers.documents import totals_json
from streams.board.answers.totals import totals_of
from streams.board.answers.totals_text import amount_text
from streams.board.view.committed_view import CommittedView
from streams.cli.options import broker_options, json_option
from streams.cli.progress import progress
from streams.engine.clock import SystemClock
from streams.kafka.ledger.follower import read_committed_ledger
from streams.kafka.ledger.recount import LossError, Recount, RecountReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.board.answers.values import Totals
    from streams.domain.festivals import Festival
    from streams.engine.ledger_view import FollowerDelta
    from streams.engine.losses import Loss
    from streams.settings import Settings

REFUSED = (
    "The log holds less than the ledger has counted: a recount would make totals smaller, so nothing was changed. "
    "Bring the log back if you can. `festival recount --accept-loss` counts what is left, and every total says so ever "
    "after."
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What came of a recount, with the totals before and after it where records were lost."""

    report: RecountReport | None
    """None: it was refused."""
    losses: Sequence[Loss]
    before: Mapping[str, Totals]
    after: Mapping[str, Totals]


@click.command("recount")
@click.option("--accept-loss", is_flag=True, help="Count what is left of a log that has lost what was counted.")
@json_option
@broker_options
def command(settings: Settings, *, accept_loss: bool, as_json: bool) -> int:
    """Count the whole log under the present declarations into a new generation of the ledger.

    Workers go on counting the current generation meanwhile, and `totals` shows it. When the new one has caught up it
    becomes current: workers whose declarations fit take it over, others end with exit status 2. Killed, run it again:
    it goes on where it was.

    Exit status 1, before anything is counted, where the log begins later than the current generation did, or ends
    before it: with --accept-loss the totals become smaller, and `counted_from` tells it.
    """
    festivals, _ = declare(settings)
    counted = asyncio.run(_recount(settings, festivals, accepts_loss=accept_loss))
    click.echo(json.dumps(_document(counted), ensure_ascii=False) if as_json else _text(counted, festivals))
    return 0 if counted.report is not None else 1


async def _recount(settings: Settings, festivals: Mapping[str, Festival], *, accepts_loss: bool) -> Counted:
    _, declarations = declare(settings)
    with progress("recounting", unit="records") as bar:
        recount = Recount(settings, declarations, bar, SystemClock(), accepts_loss=accepts_loss)
        report: RecountReport | None = None
        try:
            report = await recount.run()
            losses: Sequence[Loss] = report.losses
        except LossError as error:
            losses = error.losses
    if not losses:
        return Counted(report, (), {}, {})
    assert recount.before is not None, "read before anything is compared"
    before = _totals(recount.before, festivals, losses)
    after = {} if report is None else _totals(await read_committed_ledger(settings), festivals, losses)
    return Counted(report, losses, before, after)


def _totals(ledger: FollowerDelta, festivals: Mapping[str, Festival], losses: Sequence[Loss]) -> dict[str, Totals]:
    """Return the totals of each festival that counts a topic of which records were lost."""
    view, topics = CommittedView(), {loss.topic for loss in losses}
    view.feed(ledger)
    snapshot = view.snapshot()
    counted = [snapshot.as_counted(festival) for festival in festivals.values() if snapshot.counts(festival.id)]
    return {f.id: totals_of(snapshot, f, has_story=False) for f in counted if topics & set(f.facts)}


def _document(counted: Counted) -> dict[str, Any]:
    document: dict[str, Any] = {"recounted": counted.report is not None}
    if counted.report is not None:
        document |= msgspec.to_builtins(counted.report, str_keys=True)
    document["losses"] = [loss._asdict() for loss in counted.losses]
    for name, totals in (("before", counted.before), ("after", counted.after)):
        document[name] = {festival: totals_json(found) for festival, found in totals.items()}
    return document


def _text(counted: Counted, festivals: Mapping[str, Festival]) -> str:
    lines = [str(loss) for loss in counted.losses]
    for festival, totals in counted.before.items():
        affected = [loss for loss in counted.losses if loss.topic in festivals[festival].facts]
        places = ", ".join(f"{loss.topic}[{loss.partition}]" for loss in affected)
        lines.append(f"{festival} ({places}) {'now' if counted.report is None else 'before'}: {_told(totals)}")
        if festival in counted.after:
            lines.append(f"{festival} after: {_told(counted.after[festival])}")
    return "\n".join([*lines, REFUSED if counted.report is None else _done(counted.report)])


def _told(totals: Totals) -> str:
    counts = {
        "orders": totals.orders,
        "cancelled": totals.cancelled,
        "payments captured": totals.payments.captured,
        "parcels delivered": totals.parcels.delivered,
        "boxes": totals.recycling.boxes,
    }
    told = [f"{count:,} {name}" for name, count in counts.items() if count or name == "orders"]
    money = [
        f"{name} {amount_text(amounts[name], currency)} {currency}"
        for currency, amounts in totals.money.items()
        for name in ("gross", "paid")
        if amounts.get(name)
    ]
    return ", ".join((*told, *money))


def _done(report: RecountReport) -> str:
    return (
        f"generation {report.generation} is current, before it was {report.previous}: "
        f"{report.records:,} records of {report.partitions} partitions counted"
        + (", going on with an earlier recount" if report.resumed else "")
    )

"""`festival festivals`: which festivals are known; `festival festivals new`: the file of one more."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from streams.board.answers.totals_text import table
from streams.broker import address
from streams.cli.committed import read_committed
from streams.cli.options import json_option, settings_options
from streams.domain.currencies import EXPONENTS
from streams.domain.festivals import FestivalFileError, parse_festival
from streams.engine.clock import SystemClock
from streams.errors import UsageError
from streams.festivals import Found, find_festivals
from streams.festivals.draft import Draft, draft_toml
from streams.festivals.selection import named_festival
from streams.handover.edition import edition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.domain.festivals import Festival, Rate
    from streams.festivals.draft import Edition
    from streams.settings import Settings

_HOUR_MS = 3_600_000
NEEDED = {
    "id": "Its id, such as spring-2027",
    "starts": "When it starts, local to its time zone, such as 2027-03-20T00:00:00",
    "timezone": "Its time zone, such as Europe/Berlin",
}
"""Options without which there is no festival, and how a terminal asks for them."""
LISTS = ("facts", "milestones")


@click.group("festivals", invoke_without_command=True)
@json_option
@settings_options
def command(settings: Settings, *, as_json: bool) -> None:
    """List the festivals that are known: the built-in ones, and those of --festivals.

    Needs no broker.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    found = sorted(
        find_festivals(settings.festivals_dir).values(), key=lambda one: (-one.festival.start_ms, one.festival.id)
    )
    if as_json:
        click.echo(json.dumps({"festivals": [entry(one) for one in found]}, ensure_ascii=False))
        return
    rows = [("id", "starts", "hours", "time zone", "home", "counts", "source")]
    for one in found:
        told = entry(one)
        facts = ",".join(told["facts"])
        source = f"{one.source} (retired)" if told["retired"] else one.source
        where = (told["timezone"], told["home_currency"], facts, source)
        rows.append((one.festival.id, told["starts"], str(told["hours"]), *where))
    click.echo(table(rows))


def entry(found: Found) -> dict[str, Any]:
    """Return what the list's document says of a festival."""
    festival = found.festival
    starts = dt.datetime.fromtimestamp(festival.start_ms / 1000, ZoneInfo(festival.timezone))
    return {
        "id": festival.id,
        "name": festival.name,
        "starts": starts.replace(tzinfo=None).isoformat(),
        "timezone": festival.timezone,
        "hours": (festival.end_ms - festival.start_ms) // _HOUR_MS,
        "start_ms": festival.start_ms,
        "end_ms": festival.end_ms,
        "home_currency": festival.home_currency,
        "display": list(festival.display),
        "facts": list(festival.facts),
        "retired": festival.retired,
        "source": found.source,
    }


@command.command("new")
@click.option("--id", "id", metavar="ID", help="Names it for good.")
@click.option("--starts", metavar="LOCAL", help="Its first moment, such as 2027-03-20T00:00:00.")
@click.option("--timezone", metavar="ZONE", help="Its IANA time zone, such as Europe/Berlin.")
@click.option("--name", "called", metavar="N", help="As people read it; default: the id.")
@click.option("--hours", metavar="H", help="How long it lasts, 1 to 744; default: 24.")
@click.option("--home-currency", metavar="C", help="The currency of its one total; default: CNY.")
@click.option("--display", metavar="C,C", help="Further currencies to tell the total in.")
@click.option("--facts", metavar="F,F", help="Topics that it counts; default: all four.")
@click.option("--milestones", metavar="N,N", help="Totals worth a moment, in major units of the home currency.")
@click.option(
    "--from",
    "from_id",
    metavar="ID",
    help="The last edition: `[previous]` out of the ledger, the rest out of its file.",
)
@click.option("--out", metavar="FILE", help="Where to write; must not exist. Default: stdout.")
@json_option
@settings_options
def new(settings: Settings, from_id: str | None, out: str | None, *, as_json: bool, **given: str | None) -> None:
    """Write the file of a new festival, with comments, for the folder of --festivals.

    On a terminal it asks for what is missing. With --from it reads the ledger, and exits with 1 where the last edition
    is not over or not complete, or a rate is missing.
    """
    known = {festival_id: found.festival for festival_id, found in find_festivals(settings.festivals_dir).items()}
    last = None if from_id is None else named_festival(known, from_id)
    path = _path(out)
    # A worker has a --name too, which is a setting.
    values = {{"called": "name"}.get(name, name): value for name, value in given.items() if value is not None}
    _ask(values, last)
    display = _listed(values.pop("display", ""))
    draft = _draft(values, display, last, known.values())
    _checked(draft, known, last)
    if last is not None:
        connected = dataclasses.replace(settings, broker=address.resolve(settings))
        draft = dataclasses.replace(draft, previous=_read_edition(connected, last))
    text = draft_toml(draft)
    festival = _checked(draft, known, last)
    for currency in set(display) - set(festival.display):
        click.echo(f"festival: no rate of {currency} is known: `display` leaves it out until you add one", err=True)
    if path is not None:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    if as_json:
        told = {"festival": entry(Found(festival, out or "")), "toml": text}
        click.echo(json.dumps(told, ensure_ascii=False))
    elif path is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"{out}: {festival.name}, {entry(Found(festival, ''))['starts']} {festival.timezone}")


def _path(out: str | None) -> Path | None:
    """Return where to write; raises `UsageError` where something is there, or nothing could be."""
    if out is None:
        return None
    path = Path(out)
    if path.exists():
        raise UsageError(f"--out: {out} exists already")
    if not path.parent.is_dir():
        raise UsageError(f"--out: {path.parent} is no directory")
    return path


def _ask(values: dict[str, str], last: Festival | None) -> None:
    """Fill in what is needed and missing: by asking where somebody sits at a terminal."""
    needed = [name for name in NEEDED if name not in values and not (name == "timezone" and last is not None)]
    if not needed or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return  # what is missing is told with whatever else is wrong
    for name in needed:
        values[name] = click.prompt(NEEDED[name], err=True)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _draft(values: Mapping[str, str], display: list[str], last: Festival | None, known: Iterable[Festival]) -> Draft:
    """Return the draft out of what was given, and of the last edition's file."""
    told: dict[str, str | int | list[str]] = {} if last is None else _inherited(last)
    told |= {name: _listed(value) if name in LISTS else value for name, value in values.items()}
    home = str(told.get("home_currency", "CNY"))
    display = display or (list(last.display) if last is not None and last.home_currency == home else [])
    newest: dict[str, Rate] = {}
    for festival in known:
        for rate in festival.rates if festival.home_currency == home else ():
            if rate.currency in display and rate.date >= newest.get(rate.currency, rate).date:
                newest[rate.currency] = rate
    return Draft(told, home, display, rates=[newest[currency] for currency in display if currency in newest])


def _inherited(last: Festival) -> dict[str, str | int | list[str]]:
    told: dict[str, str | int | list[str]] = {
        "timezone": last.timezone,
        "hours": (last.end_ms - last.start_ms) // _HOUR_MS,
        "home_currency": last.home_currency,
        "facts": list(last.facts),
    }
    return told | ({} if last.points_per_tree is None else {"points_per_tree": last.points_per_tree})


def _checked(draft: Draft, known: Mapping[str, Festival], last: Festival | None) -> Festival:
    """Return the festival that the draft's text makes; raises `UsageError` with all that is wrong, by its options."""
    problems: list[str] = []
    festival: Festival | None = None
    try:
        festival = parse_festival(draft_toml(draft), "")
    except FestivalFileError as error:
        problems += str(error).removeprefix(": ").split("; ")
    if draft.values.get("id") in known:
        problems.append(f"`id`: {draft.values['id']} is taken by a festival that is known already")
    if last is not None and last.home_currency != draft.home_currency:
        problems.append(f"`home_currency`: totals of {last.id} are in {last.home_currency}, not {draft.home_currency}")
    strange = [currency for currency in draft.display if currency not in EXPONENTS or currency == draft.home_currency]
    if strange:
        problems.append(f"`display`: expected ISO 4217 currencies beside the home currency, found {', '.join(strange)}")
    if problems:
        raise UsageError("\n".join(map(_by_option, problems)))
    assert festival is not None
    return festival


def _by_option(problem: str) -> str:
    """Return a problem of the file as one of the option that gave its field."""
    return re.sub(r"`(\w+)`", lambda field: f"--{field[1].replace('_', '-')}", problem, count=1)


def _read_edition(settings: Settings, last: Festival) -> Edition:
    committed = asyncio.run(read_committed(settings))
    return edition_of(committed.snapshot, last, committed.judgement, SystemClock().now_ms())

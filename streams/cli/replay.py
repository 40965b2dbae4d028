"""`festival replay`: a deterministic load onto the topics."""

from __future__ import annotations

import asyncio
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from streams.cli.options import broker_options, json_option
from streams.cli.progress import progress
from streams.cli.stopping import INTERRUPTED, stop_on_signals
from streams.engine.clock import SystemClock
from streams.errors import UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.festivals.declared import load_declared
from streams.festivals.selection import named_festival
from streams.kafka.cluster.topics import check_topics
from streams.mapping.hashing import load_hash
from streams.replay.load import FACTS, SHARES, festival_load, parse_share
from streams.replay.processes import replay
from streams.replay.sender import Sending
from streams.truth.tally import read_tally, write_tally

if TYPE_CHECKING:
    from decimal import Decimal

    from streams.replay.load import Load
    from streams.replay.processes import Replayed
    from streams.settings import Settings

COMPRESSIONS = ("none", "gzip", "lz4", "snappy", "zstd")


class Share(click.ParamType):
    """A share of 1, as a decimal or per cent."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ANN401
        """Return the share as a decimal."""
        try:
            return parse_share(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Speed(click.ParamType):
    """Festival time per processing time, or max."""

    name = "X|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction | None:  # noqa: ANN401
        """Return the speed, None for as fast as possible."""
        if value == "max":
            return None
        try:
            speed = Fraction(str(value))
        except (ValueError, ZeroDivisionError):
            speed = Fraction(0)
        if speed <= 0:
            self.fail(f"{value!r} is neither max nor a number above 0", param, ctx)
        return speed


def share_options(command: Any) -> Any:  # noqa: ANN401 - click's decorators
    """Add the proportions of special records."""
    helps = {
        "duplicates": "Resends, as a share of the valid records.",
        "late": "Records sent minutes after their turn, as a share of the valid ones.",
        "poison": "Bad records of every reason, as a share of the orders, in addition to them.",
        "cancel": "Cancelled orders, as a share of the orders.",
        "foreign": "Orders in foreign currencies, as a share; GMV then leaves the published points.",
    }
    for name in reversed(SHARES):
        command = click.option(f"--{name}", type=Share(), default="0", metavar="P", help=helps[name])(command)
    return command


@click.command("replay")
@click.option(
    "--festival", "festival_id", default="singles-day-2019", show_default=True, metavar="ID", help="Whose day."
)
@click.option("--orders", type=int, default=100_000, show_default=True, metavar="N", help="Orders of the whole day.")
@click.option("--speed", type=Speed(), help="1 is real time, max as fast as Kafka takes it; default: max.")
@click.option("--seconds", type=click.FloatRange(min=0.001), help="Instead of --speed: how long the day takes.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="K", help="Same arguments, same events.")
@click.option("--facts", metavar="LIST", help=f"Topics to write, of {','.join(FACTS)}; default: the festival's.")
@share_options
@click.option("--tally", "tally_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the tally here.")
@click.option("--after", type=click.Path(path_type=Path, dir_okay=False), help="Tally of the replay before this one.")
@click.option("--processes", type=click.IntRange(1, 64), help="Default: one per core at --speed max, else one.")
@click.option(
    "--compression",
    type=click.Choice(COMPRESSIONS),
    default="snappy",
    show_default=True,
    help="How the records are compressed.",
)
@json_option
@broker_options
def command(  # noqa: PLR0917 - click passes names
    settings: Settings,
    festival_id: str,
    orders: int,
    speed: Fraction | None,
    seconds: float | None,
    seed: int,
    facts: str | None,
    tally_file: Path | None,
    after: Path | None,
    processes: int | None,
    compression: str,
    *,
    as_json: bool,
    **shares: Decimal,
) -> int:
    """Send the events of a festival's day, along its published curve.

    The tally holds what Kafka acknowledged: the exact totals to expect of it, with the numbers of duplicates, late and
    rejected records; what was not acknowledged is listed as unknown. Ctrl-C stops and still writes the tally.
    """
    load_hash(settings.hash_key_file)  # what is wrong with the key is told before anything is sent
    load_declared(settings.declarations)  # and so is this
    festivals = load_festivals(settings.festivals_dir)
    load = festival_load(
        named_festival(festivals, festival_id),
        SystemClock().now_ms(),
        orders=orders,
        partitions=asyncio.run(check_topics(settings)),
        seed=seed,
        facts=None if facts is None else tuple(sorted(set(facts.split(",")), key=_place)),
        shares=shares,
    )
    speed = _speed(load, speed, seconds)
    sending = Sending(
        settings,
        tuple(festivals.values()),
        speed,
        None if compression == "none" else compression,
        read_tally(after)["max_event_times_ms"] if after else {},
    )
    processes = processes or (1 if speed is not None else os.cpu_count() or 1)
    with stop_on_signals() as stop, progress("replay", orders, "orders") as bar:
        done = replay(load, sending, processes=processes, report=bar.advance, stop=stop)
    if tally_file is not None:
        write_tally(tally_file, done.tally)
    _print(load, done, as_json=as_json)
    return _status(done)


def _place(fact: str) -> int:
    """Return where a topic stands among all; unknown ones come last, and are refused later."""
    return FACTS.index(fact) if fact in FACTS else len(FACTS)


def _speed(load: Load, speed: Fraction | None, seconds: float | None) -> Fraction | None:
    """Return the speed out of the two options for it."""
    if seconds is None:
        return speed
    if speed is not None:
        raise UsageError("--seconds and --speed exclude each other")
    return Fraction(load.seconds) / Fraction(str(seconds))


def _status(done: Replayed) -> int:
    """Return the exit status; raises `UnreachableError` where Kafka did not take everything."""
    if done.error is not None:
        raise UnreachableError(
            f"Kafka did not take everything: {done.error}. The tally holds what it acknowledged, and lists the rest "
            "as unknown."
        )
    return INTERRUPTED if done.is_interrupted else 0


def run_document(done: Replayed, orders: int) -> dict[str, Any]:
    """Return how the replay itself went."""
    records = sum(sum(partitions.values()) for partitions in done.tally["acknowledged"].values())
    return {
        "records": records,
        "elapsed_ms": done.elapsed_ms,
        "cpu_ms": done.cpu_ms,
        "orders_per_cpu_second": orders * 1000 // max(done.cpu_ms, 1),
        "slip_max_ms": done.slip_max_ms,
        "slip_p99_ms": done.slip_p99_ms,
        "is_interrupted": done.is_interrupted,
    }


def _print(load: Load, done: Replayed, *, as_json: bool) -> None:
    orders = done.tally["festivals"].get(load.festival, {}).get("orders", 0)
    run = run_document(done, orders)
    if as_json:
        click.echo(orjson.dumps({**done.tally, "run": run}).decode())
        return
    outcomes = done.tally["outcomes"]
    click.echo(f"{run['records']:,} records of {load.festival} acknowledged in {done.elapsed_ms / 1000:.1f} s")
    click.echo(f"{orders:,} orders to count, {run['orders_per_cpu_second']:,} per CPU second")
    for topic, counts in outcomes.items():
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items() if count)
        click.echo(f"{topic}: {told or 'none'}; {done.tally['late'][topic]:,} of them late")
    for currency, money in done.tally["festivals"].get(load.festival, {}).get("money", {}).items():
        click.echo(f"GMV {currency}: {money.get('gross', 0):,} in minor units")
    click.echo(f"schedule slip: at most {done.slip_max_ms:,} ms, 99 % within {done.slip_p99_ms:,} ms")
    for unknown in done.tally["unknown"]:
        click.echo(f"unknown: {unknown['records']} records of {unknown['topic']}/{unknown['partition']}")

"""`festival import`: orders and payments out of files onto their topics, each row once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from streams.board.answers.totals_text import amount_text
from streams.broker import address
from streams.cli.options import json_option, settings_options
from streams.cli.progress import progress
from streams.cli.stopping import INTERRUPTED, stop_on_signals
from streams.engine.clock import SystemClock
from streams.engine.topic_names import IMPORTS
from streams.errors import FestivalError, UsageError
from streams.festivals import load_festivals
from streams.festivals.declared import load_declared
from streams.imports.file_import import (
    CHECKED,
    CUT_SHORT,
    DONE_BEFORE,
    FileImport,
    Imported,
    Listener,
    check_file,
    conversion_of,
    import_file,
)
from streams.imports.files import look_at
from streams.imports.mapping import NO_MAPPING, parse_mapping
from streams.kafka.cluster.topics import check_topics
from streams.mapping.hashing import load_hash

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence
    from threading import Event

    from streams.cli.progress import Bar
    from streams.domain.facts import Fact
    from streams.domain.festivals import Festival
    from streams.imports.files import FileContent
    from streams.imports.mapping import FileMapping
    from streams.imports.progress import BadRow
    from streams.settings import Settings

BAD_ROWS_TOLD = 20
LOOK_SECONDS = 0.5
STOP_SECONDS = 5.0
"""How long a transaction may take to end after Ctrl-C; given up, the next run finds out whether it was committed."""
LARGE_BYTES = 100_000_000
"""A file from here on takes a second or more to be looked at, which a progress bar explains."""


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--map",
    "map_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Which column is which field; several: each an import of its own over each file.",
)
@click.option("--again", is_flag=True, help="Send the rows of a file once more that was imported to its end before.")
@click.option("--check", "is_check", is_flag=True, help="Read and convert everything, send nothing; needs no Kafka.")
@json_option
@settings_options
def command(
    settings: Settings, files: Sequence[Path], map_files: Sequence[Path], *, again: bool, is_check: bool, as_json: bool
) -> int:
    """Send orders and payments out of CSV, NDJSON, Parquet or XLSX files to Kafka, each row once.

    Killed and started again it goes on behind the last row that was committed; a file that is imported already, by
    its content and mapping, is not sent again. Bad rows are listed and not sent: then the exit status is 1.
    """
    festivals = load_festivals(settings.festivals_dir)
    mappings = _mappings(map_files, festivals, load_declared(settings.declarations).facts)
    hashing = load_hash(settings.hash_key_file)
    partitions = 0
    if not is_check:
        settings = dataclasses.replace(settings, broker=address.resolve(settings))
        partitions = asyncio.run(check_topics(settings, also=(IMPORTS,)))
    digests = frozenset(mapping.digest for mapping in mappings)
    wanted = [
        FileImport(content, mapping, tuple(festivals.values()), again, digests, settings.settle_ms, hashing)
        for content in map(_content, files)
        for mapping in mappings
    ]
    for one in wanted:
        # Before the first row is sent, all files are known to have the columns.
        conversion_of(one, 1)
    done: list[Imported] = []
    with stop_on_signals() as stop:
        try:
            done.extend(
                _import(one, settings, partitions, stop, is_check=is_check) for one in wanted if not stop.is_set()
            )
        except (FestivalError, click.Abort):
            _print(done, as_json=as_json)
            raise
    _print(done, as_json=as_json)
    if stop.is_set():
        return INTERRUPTED
    return 1 if any(one.progress.bad_count for one in done) else 0


def _mappings(paths: Sequence[Path], festivals: dict[str, Festival], facts: Mapping[str, Fact]) -> list[FileMapping]:
    """Return the mappings in the files; everything that is wrong with any of them is told at once."""
    found: dict[str, FileMapping] = {}
    problems: list[str] = []
    for path in paths:
        try:
            mapping = parse_mapping(path.read_text(encoding="utf-8"), str(path), festivals, facts)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"--map: {path} cannot be read: {error}")
        except UsageError as error:
            problems.append(str(error))
        else:
            if mapping.digest in found:
                problems.append(f"--map: {path} and {found[mapping.digest].name} say the same: give one of them")
            found[mapping.digest] = mapping
    if problems:
        raise UsageError("\n".join(problems))
    return list(found.values()) or [dataclasses.replace(NO_MAPPING, fact=facts[NO_MAPPING.to])]


def _content(path: Path) -> FileContent:
    size = path.stat().st_size if path.exists() else 0
    if size < LARGE_BYTES:
        return look_at(path)
    with progress(f"looking at {path.name}", size, "bytes") as bar:
        return look_at(path, bar.advance)


def _import(wanted: FileImport, settings: Settings, partitions: int, stop: Event, *, is_check: bool) -> Imported:
    with _Telling(wanted.content.path, stop) as telling:
        if is_check:
            return check_file(wanted, SystemClock(), telling)
        return asyncio.run(_unless_stuck(import_file(wanted, settings, partitions, SystemClock(), telling), stop))


async def _unless_stuck(work: Coroutine[None, None, Imported], stop: Event) -> Imported:
    """Return what `work` returns; asked to stop while it waits for a broker that is gone, raise `click.Abort`."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait([task], timeout=LOOK_SECONDS)
        if stop.is_set() and not task.done():
            await asyncio.wait([task], timeout=STOP_SECONDS)
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=STOP_SECONDS)
                raise click.Abort
    return task.result()


class _Telling(Listener):
    """A progress bar, and the first bad rows, on stderr."""

    def __init__(self, path: Path, stop: Event) -> None:
        self._path = path
        self._stop = stop
        self._stack = ExitStack()
        self._bar: Bar | None = None
        self._bad = 0

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        if self._bad > BAD_ROWS_TOLD:
            click.echo(f"{self._path}: {self._bad - BAD_ROWS_TOLD:,} more bad rows", err=True)

    def begins(self, rows: int | None, done: int, imported: FileImport) -> None:
        title = f"{imported.content.path.name} from row {done + 1:,}" if done else imported.content.path.name
        total = max(rows - done, 0) if rows is not None else None
        self._bar = self._stack.enter_context(progress(title, total, "rows"))

    def advances(self, rows: int) -> None:
        assert self._bar is not None
        self._bar.advance(rows)

    def finds_bad(self, row: BadRow) -> None:
        self._bad += 1
        if self._bad <= BAD_ROWS_TOLD:
            click.echo(f"{self._path}: {_place(row)}: {row.detail} ({row.reason})", err=True)

    def is_stopped(self) -> bool:
        return self._stop.is_set()


def _place(row: BadRow) -> str:
    return f"row {row.row}" if row.line is None else f"row {row.row} (line {row.line})"


def _print(done: Sequence[Imported], *, as_json: bool) -> None:
    if as_json:
        sums = {
            "rows": sum(one.progress.rows for one in done),
            "sent": sum(one.progress.sent for one in done),
            "bad": sum(one.progress.bad_count for one in done),
            "left_out": sum(sum(one.progress.left_out.values()) for one in done),
        }
        click.echo(json.dumps({**sums, "files": [one.document() for one in done]}, ensure_ascii=False))
        return
    for one in done:
        for line in _lines(one, is_one_of_several=len({other.mapping for other in done}) > 1):
            click.echo(line)


def _lines(one: Imported, *, is_one_of_several: bool) -> Iterable[str]:
    found = one.progress
    what = f"{one.file} by {one.mapping}" if is_one_of_several else one.file
    parts = [f"{found.sent:,} {'good' if one.state == CHECKED else 'sent'}"]
    parts += [f"{count:,} left out ({why})" for why, count in sorted(found.left_out.items())]
    parts += [f"{count:,} bad ({reason})" for reason, count in sorted(found.bad.items())]
    again = f", run {found.run}" if found.run > 1 else ""
    yield f"{what}: {one.state}{again}: {found.rows:,} rows: {', '.join(parts)}"
    if {"skipped", "behind"} & set(found.lines):
        yield "  lines: " + ", ".join(f"{count:,} {kind}" for kind, count in found.lines.items())
    if one.state == DONE_BEFORE:
        yield "  nothing was sent now; --again sends the rows once more"
        for row in one.bad_rows[:BAD_ROWS_TOLD]:
            yield f"  bad: {_place(row)}: {row.detail} ({row.reason})"
    if one.state == CUT_SHORT:
        yield "  the same command goes on behind the last of these rows"
    if one.other_mappings:
        yield f"  {found.to} of this file were sent before, with another mapping: those count as well"
    for festival, sums in found.festivals.items():
        yield f"  {festival}: {_counts(sums)}"
        for prefix, currencies in (("", sums["money"]), ("payer, ", sums.get("payer", {}))):
            for currency, money in currencies.items():
                amounts = ", ".join(f"{name} {amount_text(minor, currency)}" for name, minor in money.items() if minor)
                yield f"    {prefix}{currency}: {amounts or '0'}"
    if found.sent and not found.festivals:
        yield f"  none of these {found.to} falls into a festival: see `fit` in docs/import.md"


def _counts(sums: Mapping[str, Any]) -> str:
    """Return what was counted, as one reads it; zeros are left out but for the first."""
    counts = sums.get("payments") or {name: sums[name] for name in ("orders", "cancelled")}
    first, *others = (f"{count:,} {name}" for name, count in counts.items() if count or name in {"orders", "captured"})
    return ", ".join([first, *others])

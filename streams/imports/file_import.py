"""One file, from its first row not yet committed to its last: the import itself, and its rehearsal without Kafka."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from streams.configuration import SETTLE_MS
from streams.errors import UsageError
from streams.imports.conversion import Conversion
from streams.imports.part_writer import PartWriter
from streams.imports.progress import BAD_ROWS_KEPT, BadRow, ImportKey, Part, Progress
from streams.imports.sheet import SheetTable
from streams.imports.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from streams.domain.festivals import Festival
    from streams.engine.clock import Clock
    from streams.imports.files import FileContent
    from streams.imports.mapping import FileMapping
    from streams.imports.rows import Row
    from streams.mapping.hashing import Hash
    from streams.settings import Settings

PART_ROWS = 5_000
"""Rows of one transaction: about 2 MB of orders, and some tenths of a second of work lost by a kill."""

NEW, RESUMED, DONE_BEFORE, CUT_SHORT, CHECKED = "imported", "resumed", "done before", "interrupted", "checked"


@dataclass(frozen=True, slots=True)
class FileImport:
    """What is to be imported, and how."""

    content: FileContent
    mapping: FileMapping
    festivals: Collection[Festival]
    is_again: bool = False
    beside: frozenset[str] = frozenset()
    """Digests of the mappings that are given together with this one."""
    settle_ms: int = SETTLE_MS.default
    hashing: Hash | None = None
    """What replaces buyers and users, where a key is set."""

    @property
    def key(self) -> ImportKey:
        """Return what the import is known by."""
        return ImportKey(self.content.sha256, self.mapping.digest)


@dataclass(frozen=True, slots=True)
class Imported:
    """How the import of a file ended."""

    file: str
    key: ImportKey
    state: str
    progress: Progress
    bad_rows: list[BadRow]
    """Those kept, by number; `progress.bad` counts all."""
    mapping: str = ""
    """What the user calls it, "" without one."""
    other_mappings: int = 0
    """With how many other mappings rows of the same file were sent to the same topic before."""

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        told = {
            "file": self.file,
            "sha256": self.key.sha256,
            "map": self.mapping or None,
            "mapping": self.key.mapping,
            "state": self.state,
        }
        counted = asdict(self.progress)
        for name in ("file", "is_done"):
            del counted[name]
        return {**told, **counted, "bad_rows": [row._asdict() for row in self.bad_rows]}


class Listener:
    """What a caller may want to hear of while a file is imported; every method may be overridden."""

    def begins(self, rows: int | None, done: int, imported: FileImport) -> None:
        """Tell that `done` of about `rows` rows were committed before; None: not known how many there are."""

    def advances(self, rows: int) -> None:
        """Tell that so many more rows are committed."""

    def finds_bad(self, row: BadRow) -> None:
        """Tell that a row is bad."""

    def is_stopped(self) -> bool:
        """Return whether to end before the next part."""
        return False


async def import_file(
    wanted: FileImport, settings: Settings, partitions: int, clock: Clock, listener: Listener
) -> Imported:
    """Send the rows of a file that were not sent before, part by part, until the end or until the listener stops it.

    Raises `UsageError` for a file that cannot be read or changes, `UnreachableError` where Kafka fails: what was
    committed until then stays, and another call goes on behind it.
    """
    # A file that cannot be read at all, or lacks columns, is told before anybody is fenced.
    conversion_of(wanted, 1)
    store = await PartWriter.open(settings, wanted.key, partitions, wanted.mapping.to)
    try:
        progress = store.progress or _beginning(wanted, 1)
        state = NEW
        if progress.is_done and wanted.is_again:
            progress = _beginning(wanted, progress.run + 1)
        elif progress.is_done:
            state = DONE_BEFORE
        elif store.progress is not None:
            state = RESUMED
        if not progress.is_done:
            listener.begins(expected_rows(wanted), progress.rows, wanted)
            progress = await _send(wanted, store, progress, clock, listener)
            state = state if progress.is_done else CUT_SHORT
        others = [
            digest
            for digest, other in store.others.items()
            if other.sent and other.to == progress.to and digest not in wanted.beside
        ]
        return Imported(
            str(wanted.content.path),
            wanted.key,
            state,
            progress,
            store.bad_rows(progress.run),
            wanted.mapping.name,
            len(others),
        )
    finally:
        await store.close()


async def _send(
    wanted: FileImport, store: PartWriter, progress: Progress, clock: Clock, listener: Listener
) -> Progress:
    conversion = conversion_of(wanted, progress.run)
    table = open_table(wanted.content.path, wanted.mapping)
    left = progress.rows if conversion.depends_on_earlier_rows else 0
    rows = table.rows(conversion.columns, progress.rows - left)
    # What was sent before is converted once more, for the ids in it.
    while left and not listener.is_stopped() and (taken := list(islice(rows, min(left, PART_ROWS)))):
        conversion.convert(taken, clock.now_ms())
        left -= len(taken)
    while not progress.is_done and not listener.is_stopped():
        taken = list(islice(rows, PART_ROWS))
        # The last part may be a full one: then an empty one follows, which only says that the file has ended.
        part = conversion.convert(taken, clock.now_ms()) if taken else Part(progress.rows, [], [], {}, {})
        wanted.content.refuse_change()
        progress = replace(progress.after(part), is_done=len(taken) < PART_ROWS, lines=dict(table.lines))
        await store.commit(part, progress)
        for bad in part.bad:
            listener.finds_bad(bad)
        listener.advances(len(taken))
    return progress


def check_file(wanted: FileImport, clock: Clock, listener: Listener) -> Imported:
    """Do everything but send: needs no Kafka. Raises `UsageError`."""
    conversion = conversion_of(wanted, 1)
    progress = _beginning(wanted, 1)
    bad_rows: list[BadRow] = []
    listener.begins(expected_rows(wanted), 0, wanted)
    table = open_table(wanted.content.path, wanted.mapping)
    rows: Iterator[Row] = table.rows(conversion.columns, 0)
    while taken := list(islice(rows, PART_ROWS)):
        part = conversion.convert(taken, clock.now_ms())
        progress = progress.after(part)
        bad_rows += part.bad[: max(BAD_ROWS_KEPT - len(bad_rows), 0)]
        for bad in part.bad:
            listener.finds_bad(bad)
        listener.advances(len(taken))
    wanted.content.refuse_change()
    progress = replace(progress, lines=dict(table.lines))
    return Imported(str(wanted.content.path), wanted.key, CHECKED, progress, bad_rows, wanted.mapping.name)


def _beginning(wanted: FileImport, run: int) -> Progress:
    return Progress(run, file=wanted.content.path.name, to=wanted.mapping.to)


def conversion_of(wanted: FileImport, run: int) -> Conversion:
    """Return the conversion of a file's rows in one run. Raises `UsageError` for a file that cannot be read."""
    header = open_table(wanted.content.path, wanted.mapping).header
    try:
        identity = f"{wanted.key.short}-{run}"
        return Conversion(wanted.mapping, header, identity, wanted.festivals, wanted.settle_ms, wanted.hashing)
    except UsageError as error:
        raise UsageError(f"{wanted.content.path}: {error}") from error


def expected_rows(wanted: FileImport) -> int | None:
    """Return about how many rows the file has; None where it is packed."""
    table = open_table(wanted.content.path, wanted.mapping)
    counted = getattr(table, "count", None)
    if counted is not None:
        return int(counted)
    if wanted.content.path.suffix.lower() == ".gz" or isinstance(table, SheetTable):
        return None
    layout = wanted.mapping.layout
    return max(wanted.content.lines - layout.skip - (table.header is not None and layout.header is None), 0)

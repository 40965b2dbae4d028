"""One file, from its first row not yet committed to its last: the import itself, and its rehearsal without Kafka."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from streams.errors import UsageError
from streams.replay.imports.conversion import Conversion
from streams.replay.imports.progress import BAD_ROWS_KEPT, BadRow, ImportKey, Part, Progress
from streams.replay.imports.store import ImportStore
from streams.replay.imports.tables import open_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from streams.domain.festivals import Festival
    from streams.engine.clock import Clock
    from streams.replay.imports.files import FileContent
    from streams.replay.imports.mapping import FileMapping
    from streams.replay.imports.tables import Row
    from streams.settings import Settings

PART_ROWS = 5_000
"""Rows of one transaction: about 2 MB of orders, and some tenths of a second of work lost by a kill."""

NEW, RESUMED, DONE_BEFORE, INTERRUPTED, CHECKED = "imported", "resumed", "done before", "interrupted", "checked"


@dataclass(frozen=True, slots=True)
class FileImport:
    """What is to be imported, and how."""

    content: FileContent
    mapping: FileMapping
    festivals: Collection[Festival]
    is_again: bool = False

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
    other_mappings: int = 0
    """With how many other mappings orders of the same file were sent before."""

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        told = {"file": self.file, "sha256": self.key.sha256, "mapping": self.key.mapping, "state": self.state}
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
    store = await ImportStore.open(settings, wanted.key, partitions)
    try:
        progress = store.progress or Progress(file=wanted.content.path.name)
        state = NEW
        if progress.is_done and wanted.is_again:
            progress = Progress(progress.run + 1, file=wanted.content.path.name)
        elif progress.is_done:
            state = DONE_BEFORE
        elif store.progress is not None:
            state = RESUMED
        if not progress.is_done:
            listener.begins(expected_rows(wanted), progress.rows, wanted)
            progress = await _send(wanted, store, progress, clock, listener)
            state = state if progress.is_done else INTERRUPTED
        others = sum(1 for other in store.others.values() if other.sent)
        return Imported(
            str(wanted.content.path), wanted.key, state, progress, store.bad_rows(progress.run), other_mappings=others
        )
    finally:
        await store.close()


async def _send(
    wanted: FileImport, store: ImportStore, progress: Progress, clock: Clock, listener: Listener
) -> Progress:
    conversion = conversion_of(wanted, progress.run)
    rows = open_table(wanted.content.path, wanted.mapping).rows(conversion.columns, progress.rows)
    while not progress.is_done and not listener.is_stopped():
        taken = list(islice(rows, PART_ROWS))
        # The last part may be a full one: then an empty one follows, which only says that the file has ended.
        part = conversion.convert(taken, clock.now_ms()) if taken else Part(progress.rows, [], [], {}, {})
        wanted.content.refuse_change()
        progress = replace(progress.after(part), is_done=len(taken) < PART_ROWS)
        await store.commit(part, progress)
        for bad in part.bad:
            listener.finds_bad(bad)
        listener.advances(len(taken))
    return progress


def check_file(wanted: FileImport, clock: Clock, listener: Listener) -> Imported:
    """Do everything but send: needs no Kafka. Raises `UsageError`."""
    conversion = conversion_of(wanted, 1)
    progress = Progress(file=wanted.content.path.name)
    bad_rows: list[BadRow] = []
    listener.begins(expected_rows(wanted), 0, wanted)
    rows: Iterator[Row] = open_table(wanted.content.path, wanted.mapping).rows(conversion.columns, 0)
    while taken := list(islice(rows, PART_ROWS)):
        part = conversion.convert(taken, clock.now_ms())
        progress = progress.after(part)
        bad_rows += part.bad[: max(BAD_ROWS_KEPT - len(bad_rows), 0)]
        for bad in part.bad:
            listener.finds_bad(bad)
        listener.advances(len(taken))
    wanted.content.refuse_change()
    return Imported(str(wanted.content.path), wanted.key, CHECKED, progress, bad_rows)


def conversion_of(wanted: FileImport, run: int) -> Conversion:
    """Return the conversion of a file's rows in one run. Raises `UsageError` for a file that cannot be read."""
    header = open_table(wanted.content.path, wanted.mapping).header
    try:
        return Conversion(wanted.mapping, header, f"{wanted.key.short}-{run}", wanted.festivals)
    except UsageError as error:
        raise UsageError(f"{wanted.content.path}: {error}") from error


def expected_rows(wanted: FileImport) -> int | None:
    """Return about how many rows the file has; None where it is packed."""
    table = open_table(wanted.content.path, wanted.mapping)
    counted = getattr(table, "count", None)
    if counted is not None:
        return int(counted)
    if wanted.content.path.suffix.lower() == ".gz":
        return None
    return max(
        wanted.content.lines - (1 if table.header is not None and wanted.mapping.layout.header is None else 0), 0
    )

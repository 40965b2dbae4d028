"""Everything that is wrong with a TOML file of a user, told at once: each with its line and what would be right."""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Any

from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Path = tuple[str | int, ...]
"""Where a value stands: names of tables and keys, and places in arrays of tables from 0 on."""


class Complaints:
    """Collects what is wrong with one TOML document."""

    def __init__(self, source: str, text: str) -> None:
        """`source` names the document to the reader. Raises `UsageError` where it is not TOML at all."""
        self._source = source
        self._found: list[tuple[int, str]] = []
        try:
            self.document: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{source}: not TOML: {error}") from error
        self._lines = dict(_lines_of(text))

    def add(self, path: Path, sentence: str) -> None:
        """Remember that the value at `path` is wrong."""
        joint = " " if sentence.startswith("is ") else ": "
        self._found.append((self._line(path), f"`{dotted(path)}`{joint}{sentence}" if path else sentence))

    def read(self, path: Path, read: Callable[[Any], Any], value: Any) -> Any:  # noqa: ANN401 - TOML values
        """Return `read(value)`, or None after adding what is wrong: a `ValueError` or `TypeError` of `read`."""
        try:
            return read(value)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            self.add(path, str(error.args[0]) if error.args else str(error))
            return None

    def only(self, path: Path, table: Mapping[str, Any], known: Collection[str], more: Mapping[str, str]) -> None:
        """Add the keys of a table that are not `known`; `more` says of some what to write instead.

        Raises `TypeError` for what is no table.
        """
        if not isinstance(table, dict):
            raise TypeError(f"{table!r} is no table")
        for name in table:
            if name in known:
                continue
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = more.get(name) or (f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(known))}")
            self.add((*path, name), f"is not known here: {hint}")

    def __len__(self) -> int:
        """Return how much was added."""
        return len(self._found)

    def refuse(self) -> None:
        """Raise `UsageError` with everything that was added, by line."""
        if self._found:
            told = [
                f"{self._source}: line {line}: {text}" if line else f"{self._source}: {text}"
                for line, text in sorted(self._found, key=lambda found: found[0])
            ]
            raise UsageError("\n".join(told))

    def _line(self, path: Path) -> int:
        """Return the line of a value or of the nearest thing around it, 0 for the whole document."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)


def dotted(path: Path) -> str:
    """Return a path as one reads it: `fields.ts.format`, `only[0].is`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _lines_of(text: str) -> Iterator[tuple[Path, int]]:
    """Yield where each value of a TOML document begins.

    `tomllib` tells no lines. But a statement (a table's header, or a key with its value) is TOML by itself, so lines
    are taken together until they are.
    """
    table: Path = ()
    counts: dict[Path, int] = {}
    taken: list[str] = []
    begins = 1
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        begins = begins if taken else number
        taken.append(line)
        try:
            found = tomllib.loads("\n".join(taken))
        except tomllib.TOMLDecodeError:
            continue
        is_header = taken[0].lstrip().startswith("[")
        taken = []
        if is_header:
            table = _header(found, counts)
            yield table, begins
            if table[-1] == 0:
                yield table[:-1], begins  # the array, where its first table begins
        else:
            yield from ((path, begins) for path in _paths(found, table))


def _header(found: Mapping[str, Any], counts: dict[Path, int]) -> Path:
    """Return the path of the table that a header begins; `counts` are of the arrays of tables before it."""
    path: Path = ()
    value: Any = found
    while value:
        if isinstance(value, list):
            counts[path] = counts.get(path, -1) + 1
            path, value = (*path, counts[path]), value[0]
            continue
        ((name, value),) = value.items()
        path = (*path, name)
        if path in counts and not isinstance(value, list):
            path = (*path, counts[path])  # a table of the last element
    return path


def _paths(value: Any, path: Path) -> Iterator[Path]:  # noqa: ANN401 - TOML values
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield (*path, name)
        yield from _paths(inner, (*path, name))

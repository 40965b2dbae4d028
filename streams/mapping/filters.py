"""Which rows or records a mapping takes: `[[only]]`, each of which must hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from streams.mapping.amounts import as_number
from streams.mapping.problems import BadValueError
from streams.mapping.values import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from streams.complaints import Complaints, Path

_KEYS = {"is", "is_not", "at_least", "below", "is_empty"}
COLUMN = ("column",)


@dataclass(frozen=True, slots=True)
class Filter:
    """Keeps the rows in which a column is as described. A bound that is None bounds nothing."""

    column: str
    """Its name, or what the mapping names in its place."""
    one_of: frozenset[str] | None = None
    none_of: frozenset[str] = frozenset()
    at_least: Decimal | None = None
    below: Decimal | None = None
    is_empty: bool | None = None

    def passes(self, value: object) -> bool:
        """Return whether a row is kept; an empty value is no text and below no bound. Raises `BadValueError`."""
        text = self._told(as_text, value)
        if self.is_empty is not None and (text is None) is not self.is_empty:
            return False
        if (self.one_of is not None and text not in self.one_of) or text in self.none_of:
            return False
        if self.at_least is None and self.below is None:
            return True
        number = self._told(as_number, value)
        if number is None:
            return False
        is_above = self.at_least is None or number >= self.at_least
        return bool(is_above and (self.below is None or number < self.below))

    def _told(self, read: Callable[[Any], Any], value: object) -> Any:  # noqa: ANN401 - what `read` returns
        """Return `read(value)`; what is wrong with it is told with the column's name."""
        try:
            return read(value)
        except BadValueError as error:
            raise BadValueError(error.reason, f"{self.column}: {error.detail}") from None


def read_filters(
    complaints: Complaints,
    value: Any,  # noqa: ANN401 - a TOML value
    path: Path = ("only",),
    ways: Sequence[str] = COLUMN,
) -> tuple[Filter, ...]:
    """Return the filters at `path`; what is wrong is added to the complaints.

    Each says what it looks at by one of `ways`.
    """
    if not isinstance(value, list) or any(not isinstance(table, dict) for table in value):
        complaints.add(path, f"write it as [[{'source.only' if path[:1] == ('source',) else 'only'}]], each time anew")
        return ()
    found = [
        complaints.read((*path, n), partial(_filter, complaints, (*path, n), ways), table)
        for n, table in enumerate(value)
    ]
    return tuple(f for f in found if f is not None)


def _filter(complaints: Complaints, path: Path, ways: Sequence[str], table: Mapping[str, Any]) -> Filter:
    complaints.only(path, table, {*_KEYS, *ways}, {})
    named = [way for way in ways if way in table]
    if len(named) != 1 or not isinstance(table[named[0]], str) or not _KEYS & table.keys():
        one = " or ".join(f"`{way}`" for way in ways)
        raise ValueError(f"give a {one}, and what it must be: is, is_not, at_least, below or is_empty")
    is_empty = table.get("is_empty")
    if is_empty is not None and not isinstance(is_empty, bool):
        raise TypeError("is_empty is true or false")
    return Filter(
        table[named[0]],
        _texts(table["is"]) if "is" in table else None,
        _texts(table.get("is_not", [])),
        _bound(table.get("at_least")),
        _bound(table.get("below")),
        is_empty,
    )


def _bound(value: Any) -> Decimal | None:  # noqa: ANN401 - a TOML value
    if value is None:
        return None
    try:
        found = None if isinstance(value, float) else as_number(value)
    except BadValueError:
        found = None
    if found is None:
        raise TypeError("at_least and below are integers, or decimals as text")
    return found


def _texts(value: Any) -> frozenset[str]:  # noqa: ANN401 - a TOML value
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or any(not isinstance(text, str) for text in found):
        raise TypeError("is and is_not are texts, or lists of texts")
    return frozenset(found)

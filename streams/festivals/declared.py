"""The file of a cluster's declarations: dimensions and amounts of a shop's own, as TOML.

Read by everything that counts, shows, audits, replays, imports or bridges. `streams.domain.declared` says what follows
from a declaration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from streams.complaints import Complaints, Path
from streams.domain.declared import (
    AMOUNT_FACTS,
    AMOUNTS_LIMIT,
    DIMENSIONS_LIMIT,
    MINOR,
    Amount,
    Declared,
    taken,
    taken_amount,
)
from streams.domain.dimensions import (
    DIMENSION_KEYS,
    FIELD_NAME,
    Dimension,
    field_name,
    names_of,
    one_of,
    read_dimension,
)
from streams.errors import UsageError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Collection, Iterator, Mapping

_AMOUNT_KEYS = ("fact", "field", "names")
_ELSEWHERE = {
    "label": "an amount is a metric by itself",
    "window": "an amount is kept wherever its fact's money is",
    "name": "write names = { en = … }",
    "topic": "did you mean `fact`?",
}
T = TypeVar("T")


def load_declared(path: pathlib.Path | None) -> Declared:
    """Return what a file declares, nothing without one; raises `UsageError` with all that is wrong, by line."""
    if path is None:
        return Declared()
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8, which TOML is written in") from error
    return parse_declared(text, str(path))


def parse_declared(text: str, source: str) -> Declared:
    """Return what a TOML text declares; `source` names it in the `UsageError` that bad input raises."""
    complaints = Complaints(source, text)
    complaints.only((), complaints.document, ("dimension", "amount"), {})
    dimensions = [d for p, t in _tables(complaints, "dimension") if (d := _dimension(complaints, p, t)) is not None]
    amounts = [a for p, t in _tables(complaints, "amount") if (a := _amount(complaints, p, t)) is not None]
    _check_names(complaints, dimensions, amounts)
    complaints.refuse()
    return Declared(tuple(one for _, one in dimensions), tuple(one for _, one in amounts))


def _tables(complaints: Complaints, name: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the tables of one kind; what is none is a complaint."""
    tables = complaints.document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        complaints.add((name,), f"write it as [[{name}]], each time anew")
        return
    for number, table in enumerate(tables):
        yield (name, number), table


class _Table:
    """Reads one table key by key; what is wrong is a complaint."""

    def __init__(self, complaints: Complaints, path: Path, table: Mapping[str, Any], known: Collection[str]) -> None:
        self._complaints, self._path, self._table = complaints, path, table
        complaints.only(path, table, known, {name: said for name, said in _ELSEWHERE.items() if name not in known})

    def need(self, name: str, read: Callable[[object], T], /) -> T | None:
        """Return a key that must be there."""
        if name not in self._table:
            self._complaints.add(self._path, f"`{name}` is missing")
            return None
        return self.read(name, read)

    def read(self, name: str, read: Callable[[object], T], default: T | None = None, /) -> T | None:
        """Return a key, or the default where it is not given."""
        if name not in self._table:
            return default
        found: T | None = self._complaints.read((*self._path, name), read, self._table[name])
        return found


def _dimension(complaints: Complaints, path: Path, table: Mapping[str, Any]) -> tuple[Path, Dimension] | None:
    before = len(complaints)
    dimension = read_dimension(_Table(complaints, path, table, DIMENSION_KEYS))
    if dimension is None or len(complaints) > before:
        return None
    if (why := taken(dimension)) is not None:
        complaints.add((*path, "field"), why)
    return path, dimension


def _amount(complaints: Complaints, path: Path, table: Mapping[str, Any]) -> tuple[Path, Amount] | None:
    before = len(complaints)
    reader = _Table(complaints, path, table, _AMOUNT_KEYS)
    fact = reader.need("fact", lambda value: one_of(value, tuple(AMOUNT_FACTS)))
    field = reader.need("field", _minor_field)
    names = reader.read("names", names_of) or ()
    if len(complaints) > before:
        return None
    assert fact is not None
    assert field is not None
    amount = Amount(fact, field, names)
    if (why := taken_amount(amount)) is not None:
        complaints.add((*path, "field"), why)
    return path, amount


def _check_names(
    complaints: Complaints, dimensions: Collection[tuple[Path, Dimension]], amounts: Collection[tuple[Path, Amount]]
) -> None:
    """Complain of what is declared twice, and of too much."""
    seen: set[tuple[str, str]] = set()
    fields: dict[str, Path] = {}
    for path, dimension in dimensions:
        if (dimension.fact, dimension.field) in seen:
            complaints.add((*path, "field"), f"{dimension.field} of {dimension.fact} is declared twice")
        seen.add((dimension.fact, dimension.field))
        fields.setdefault(dimension.field, path)
    for path in list(fields.values())[DIMENSIONS_LIMIT:]:
        complaints.add(path, f"at most {DIMENSIONS_LIMIT} dimensions can be declared, {len(fields)} are")
    names: set[str] = set()
    for path, amount in amounts:
        if amount.name in names:
            complaints.add((*path, "field"), f"{amount.name} is declared twice: an amount is of one fact")
        if {amount.name, amount.field} & fields.keys():
            complaints.add((*path, "field"), f"{amount.name} is declared as a dimension: take another name")
        names.add(amount.name)
    for path, _ in list(amounts)[AMOUNTS_LIMIT:]:
        complaints.add(path, f"at most {AMOUNTS_LIMIT} amounts can be declared, {len(amounts)} are")


def _minor_field(value: object) -> str:
    field = field_name(value)
    if not field.endswith(MINOR) or not FIELD_NAME.fullmatch(field.removesuffix(MINOR)):
        raise ValueError(f"{field!r} is no amount's name: it ends in {MINOR}, as shipping{MINOR} does")
    return field

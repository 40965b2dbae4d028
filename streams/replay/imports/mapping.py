"""The mapping of a file: which column becomes which field of an order. A small TOML document, read whole, strictly.

`docs/import.md` explains it to users. Two mappings that differ in comments or layout only are the same import.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import string
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.domain.facts import FACTS, Kind
from streams.errors import UsageError
from streams.replay.imports.values import (
    EPOCH,
    MILLISECOND,
    Amounts,
    BadValueError,
    Times,
    as_number,
    is_time_format,
    parse_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from streams.domain.festivals import Festival

FORMATS = ("csv", "ndjson", "parquet")
_ORDER = FACTS["orders"]
_KINDS = {f.name: f.kind for f in _ORDER.fields}
TEXTS = ("type", *(name for name, kind in _KINDS.items() if kind in (Kind.TEXT, Kind.CURRENCY)))
TIMES = tuple(name for name, kind in _KINDS.items() if kind is Kind.TIME)
MINOR = tuple(name for name, kind in _KINDS.items() if kind is Kind.MONEY)
MAJOR = tuple(name.removesuffix("_minor") for name in MINOR)
DERIVED = ("type", "event_id", "order_id")
"""Fields that are made up where the mapping does not name them: an order placed, with the row's own identity."""
REQUIRED = tuple(f.name for f in _ORDER.fields if f.is_required and f.name not in DERIVED)

_TEXT_KEYS = {"column", "template", "constant", "default", "values"}
_TIME_KEYS = {"column", "template", "constant", "format"}
_MONEY_KEYS = {"column", "columns", "constant", "default", "decimal", "thousands", "floating"}
_FILTER_KEYS = {"column", "is", "is_not", "at_least", "below", "is_empty"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where one field comes from. Of `columns`, `template` and `constant` exactly one is given."""

    field: str
    """As the mapping names it: `amount` is in major units, `amount_minor` in minor ones."""
    columns: tuple[str, ...] = ()
    """One; more than one are added up (money)."""
    template: tuple[tuple[str, str | None], ...] = ()
    """Pairs of a literal and the column after it, None after the last."""
    constant: str | int | None = None
    """Times in milliseconds, money as the field's unit is."""
    default: str | int | None = None
    values: Mapping[str, str] | None = None
    amounts: Amounts | None = None
    times: Times | None = None

    @property
    def all_columns(self) -> set[str]:
        """Return the columns it reads."""
        return {*self.columns, *(column for _, column in self.template if column is not None)}


@dataclass(frozen=True, slots=True)
class Filter:
    """Keeps the rows in which a column is as described; of the bounds, None is no bound."""

    column: str
    one_of: frozenset[str] | None = None
    none_of: frozenset[str] = frozenset()
    at_least: Decimal | None = None
    below: Decimal | None = None
    is_empty: bool | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """Moves the span [from_ms, to_ms) onto [start_ms, end_ms), in proportion, in integers."""

    from_ms: int
    to_ms: int
    start_ms: int
    end_ms: int

    def place(self, time_ms: int) -> int | None:
        """Return where an instant of the span lies on the festival's day, None outside the span."""
        if not self.from_ms <= time_ms < self.to_ms:
            return None
        return self.start_ms + (time_ms - self.from_ms) * (self.end_ms - self.start_ms) // (self.to_ms - self.from_ms)


@dataclass(frozen=True, slots=True)
class TextLayout:
    """How a CSV or NDJSON file is written."""

    delimiter: str | None = None
    """None: a tab in files named .tsv, else a comma."""
    quote: str = '"'
    encoding: str = "utf-8-sig"
    header: tuple[str, ...] | None = None
    """Names of the columns of a CSV file without a header line."""


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A whole mapping. Without `sources` (no mapping file), columns are called as the fields are."""

    digest: str
    format: str | None = None
    layout: TextLayout = field(default_factory=TextLayout)
    sources: tuple[Source, ...] = ()
    filters: tuple[Filter, ...] = ()
    fit: Fit | None = None


def by_name(names: frozenset[str] | None) -> tuple[Source, ...]:
    """Return the sources of a file whose columns `names` are called as the fields are; None: not known."""
    fields = [name for name in (*TEXTS, *TIMES, *MINOR) if names is None or name in names]
    return tuple(
        Source(
            name,
            columns=(name,),
            amounts=Amounts(is_major=False) if name in MINOR else None,
            times=Times() if name in TIMES else None,
        )
        for name in fields
    )


def parse_mapping(text: str, source: str, festivals: Mapping[str, Festival]) -> FileMapping:
    """Return the mapping in a TOML text; `source` names it. Raises `UsageError` with everything that is wrong."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: not TOML: {error}") from error
    reader = _Reader(document)
    mapping = reader.read(festivals)
    if reader.problems:
        raise UsageError("\n".join(f"{source}: {problem}" for problem in reader.problems))
    return mapping


def digest_of(document: Mapping[str, Any], fit: Fit | None) -> str:
    """Return what tells two mappings apart: the SHA-256 of their content, whatever its layout."""
    content = {"mapping": document, "onto": [fit.start_ms, fit.end_ms] if fit else None}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


NO_MAPPING = FileMapping(digest_of({}, None))


class _Reader:
    """Reads one document part by part and collects what is wrong."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.problems: list[str] = []
        self._document = document
        self._zone: ZoneInfo | None = None

    def read(self, festivals: Mapping[str, Festival]) -> FileMapping:
        self._no_others("", self._document, {"format", "timezone", "csv", "fields", "only", "fit"})
        if "timezone" in self._document:
            self._zone = self._try("timezone", _zone, self._document["timezone"])
        found = self._document.get("format")
        if found is not None and found not in FORMATS:
            self.problems.append(f"`format`: {found!r} is none of {', '.join(FORMATS)}")
        layout = self._try("csv", self._layout, self._document.get("csv", {})) or TextLayout()
        sources = self._sources(self._document.get("fields"))
        only = self._document.get("only", [])
        if not isinstance(only, list):
            self.problems.append("`only`: write it as [[only]], once for each column")
            only = []
        filters = [self._try(f"only[{n}]", self._filter, f) for n, f in enumerate(only)]
        fit = None
        if "fit" in self._document:
            fit = self._try("fit", lambda table: self._fit(table, festivals), self._document["fit"])
        kept = tuple(f for f in filters if f is not None)
        return FileMapping(digest_of(self._document, fit), found, layout, sources, kept, fit)

    def _try(self, where: str, read: Callable[[Any], Any], value: Any) -> Any:  # noqa: ANN401 - TOML values
        try:
            return read(value)
        except (ValueError, TypeError, KeyError, AttributeError, LookupError, BadValueError) as error:
            self.problems.append(f"`{where}`: {error.args[0] if error.args else error}")
            return None

    def _no_others(self, where: str, table: Mapping[str, Any], known: set[str]) -> None:
        for name in sorted(set(table) - known):
            self.problems.append(f"`{where}{name}` is not known here; known are {', '.join(sorted(known))}")

    def _layout(self, table: Mapping[str, Any]) -> TextLayout:
        self._no_others("csv.", table, {"delimiter", "quote", "encoding", "columns"})
        for name in ("delimiter", "quote"):
            if name in table and (not isinstance(table[name], str) or len(table[name]) != 1):
                raise ValueError(f"{name} is not one character")
        encoding = table.get("encoding", "utf-8-sig")
        "".encode(encoding)
        header = table.get("columns")
        if header is not None and (not isinstance(header, list) or any(not isinstance(name, str) for name in header)):
            raise TypeError("columns is a list of texts")
        return TextLayout(
            table.get("delimiter"), table.get("quote", '"'), encoding, tuple(header) if header is not None else None
        )

    def _sources(self, table: Any) -> tuple[Source, ...]:  # noqa: ANN401 - a TOML value
        if not isinstance(table, dict) or not table:
            self.problems.append("`fields` is missing: the table that says which column becomes which field")
            return ()
        self._no_others("fields.", table, {*TEXTS, *TIMES, *MINOR, *MAJOR})
        for name in MAJOR:
            if name in table and f"{name}_minor" in table:
                self.problems.append(f"`fields`: {name} (major units) and {name}_minor exclude each other")
        missing = [n for n in REQUIRED if n not in table and n.removesuffix("_minor") not in table]
        if missing:
            names = ", ".join(f"{n.removesuffix('_minor')} or {n}" if n in MINOR else n for n in missing)
            self.problems.append(f"`fields`: missing {names}")
        known = (*TEXTS, *TIMES, *MINOR, *MAJOR)
        read = [self._try(f"fields.{n}", self._source_reader(n), v) for n, v in table.items() if n in known]
        return tuple(source for source in read if source is not None)

    def _source_reader(self, name: str) -> Callable[[Any], Source]:
        read = self._text if name in TEXTS else self._time if name in TIMES else self._money
        keys = _TEXT_KEYS if name in TEXTS else _TIME_KEYS if name in TIMES else _MONEY_KEYS

        def source(value: Any) -> Source:  # noqa: ANN401 - a TOML value
            table = {"column": value} if isinstance(value, str) else value
            if not isinstance(table, dict):
                raise TypeError("neither the name of a column nor a table")
            self._no_others(f"fields.{name}.", table, keys)
            ways = {"column", "columns", "template", "constant"} & set(table) & keys
            if len(ways) != 1:
                raise ValueError(f"give one of {', '.join(sorted({'column', 'template', 'constant'} & keys))}")
            return read(name, table)

        return source

    @staticmethod
    def _text(name: str, table: Mapping[str, Any]) -> Source:
        values = table.get("values")
        texts = [table.get("constant", ""), table.get("default", ""), *(values.values() if values else ())]
        if any(not isinstance(text, str) for text in texts):
            raise TypeError("constant, default and values are texts in quotation marks")
        return Source(name, *_columns(table), table.get("constant"), table.get("default"), values)

    def _time(self, name: str, table: Mapping[str, Any]) -> Source:
        formats = table.get("format", [])
        formats = [formats] if isinstance(formats, str) else formats
        for text in formats:
            if not isinstance(text, str) or not is_time_format(text):
                raise ValueError(f"{text!r} is neither epoch_s, epoch_ms, epoch_us nor a format of strptime")
        constant = self._instant(table["constant"]) if "constant" in table else None
        return Source(name, *_columns(table), constant, times=Times(formats, self._zone))

    @staticmethod
    def _money(name: str, table: Mapping[str, Any]) -> Source:
        is_major = name in MAJOR
        decimal, thousands = table.get("decimal", "."), table.get("thousands", "")
        if decimal not in {".", ","} or thousands == decimal or not isinstance(thousands, str) or len(thousands) > 1:
            raise ValueError("decimal is . or , and thousands another character")
        amounts = Amounts(
            is_major=is_major, decimal=decimal, thousands=thousands, is_floating=bool(table.get("floating", False))
        )
        for key in ("constant", "default"):
            if key in table and not isinstance(table[key], str if is_major else int):
                raise TypeError(
                    f"{key} is {'a decimal as text, such as `' + '9.90' + '`' if is_major else 'an integer'}"
                )
            if key in table and is_major:
                parse_number(table[key])
        columns, template = _columns(table)
        return Source(name, columns, template, table.get("constant"), table.get("default"), amounts=amounts)

    def _filter(self, table: Mapping[str, Any]) -> Filter:
        self._no_others("only.", table, _FILTER_KEYS)
        if not isinstance(table.get("column"), str) or len(table) == 1:
            raise ValueError("give a `column`, and what it must be: is, is_not, at_least, below or is_empty")
        bounds = {name: as_number(table[name]) for name in ("at_least", "below") if name in table}
        if any(isinstance(table.get(name), float) for name in bounds):
            raise TypeError("at_least and below are integers, or decimals as text")
        is_empty = table.get("is_empty")
        if is_empty is not None and not isinstance(is_empty, bool):
            raise TypeError("is_empty is true or false")
        return Filter(
            table["column"],
            _texts(table["is"]) if "is" in table else None,
            _texts(table.get("is_not", [])),
            bounds.get("at_least"),
            bounds.get("below"),
            is_empty,
        )

    def _fit(self, table: Mapping[str, Any], festivals: Mapping[str, Festival]) -> Fit:
        self._no_others("fit.", table, {"from", "to", "festival"})
        festival = festivals.get(table["festival"])
        if festival is None:
            raise ValueError(f"festival {table['festival']!r} is none of {', '.join(sorted(festivals))}")
        if "orders" not in festival.facts:
            raise ValueError(f"festival {festival.id} does not count orders")
        fit = Fit(self._instant(table["from"]), self._instant(table["to"]), festival.start_ms, festival.end_ms)
        if fit.from_ms >= fit.to_ms:
            raise ValueError("`from` is not before `to`")
        return fit

    def _instant(self, time: Any) -> int:  # noqa: ANN401 - a TOML value
        if isinstance(time, dt.date) and not isinstance(time, dt.datetime):
            time = dt.datetime.combine(time, dt.time())
        if not isinstance(time, dt.datetime):
            raise TypeError(f"{time!r} is not a date and time of TOML, such as 2017-01-01T00:00:00")
        if time.tzinfo is None:
            if self._zone is None:
                raise ValueError(f"{time.isoformat()} needs an offset, or the mapping a `timezone`")
            time = time.replace(tzinfo=self._zone)
        instant_ms: int = (time - EPOCH) // MILLISECOND
        return instant_ms


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone, such as Asia/Shanghai") from None


def _columns(table: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[tuple[str, str | None], ...]]:
    """Return the columns and the template of a source."""
    columns = table.get("columns", [table["column"]] if "column" in table else [])
    if not isinstance(columns, list) or any(not isinstance(column, str) for column in columns):
        raise TypeError("columns are named by texts")
    parts = list(string.Formatter().parse(table.get("template", "")))
    template = tuple((text, name) for text, name, _, _ in parts)
    if any(name == "" or form or conversion for _, name, form, conversion in parts):
        raise ValueError("a template names columns in braces: {invoice}-{line}")
    return tuple(columns), template


def _texts(value: Any) -> frozenset[str]:  # noqa: ANN401 - a TOML value
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or any(not isinstance(text, str) for text in found):
        raise TypeError("is and is_not are texts, or lists of texts")
    return frozenset(found)

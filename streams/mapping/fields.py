"""The rules of fields: which value becomes which field of an event, and how. Read strictly, out of TOML."""

from __future__ import annotations

import datetime as dt
import string
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from streams.domain.currencies import EXPONENTS
from streams.domain.facts import FACTS, Fact, Kind
from streams.mapping.amounts import Amounts, parse_number
from streams.mapping.problems import BadValueError
from streams.mapping.times import EPOCH, MILLISECOND, UNITS, Times, is_time_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.complaints import Complaints, Path

IDS = frozenset({"event_id", "order_id", "payment_id"})
"""Fields that a row can be told by: made up where the mapping does not name them, and never out of a rounded number."""
FIRST_TYPES = {"orders": "order_placed", "payments": "payment_captured"}
"""The topics that files are imported to, and the type of their rows where the mapping does not name it."""
DIGITS_LIMIT = 9

_TEXT_KEYS = {"column", "template", "constant", "default", "values", "upper", "hash"}
_CODE_KEYS = _TEXT_KEYS - {"hash"}
"""A type and a currency are words that the counter must read."""
_TIME_KEYS = {"column", "template", "constant", "default", "format", "unit"}
_MONEY_KEYS = {"column", "columns", "constant", "default", "decimal", "thousands", "floating"}
_ELSEWHERE = {
    "path": "of a file it is called `column`",
    "header": "a file's rows have no headers: name a `column`",
    "record": "a file's rows are no records: name a `column`",
    "hash": "it is for texts that tell a person, such as buyer",
    "digits": "it is for amounts in minor units, such as amount_minor",
}
_EPOCHS = {"epoch_s": "s", "epoch_ms": "ms", "epoch_us": "us"}


@dataclass(frozen=True, slots=True)
class Fields:
    """What a topic's events may hold, by how a mapping writes it."""

    topic: str
    texts: tuple[str, ...]
    times: tuple[str, ...]
    minor: tuple[str, ...]
    required: tuple[str, ...]
    """What a mapping must name: required by the topic, and not made up."""
    currencies: Mapping[str, str] = field(default_factory=dict)
    """Amounts that are in another currency than `currency`, each with the field that names it."""

    @property
    def major(self) -> tuple[str, ...]:
        """Return the names under which amounts are in major units."""
        return tuple(name.removesuffix("_minor") for name in self.minor)

    @property
    def names(self) -> tuple[str, ...]:
        """Return all that a mapping may name."""
        return (*self.texts, *self.times, *self.minor, *self.major)


@cache
def fields_of(fact: Fact) -> Fields:
    """Return the fields of a topic's events."""
    kinds = {f.name: f.kind for f in fact.fields}
    return Fields(
        fact.topic,
        ("type", *(name for name, kind in kinds.items() if kind in {Kind.TEXT, Kind.CURRENCY})),
        tuple(name for name, kind in kinds.items() if kind is Kind.TIME),
        tuple(name for name, kind in kinds.items() if kind is Kind.MONEY),
        tuple(f.name for f in fact.fields if f.is_required and f.name not in IDS),
        {name: needed for name, needed in fact.needs if kinds[name] is Kind.MONEY and kinds[needed] is Kind.CURRENCY},
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Where one field comes from: exactly one of `columns`, `template` and `constant` is given."""

    field: str
    """As the mapping names it: `amount` is in major units, `amount_minor` in minor ones."""
    columns: tuple[str, ...] = ()
    """The first that is not empty gives the value, or all of them their sum."""
    is_sum: bool = False
    template: tuple[tuple[str, str | None], ...] = ()
    """Pairs of a literal and the column after it, None after the last."""
    constant: str | int | None = None
    """Times in milliseconds, money as the field's unit is."""
    default: str | int | None = None
    values: Mapping[str, str] | None = None
    is_upper: bool = False
    is_hashed: bool = False
    """Whether the text is replaced by its keyed hash."""
    leaves_others_out: bool = False
    """Whether a row with a text that is not in `values` is left out, and not bad."""
    amounts: Amounts | None = None
    times: Times | None = None

    @property
    def all_columns(self) -> set[str]:
        """Return the columns it reads."""
        return {*self.columns, *(column for _, column in self.template if column is not None)}


def by_name(fields: Fields, names: frozenset[str] | None) -> tuple[Source, ...]:
    """Return the sources of a file whose columns `names` are called as the fields are; None: not known."""
    return tuple(
        Source(
            name,
            columns=(name,),
            amounts=Amounts(is_major=False) if name in fields.minor else None,
            times=Times() if name in fields.times else None,
        )
        for name in (*fields.texts, *fields.times, *fields.minor)
        if names is None or name in names
    )


class FieldReader:
    """Reads the table of fields of one document, and collects what is wrong."""

    def __init__(
        self,
        complaints: Complaints,
        fields: Fields,
        zone: dt.tzinfo | None,
        zones: Mapping[str, dt.tzinfo],
    ) -> None:
        """`zone` is that of local times, `zones` are what the names of zones in times mean."""
        self._complaints = complaints
        self._fields = fields
        self._zone = zone
        self._zones = zones

    def read(self, path: Path, table: Any) -> tuple[Source, ...]:  # noqa: ANN401 - a TOML value
        """Return the sources of all fields at `path`."""
        if not isinstance(table, dict) or not table:
            self._complaints.add(path, "is missing: the table that says which column becomes which field")
            return ()
        fields = self._fields
        self._complaints.only(path, table, fields.names, {})
        for name in fields.major:
            if name in table and f"{name}_minor" in table:
                self._complaints.add((*path, name), f"{name} (major units) and {name}_minor exclude each other")
        missing = [n for n in fields.required if n not in table and n.removesuffix("_minor") not in table]
        if missing:
            names = ", ".join(f"{n.removesuffix('_minor')} or {n}" if n in fields.minor else n for n in missing)
            self._complaints.add(path, f"missing {names}")
        found = [self.source((*path, name), name, table[name]) for name in table if name in fields.names]
        return tuple(source for source in found if source is not None)

    def source(self, path: Path, name: str, value: Any) -> Source | None:  # noqa: ANN401 - a TOML value
        """Return the source of one field, None after complaining."""
        source: Source | None = self._complaints.read(path, lambda found: self._source(path, name, found), value)
        return source

    def _source(self, path: Path, name: str, value: Any) -> Source:  # noqa: ANN401 - a TOML value
        table = {"column": value} if isinstance(value, (str, list)) else value
        if not isinstance(table, dict):
            raise TypeError("neither the name of a column nor a table")
        fields = self._fields
        keys, read = _MONEY_KEYS, self._money
        if name in fields.texts:
            codes = {"type", "currency", *fields.currencies.values()}
            keys, read = (_CODE_KEYS if name in codes else _TEXT_KEYS), self._text
            keys = keys | {"others"} if name == "type" else keys
        elif name in fields.times:
            keys, read = _TIME_KEYS, self._time
        elif name in fields.minor:
            keys = _MONEY_KEYS | {"digits"}
        self._complaints.only(path, table, keys, _ELSEWHERE)
        ways = {"column", "columns", "template", "constant"} & set(table) & keys
        if len(ways) != 1:
            raise ValueError(f"give one of {', '.join(sorted({'column', 'template', 'constant'} & keys))}")
        return read(name, table)

    def _text(self, name: str, table: Mapping[str, Any]) -> Source:
        values = table.get("values")
        if values is not None and not isinstance(values, dict):
            raise TypeError('values is a table of texts: values = { China = "CN" }')
        texts = [table.get("constant", ""), table.get("default", ""), *(values.values() if values else ())]
        if any(not isinstance(text, str) for text in texts):
            raise TypeError("constant, default and values are texts in quotation marks")
        upper, others = table.get("upper", False), table.get("others", "reject")
        is_hashed = table.get("hash", False)
        for key, flag in (("upper", upper), ("hash", is_hashed)):
            if not isinstance(flag, bool):
                raise TypeError(f"{key} is true or false")
        if others not in ("ignore", "reject"):
            raise ValueError('others is "ignore" (such rows are left out) or "reject" (they are bad)')
        if name == "type":
            self._refuse_types([*(values or {}).values(), *texts[:2]] if values is not None else texts[:2])
        return Source(
            name,
            *_columns(table),
            table.get("constant"),
            table.get("default"),
            values,
            is_upper=upper,
            is_hashed=is_hashed,
            leaves_others_out=others == "ignore",
        )

    def _refuse_types(self, texts: list[str]) -> None:
        """Raise `ValueError` for a type that the topic does not carry."""
        types = FACTS[self._fields.topic].types
        for text in texts:
            if text and text not in types:
                raise ValueError(f"{text!r} is no type of {self._fields.topic}, which carries {', '.join(types)}")

    def _time(self, name: str, table: Mapping[str, Any]) -> Source:
        formats = table.get("format", [])
        formats = formats if isinstance(formats, list) else [formats]
        for text in formats:
            if isinstance(text, str) and text in _EPOCHS:
                raise ValueError(f'instead of format = "{text}" write unit = "{_EPOCHS[text]}"')
            if not isinstance(text, str) or not is_time_format(text):
                raise ValueError(f"{text!r} is not a format of strptime, such as %Y-%m-%d %H:%M:%S")
        unit = table.get("unit")
        if unit is not None and unit not in tuple(UNITS):
            raise ValueError(f"{unit!r} is none of the units {', '.join(UNITS)}")
        constant, default = (
            instant(table[key], self._zone) if key in table else None for key in ("constant", "default")
        )
        return Source(name, *_columns(table), constant, default, times=Times(formats, self._zone, unit, self._zones))

    def _money(self, name: str, table: Mapping[str, Any]) -> Source:
        is_major = name in self._fields.major
        decimal, thousands = table.get("decimal", "."), table.get("thousands", "")
        if decimal not in (".", ",") or thousands == decimal or not isinstance(thousands, str) or len(thousands) > 1:
            raise ValueError("decimal is . or , and thousands another character")
        floating = table.get("floating", False)
        if not isinstance(floating, bool):
            raise TypeError("floating is true or false")
        amounts = Amounts(
            is_major=is_major,
            decimal=decimal,
            thousands=thousands,
            is_floating=floating,
            digits=read_digits(table.get("digits", {})),
        )
        for key in ("constant", "default"):
            if key in table and type(table[key]) is not (str if is_major else int):
                raise TypeError(
                    f"{key} is {'a decimal as text, such as `' + '9.90' + '`' if is_major else 'an integer'}"
                )
            if key in table and is_major:
                _number(table[key], decimal, thousands)
        return Source(name, *_columns(table), table.get("constant"), table.get("default"), amounts=amounts)


def instant(time: Any, zone: dt.tzinfo | None) -> int:  # noqa: ANN401 - a TOML value
    """Return a date or date-time of TOML in milliseconds. Raises `TypeError`, `ValueError`."""
    if isinstance(time, dt.date) and not isinstance(time, dt.datetime):
        time = dt.datetime.combine(time, dt.time())
    if not isinstance(time, dt.datetime):
        raise TypeError(f"{time!r} is not a date and time of TOML, such as 2017-01-01T00:00:00")
    if time.tzinfo is None:
        if zone is None:
            raise ValueError(f"{time.isoformat()} needs an offset, or the mapping a `timezone`")
        time = time.replace(tzinfo=zone)
    instant_ms: int = (time - EPOCH) // MILLISECOND
    return instant_ms


def _number(text: str, decimal: str, thousands: str) -> None:
    try:
        parse_number(text, decimal, thousands)
    except BadValueError as error:
        raise ValueError(error.detail) from None


def read_digits(table: Any) -> Mapping[str, int]:  # noqa: ANN401 - a TOML value
    """Return how many digits minor units have where the file comes from. Raises `TypeError`, `ValueError`."""
    if not isinstance(table, dict) or any(type(d) is not int or not 0 <= d <= DIGITS_LIMIT for d in table.values()):
        raise TypeError(f"digits is a table of numbers from 0 to {DIGITS_LIMIT} by currency: digits = {{ UGX = 2 }}")
    unknown = sorted(set(table) - set(EXPONENTS))
    if unknown:
        raise ValueError(f"digits: {', '.join(unknown)}: no ISO 4217 currency code")
    return table


def _columns(table: Mapping[str, Any]) -> tuple[tuple[str, ...], bool, tuple[tuple[str, str | None], ...]]:
    """Return the columns of a source, whether they are added up, and its template."""
    columns = table.get("columns", table.get("column", []))
    columns = [columns] if isinstance(columns, str) else columns
    if not isinstance(columns, list) or any(not isinstance(column, str) or not column for column in columns):
        raise TypeError("columns are named by texts")
    if {"column", "columns"} & set(table) and not columns:
        raise ValueError("name a column at least")
    if not isinstance(table.get("template", ""), str):
        raise TypeError("a template is a text that names columns in braces: {invoice}-{line}")
    parts = list(string.Formatter().parse(table.get("template", "")))
    template = tuple((text, name) for text, name, _, _ in parts)
    if any(name == "" or form or conversion for _, name, form, conversion in parts):
        raise ValueError("a template names columns in braces: {invoice}-{line}")
    return tuple(columns), "columns" in table, template

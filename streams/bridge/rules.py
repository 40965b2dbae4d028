"""The rules of a map's fields: which value of a record becomes which field of an event, and how. Read strictly."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.bridge.paths import Path, parse_path, parse_template
from streams.domain.currencies import EXPONENTS
from streams.domain.facts import Fact, Kind
from streams.mapping.amounts import parse_number
from streams.mapping.fields import instant, read_digits
from streams.mapping.problems import BadValueError
from streams.mapping.times import UNITS, Times, is_time_format

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from streams.complaints import Complaints
    from streams.complaints import Path as Place

WAYS = ("path", "header", "record", "constant", "template", "sum")
RECORD = ("timestamp", "key", "topic", "partition", "offset")
"""What `record` may name."""
FORMS = ("major", "minor", "units_nanos")
BASE64 = "base64"
SCALE_LIMIT = 30
_READ_KEYS = {"path", "header", "record", "default"}
_KEYS: dict[Kind, set[str]] = {
    Kind.TEXT: {*_READ_KEYS, "constant", "template", "values", "upper", "hash"},
    Kind.TIME: {*_READ_KEYS, "constant", "unit", "format"},
    Kind.MONEY: {*_READ_KEYS, "constant", "sum", "of", "times", "decimal", "scale", "digits", "as"},
    Kind.COUNT: {*_READ_KEYS, "constant"},
    Kind.FLAG: {*_READ_KEYS, "constant", "values"},
}
_SAME: dict[Kind, Kind] = {Kind.CURRENCY: Kind.TEXT, Kind.POINTS: Kind.COUNT}
_HINTS = {
    "column": "of a record it is called `path`",
    "columns": "of a record it is called `path`; what is added up is a `sum` of a list's elements",
    "thousands": "text on a topic has no separators: only `decimal`",
    "floating": "a number that is a float is known for one",
}


class Sum(NamedTuple):
    """What is added up over the elements of a list."""

    over: Path
    of: Path
    times: Path | None
    """How often each counts; None: once."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one field comes from: exactly one of `WAYS` is given."""

    name: str
    """As the map names it: `amount` is in major units, `amount_minor` in minor ones."""
    target: str
    """The event's field."""
    kind: Kind
    currency: str = "currency"
    """The field that names the currency of an amount."""
    types: tuple[str, ...] = ()
    """Event types that have the field; empty: all."""
    paths: tuple[Path, ...] = ()
    """The first that is there gives the value."""
    header: str | None = None
    record: str | None = None
    constant: str | int | bool | None = None
    template: tuple[tuple[str, Path | None], ...] = ()
    sum: Sum | None = None
    default: str | int | bool | None = None
    values: Mapping[str, str] | None = None
    is_upper: bool = False
    is_hashed: bool = False
    unit: str | None = None
    times: Times | None = None
    decimal: str = "."
    scale: int | None = None
    digits: Mapping[str, int] = field(default_factory=dict)
    form: str = "minor"
    """How money is written: one of `FORMS`."""

    @property
    def place(self) -> str:
        """Return where its value comes from, for a sentence."""
        if self.paths:
            return self.paths[0].text
        return self.header or self.record or (self.sum.over.text if self.sum is not None else self.name)

    @property
    def all_paths(self) -> tuple[Path, ...]:
        """Return the paths that begin in a record or in an element of `each`."""
        found = [*self.paths, *(path for _, path in self.template if path is not None)]
        return (*found, self.sum.over) if self.sum is not None else tuple(found)


class Known(NamedTuple):
    """A field that events of a topic may have, under a name that a map may use."""

    target: str
    kind: Kind
    currency: str
    types: tuple[str, ...]
    is_major: bool


@cache
def known_fields(fact: Fact) -> dict[str, Known]:
    """Return what a map may name of a topic's events, `type` aside; money also by its name in major units."""
    kinds = {f.name: f.kind for f in fact.fields}
    currencies = {name: by for name, by in fact.needs if kinds[name] is Kind.MONEY and kinds[by] is Kind.CURRENCY}
    found = {}
    for f in fact.fields:
        currency = currencies.get(f.name, "currency")
        kind = _SAME.get(f.kind, f.kind)
        found[f.name] = Known(f.name, kind, currency, f.types, is_major=False)
        if f.kind is Kind.MONEY:
            found[f.name.removesuffix("_minor")] = Known(f.name, kind, currency, f.types, is_major=True)
    return found


def read_rules(
    complaints: Complaints,
    place: Place,
    table: Any,  # noqa: ANN401 - a TOML value
    fact: Fact,
    zone: dt.tzinfo | None,
) -> tuple[Rule, ...]:
    """Return the rules of the table of fields at `place`; what is wrong is added to the complaints."""
    if not isinstance(table, dict) or not table:
        complaints.add(place, "is missing: the table that says which path becomes which field")
        return ()
    known = known_fields(fact)
    complaints.only(place, table, known, {"type": "the type stands beside `to`: type = { path = … }"})
    given = [known[name].target for name in table if name in known]
    for target in sorted({target for target in given if given.count(target) > 1}):
        major = target.removesuffix("_minor")
        complaints.add((*place, target), f"{major} (major units) and {target} exclude each other")
    required = [f.name for f in fact.fields if f.is_required and f.name != "event_id"]
    if missing := [name for name in required if name not in given]:
        names = (f"{n.removesuffix('_minor')} or {n}" if known[n].kind is Kind.MONEY else n for n in missing)
        complaints.add(place, f"missing {', '.join(names)}")
    reader = _RuleReader(complaints, known, zone)
    found = [
        complaints.read((*place, name), lambda value, name=name: reader.rule((*place, name), name, value), table[name])  # type: ignore[misc]
        for name in table
        if name in known
    ]
    return tuple(rule for rule in found if rule is not None)


class _RuleReader:
    """Reads one rule after another; what it raises becomes a complaint."""

    def __init__(self, complaints: Complaints, known: Mapping[str, Known], zone: dt.tzinfo | None) -> None:
        self._complaints = complaints
        self._known = known
        self._zone = zone

    def rule(self, place: Place, name: str, value: Any) -> Rule:  # noqa: ANN401 - a TOML value
        table = {"path": value} if isinstance(value, (str, list)) else value
        if not isinstance(table, dict):
            raise TypeError("neither a path nor a table")
        known = self._known[name]
        keys = _KEYS[known.kind]
        hints = {**_HINTS, **({"digits": "it is for amounts in minor units"} if known.is_major else {})}
        self._complaints.only(place, table, keys - {"digits"} if known.is_major else keys, hints)
        ways = [way for way in WAYS if way in table and way in keys]
        if len(ways) != 1:
            raise ValueError(f"give one of {', '.join(way for way in WAYS if way in keys)}")
        is_read = ways[0] in ("path", "header", "record")
        extra = sorted(table.keys() & (keys - set(WAYS) - ({"of", "times", "as"} if ways[0] == "sum" else set())))
        if extra and not is_read:
            raise ValueError(f"{', '.join(extra)} is for path, header and record, not for {ways[0]}")
        if not is_read and ways[0] != "sum" and table.keys() & {"of", "times", "as"}:
            raise ValueError("of, times and as go with a sum")
        told: dict[str, Any] = {"name": name, "target": known.target, "kind": known.kind, "types": known.types}
        told |= {"currency": known.currency, **_origin(ways[0], table)}
        match known.kind:
            case Kind.TEXT:
                told |= self._text(known, table)
            case Kind.TIME:
                told |= self._time(table)
            case Kind.MONEY:
                told |= _money(known, table)
            case Kind.COUNT:
                told |= _typed(table, int, "an integer")
            case _:
                told |= {**_typed(table, bool, "true or false"), "values": _values(table)}
        return Rule(**told)

    def _text(self, known: Known, table: Mapping[str, Any]) -> dict[str, Any]:
        told = _typed(table, str, "a text in quotation marks")
        values = _values(table)
        if known.target.endswith("currency"):
            for code in [*told.values(), *(values or {}).values()]:
                if code not in EXPONENTS:
                    raise ValueError(f"{code!r} is no ISO 4217 currency code")
        return {
            **told,
            "values": values,
            "is_upper": read_flag(table, "upper"),
            "is_hashed": read_flag(table, "hash"),
        }

    def _time(self, table: Mapping[str, Any]) -> dict[str, Any]:
        formats = table.get("format", [])
        formats = formats if isinstance(formats, list) else [formats]
        for text in formats:
            if not isinstance(text, str) or not is_time_format(text):
                raise ValueError(f"{text!r} is not a format of strptime, such as %Y-%m-%d %H:%M:%S")
        unit = table.get("unit")
        if unit is not None and unit not in tuple(UNITS):
            raise ValueError(f"{unit!r} is none of the units {', '.join(UNITS)}")
        fixed = {key: instant(table[key], self._zone) for key in ("constant", "default") if key in table}
        return {**fixed, "unit": unit, "times": Times(formats, self._zone, unit)}


def _origin(way: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a rule's way of getting its value says; `constant` is read by kind."""
    value = table[way]
    match way:
        case "path":
            return {"paths": read_paths(value)}
        case "header":
            return {"header": read_text(value, "header", "the exact name of a header")}
        case "record":
            if value not in RECORD:
                raise ValueError(f"record is one of {', '.join(RECORD)}")
            return {"record": value}
        case "template":
            return {"template": parse_template(value)}
        case "sum":
            return {"sum": _sum(table)}
    return {}


def _sum(table: Mapping[str, Any]) -> Sum:
    over = parse_path(table["sum"], may_be_all=True)
    if "of" not in table:
        raise ValueError("a sum needs `of`, the path of the amount in each element")
    of, times = parse_path(table["of"]), parse_path(table["times"]) if "times" in table else None
    for path in (of, times):
        if path is not None and path.is_in_element:
            raise ValueError(f"{path.text!r}: of and times begin in the element: leave [] out")
    return Sum(over, of, times)


def _money(known: Known, table: Mapping[str, Any]) -> dict[str, Any]:
    decimal, scale = table.get("decimal", "."), table.get("scale")
    if decimal not in (".", ",", BASE64):
        raise ValueError('decimal is ".", "," or "base64"')
    if scale is not None and (decimal != BASE64 or type(scale) is not int or not 0 <= scale <= SCALE_LIMIT):
        raise ValueError(f'scale is a number from 0 to {SCALE_LIMIT}, and goes with decimal = "base64"')
    plain = "major" if known.is_major else "minor"
    form = table.get("as", plain)
    if form not in FORMS or ("sum" not in table and form not in (plain, "units_nanos")):
        forms = FORMS if "sum" in table else ("units_nanos",)
        raise ValueError(f"as is one of {', '.join(forms)}")
    if form == "units_nanos" and (table.keys() & {"decimal", "digits"} or not known.is_major):
        raise ValueError("units_nanos is in major units and exact: name the field without _minor, decimal and digits")
    told = _typed(table, str if known.is_major else int, "a decimal as text" if known.is_major else "an integer")
    for text in told.values():
        if known.is_major:
            try:
                parse_number(text)
            except BadValueError as error:
                raise ValueError(error.detail) from None
    return {
        **told,
        "decimal": decimal,
        "scale": scale,
        "form": form,
        "digits": read_digits(table.get("digits", {})),
    }


def _typed(table: Mapping[str, Any], kind: type, what: str) -> dict[str, Any]:
    """Return `constant` and `default` as they are given. Raises `TypeError` where one is of another type."""
    told = {key: table[key] for key in ("constant", "default") if key in table}
    if any(type(value) is not kind or value == "" for value in told.values()):
        raise TypeError(f"constant and default are {what}")
    return told


def _values(table: Mapping[str, Any]) -> Mapping[str, str] | None:
    values = table.get("values")
    if values is None:
        return None
    if not isinstance(values, dict) or any(not isinstance(text, str) or not text for text in values.values()):
        raise TypeError('values is a table of texts: values = { China = "CN" }')
    return values


def read_paths(value: object) -> tuple[Path, ...]:
    """Return one path, or the paths of a list. Raises `TypeError` and `ValueError`."""
    texts = value if isinstance(value, list) else [value]
    if not texts:
        raise ValueError("name a path at least")
    return tuple(parse_path(text) for text in texts)


def read_text(value: object, name: str, what: str) -> str:
    """Return a text that is not empty. Raises `TypeError`."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} is {what}")
    return value


def read_flag(table: Mapping[str, Any], name: str) -> bool:
    """Return a flag, false where it is left out. Raises `TypeError`."""
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(f"{name} is true or false")
    return value

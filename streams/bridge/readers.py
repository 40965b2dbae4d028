"""The rules of one source, for one schema, as functions: what reads a field's value off a record."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from streams.bridge.outcomes import RejectedError
from streams.bridge.paths import getter
from streams.bridge.records import OF_RECORD, Record
from streams.bridge.values import (
    count_of,
    flag_of,
    in_range,
    money_reader,
    rescaled,
    text_of,
    text_reader,
    time_reader,
    units_nanos,
    whole_number,
)
from streams.domain.currencies import EXPONENTS
from streams.domain.facts import Kind
from streams.domain.rejections import BridgeReason, Reason
from streams.mapping.amounts import parse_number
from streams.mapping.problems import BadValueError, shown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from streams.bridge.decoding.leaf import Leaf, Shape
    from streams.bridge.paths import Path
    from streams.bridge.rules import Rule, Sum
    from streams.mapping.hashing import Hash

    Read = Callable[[Any, Any, Record], Any]
    """Takes the object in a record, the element of `each` and the record itself."""
    ReadMoney = Callable[[Any, Any, Record, str], int | None]


class Readers:
    """Makes the functions. Each raises `RejectedError`, which names the path."""

    def __init__(
        self, shape: Shape, zone: dt.tzinfo | None, each: Path | None, hashing: Hash | None, hashed: Sequence[str]
    ) -> None:
        """`hashing` replaces the texts of fields that ask for it, and of those in `hashed`."""
        self._shape = shape
        self._zone = zone
        self._each = each
        self._hashing = hashing
        self._hashed = hashed

    def leaf(self, path: Path) -> Leaf:
        """Return what the schema says of the value at a path of the map."""
        parts = path.parts
        if path.is_in_element:
            assert self._each is not None, path
            parts = (*self._each.parts, 0, *parts)
        return self._shape.leaf(parts)

    def field(self, rule: Rule) -> Read:
        """Return what reads a field that is no money; None is absent."""
        constant = rule.constant
        if constant is not None:
            return lambda _object, _element, _record: constant
        if rule.template:
            return self._template(rule)
        if not rule.paths:
            of = self._value(rule, self._shape.leaf(()) if rule.record is None else None)
            return _guarded(_of_record(rule, of), rule.place)
        if len(rule.paths) == 1:
            return _at(rule.paths[0], self._value(rule, self.leaf(rule.paths[0])))
        return _first([_at(path, self._value(rule, self.leaf(path))) for path in rule.paths], _getters(rule.paths))

    def _value(self, rule: Rule, leaf: Leaf | None) -> Callable[[Any], Any]:
        """Return what reads a value, wherever it came from."""
        match rule.kind:
            case Kind.TEXT:
                is_hashed = rule.is_hashed or rule.target in self._hashed
                return text_reader(rule, self._hashing if is_hashed else None)
            case Kind.TIME:
                return time_reader(rule, leaf or self._shape.leaf(()), self._zone)
            case Kind.COUNT:
                return _with_default(count_of, rule)
        return _with_default(_flag_reader(rule), rule)

    def money(self, rule: Rule) -> ReadMoney:
        """Return what reads an amount in minor units of a currency."""
        if rule.constant is not None:
            constant, fixed = rule.constant, money_reader(rule, self._shape.leaf(()))
            return lambda _object, _element, _record, currency: fixed(constant, currency)
        if rule.sum is not None:
            return self._sum(rule, rule.sum)
        if not rule.paths:
            read, raw = money_reader(rule, self._shape.leaf(())), _of_record(rule, lambda value: value)
            return _money_at(raw, read, rule.place)
        gets = _getters(rule.paths)
        reads = [
            _money_at(get, money_reader(rule, self.leaf(path)), path.text)
            for path, get in zip(rule.paths, gets, strict=True)
        ]
        if len(reads) == 1:
            return reads[0]

        def first(object_: Any, element: Any, record: Record, currency: str) -> int | None:  # noqa: ANN401
            for get, read in zip(gets, reads, strict=True):
                if get(object_, element, record) not in (None, ""):
                    return read(object_, element, record, currency)
            return reads[0](object_, element, record, currency)

        return first

    def _template(self, rule: Rule) -> Read:
        parts = [(text, _at(path, text_of) if path is not None else None) for text, path in rule.template]
        places = [path.text if path is not None else "" for _, path in rule.template]
        hashing = self._hashing if rule.is_hashed or rule.target in self._hashed else None

        def filled(object_: Any, element: Any, record: Record) -> str:  # noqa: ANN401
            text = ""
            for (literal, read), place in zip(parts, places, strict=True):
                text += literal
                if read is not None:
                    found = read(object_, element, record)
                    if found is None:
                        raise RejectedError(
                            Reason.MISSING_FIELD, place, f"{rule.name}: a part of the template is absent"
                        )
                    text += found
            return text if hashing is None else hashing(text)

        return filled

    def _sum(self, rule: Rule, what: Sum) -> ReadMoney:
        get, of = _getters([what.over])[0], getter(what.of.parts)
        times = getter(what.times.parts) if what.times is not None else None
        inside = (*self._each.parts, 0, *what.over.parts) if what.over.is_in_element and self._each else what.over.parts
        leaf = self._shape.leaf((*inside, 0, *what.of.parts))
        plain = money_reader(rule, leaf)
        scale = leaf.scale

        def total(object_: Any, element: Any, record: Record, currency: str) -> int | None:  # noqa: ANN401
            found = get(object_, element, record)
            if found is None or found == []:
                return None
            if not isinstance(found, list):
                raise RejectedError(Reason.WRONG_TYPE, what.over.text, f"{shown(found)}, where a list is due")
            shift = EXPONENTS[currency] if rule.form != "minor" else 0
            exact = Decimal(0)
            for place, one in enumerate(found):
                try:
                    price = _price(of(one), rule.form, scale, currency, shift, plain)
                    count = whole_number(times(one)) if times is not None else 1
                except BadValueError as error:
                    path = what.over.below(place, *what.of.parts).text
                    raise RejectedError(error.reason, path, error.detail) from None
                exact += price * (1 if count is None else count)
            if exact != exact.to_integral_value():
                detail = f"the sum {exact.scaleb(-shift)} is finer than one minor unit"
                raise RejectedError(BridgeReason.BAD_AMOUNT, what.over.text, detail)
            try:
                return in_range(int(exact))
            except BadValueError as error:
                raise RejectedError(error.reason, what.over.text, error.detail) from None

        return total


def _price(  # noqa: PLR0917 - one element of one sum
    value: Any,  # noqa: ANN401 - whatever the record holds
    form: str,
    scale: int | None,
    currency: str,
    shift: int,
    plain: Callable[[Any, str], int | None],
) -> Decimal:
    """Return one element's amount in minor units, not rounded and not whole by itself."""
    kind = type(value)
    if value is None or value == "":
        raise BadValueError(Reason.MISSING_FIELD, "an element without an amount")
    if form == "units_nanos":
        return Decimal(units_nanos(value, currency, lambda _: 9)).scaleb(shift - 9)
    if kind is str:
        try:
            number = parse_number(value)
        except BadValueError as error:
            raise BadValueError(BridgeReason.BAD_AMOUNT, error.detail) from None
        return number.scaleb(shift)
    if kind is int and abs(value) < _LARGEST:
        return Decimal(value).scaleb(shift)
    if kind is bytes and scale is not None:
        return Decimal(rescaled(int.from_bytes(value, "big", signed=True), 0, 0)).scaleb(shift - scale)
    found = plain(value, currency)
    return Decimal(found or 0)


_LARGEST = 10**18


def _at(path: Path, read: Callable[[Any], Any]) -> Read:
    get, text = getter(path.parts), path.text
    if path.is_in_element:

        def of_element(_object: Any, element: Any, _record: Record) -> Any:  # noqa: ANN401
            try:
                return read(get(element))
            except BadValueError as error:
                raise RejectedError(error.reason, text, error.detail) from None

        return of_element

    def of_object(object_: Any, _element: Any, _record: Record) -> Any:  # noqa: ANN401
        try:
            return read(get(object_))
        except BadValueError as error:
            raise RejectedError(error.reason, text, error.detail) from None

    return of_object


def _getters(paths: Sequence[Path]) -> list[Read]:
    return [_raw(path) for path in paths]


def _raw(path: Path) -> Read:
    get = getter(path.parts)
    if path.is_in_element:
        return lambda _object, element, _record: get(element)
    return lambda object_, _element, _record: get(object_)


def _first(reads: Sequence[Read], gets: Sequence[Read]) -> Read:
    """Return what reads the first path that is there, and the first one where none is."""

    def first(object_: Any, element: Any, record: Record) -> Any:  # noqa: ANN401
        for get, read in zip(gets, reads, strict=True):
            if get(object_, element, record) not in (None, ""):
                return read(object_, element, record)
        return reads[0](object_, element, record)

    return first


def _money_at(get: Read, read: Callable[[Any, str], int | None], place: str) -> ReadMoney:
    def money(object_: Any, element: Any, record: Record, currency: str) -> int | None:  # noqa: ANN401
        try:
            return read(get(object_, element, record), currency)
        except BadValueError as error:
            raise RejectedError(error.reason, place, error.detail) from None

    return money


def _of_record(rule: Rule, of: Callable[[Any], Any]) -> Read:
    """Return what reads a header, or what Kafka itself says of a record."""
    if rule.header is not None:
        name = rule.header
        return lambda _object, _element, record: of(record.header(name))
    assert rule.record is not None, rule
    look = OF_RECORD[rule.record]
    return lambda _object, _element, record: of(look(record))


def _guarded(read: Read, place: str) -> Read:
    def guarded(object_: Any, element: Any, record: Record) -> Any:  # noqa: ANN401
        try:
            return read(object_, element, record)
        except BadValueError as error:
            raise RejectedError(error.reason, place, error.detail) from None

    return guarded


def _flag_reader(rule: Rule) -> Callable[[Any], bool | None]:
    values = rule.values
    if values is None:
        return flag_of

    def read(value: Any) -> bool | None:  # noqa: ANN401 - whatever the record holds
        text = text_of(value)
        if text is None:
            return None
        if text not in values:
            raise BadValueError(BridgeReason.UNKNOWN_VALUE, f"{shown(text)} is not in `values`")
        return flag_of(values[text])

    return read


def _with_default(read: Callable[[Any], Any], rule: Rule) -> Callable[[Any], Any]:
    default = rule.default
    if default is None:
        return read
    return lambda value: default if (found := read(value)) is None else found

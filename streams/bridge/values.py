"""Values of records as texts, times, money and numbers: each exact, or a reason why the record is set aside.

Made once for each field and schema; what is returned is called for each record.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from streams.bridge.rules import BASE64, Rule
from streams.domain.currencies import EXPONENTS
from streams.domain.limits import MONEY_LIMIT_MINOR
from streams.domain.rejections import BridgeReason, Reason
from streams.mapping.amounts import Amounts
from streams.mapping.problems import BadValueError, Problem, shown
from streams.mapping.times import EARLIEST_MS, EPOCH, LATEST_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.bridge.decoding.leaf import Leaf
    from streams.mapping.hashing import Hash

    ReadText = Callable[[Any], str | None]
    ReadMoney = Callable[[Any, str], int | None]

_INTEGER_LIMIT = 10**80
"""Beyond it no field admits an integer, be it as text."""
_COUNT_LIMIT = 10**18
_NANOS = 10**9
_SCALE_LIMIT = 100
_DAY = dt.timedelta(days=1)
_MILLISECOND = dt.timedelta(milliseconds=1)
_PLAIN_LIMIT = 18
_POWERS = [10**power for power in range(20)]
_WIDTH_LIMIT = 64
"""Bytes of a decimal: 150 digits, more than any database has."""
_PER_MS = {"us": 1_000, "ns": 1_000_000}
_REASONS = {Problem.BAD_NUMBER: BridgeReason.BAD_AMOUNT}


def text_of(value: Any) -> str | None:  # noqa: ANN401 - whatever the record holds
    """Return a value as text, None for an absent one. Raises `BadValueError`."""
    kind = type(value)
    if kind is str:
        return value or None
    if value is None:
        return None
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        if -_INTEGER_LIMIT < value < _INTEGER_LIMIT:
            return str(value)
        raise BadValueError(Reason.OUT_OF_RANGE, "an integer of more than 80 digits")
    what = {float: "a floating-point number", dict: "an object", list: "a list", bytes: "bytes"}.get(kind, "no text")
    raise BadValueError(Reason.WRONG_TYPE, f"{what}, where a text is due")


def text_reader(rule: Rule, hashing: Hash | None) -> ReadText:
    """Return what reads a text by a rule; `hashing` is given where the field is hashed."""
    values, default, is_upper = rule.values, rule.default, rule.is_upper
    if default is not None:
        assert isinstance(default, str)
    if values is None and default is None and not is_upper and hashing is None:
        return text_of

    def read(value: Any) -> str | None:  # noqa: ANN401 - whatever the record holds
        found = text_of(value)
        if found is None:
            found = default
        else:
            if is_upper:
                found = found.upper()
            if values is not None:
                known = values.get(found, default)
                if known is None:
                    raise BadValueError(BridgeReason.UNKNOWN_VALUE, f"{shown(found)} is not in `values`")
                found = known
        return found if found is None or hashing is None else hashing(found)

    return read


def time_reader(rule: Rule, leaf: Leaf, zone: dt.tzinfo | None) -> Callable[[Any], int | None]:
    """Return what reads an instant in milliseconds; the schema's own type of time goes before the rule's unit."""
    default, times = rule.default, rule.times
    assert times is not None
    epoch = _epoch_reader(leaf.unit or rule.unit, zone if leaf.is_local else dt.UTC)

    def read(value: Any) -> int | None:  # noqa: ANN401 - whatever the record holds
        kind = type(value)
        if kind is int:
            if leaf.is_date:
                return _checked(_midnight(value, zone), value)
            if leaf.unit is not None or (rule.unit is not None and not times.has_formats):
                return _checked(epoch(value), value)
        if value is None or value == "":
            return default  # type: ignore[return-value] # a rule of a time has a time for a default
        if kind is str and value[10:11] == "T" and not times.has_formats:
            time_ms = _iso(value)
            if time_ms is not None:
                return _checked(time_ms, value)
        if kind not in (int, str, float):
            raise BadValueError(BridgeReason.BAD_TIME, f"{shown(value)} is not a time")
        found = times.read(value)
        return default if found is None else found  # type: ignore[return-value] # the same

    return read


def _iso(text: str) -> int | None:
    """Return the instant of ISO 8601 with an offset, as nearly every text is; None for any other.

    The way through formats and units is six times as long.
    """
    try:
        time = dt.datetime.fromisoformat(text)
        return None if time.tzinfo is None else (time - EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def _epoch_reader(unit: str | None, zone: dt.tzinfo | None) -> Callable[[int], int]:
    """Return what makes milliseconds of a time since the epoch, that of UTC or of a local clock."""
    per_ms = _PER_MS.get(unit or "ms")
    if zone is dt.UTC:
        if per_ms is not None:
            return lambda value: value // per_ms
        return (lambda value: value * 1000) if unit == "s" else (lambda value: value)

    def local(value: int) -> int:
        value_ms = value // per_ms if per_ms is not None else value
        try:
            return _in_zone(EPOCH.replace(tzinfo=None) + dt.timedelta(milliseconds=value_ms), zone)
        except OverflowError:
            return -1

    return local


def _midnight(days: int, zone: dt.tzinfo | None) -> int:
    try:
        return _in_zone(EPOCH.replace(tzinfo=None) + days * _DAY, zone)
    except OverflowError:
        return -1


def _in_zone(local: dt.datetime, zone: dt.tzinfo | None) -> int:
    if zone is None:
        raise BadValueError(BridgeReason.BAD_TIME, f"{local.isoformat()} has no offset: give the source a `timezone`")
    since: int = (local.replace(tzinfo=zone) - EPOCH) // dt.timedelta(milliseconds=1)
    return since


def _checked(time_ms: int, value: object) -> int:
    if EARLIEST_MS <= time_ms <= LATEST_MS:
        return time_ms
    raise BadValueError(BridgeReason.BAD_TIME, f"{shown(value)} is not of the years 1990 to 2100")


def money_reader(rule: Rule, leaf: Leaf) -> ReadMoney:
    """Return what reads an amount in minor units of a currency that is known to be one."""
    is_major = rule.form != "minor"
    plain = Amounts(is_major=is_major, decimal="," if rule.decimal == "," else ".", digits=rule.digits)
    shift = _shifts(rule, is_major=is_major)
    point = "," if rule.decimal == "," else "."
    scale = leaf.scale if leaf.scale is not None else rule.scale
    if rule.form == "units_nanos":
        read_value: ReadMoney = lambda value, currency: units_nanos(value, currency, shift)  # noqa: E731 - one of three
    elif rule.decimal == BASE64:
        read_value = lambda value, currency: _connect(value, scale, shift(currency))  # noqa: E731
    else:
        read_value = lambda value, currency: _plain(value, currency, plain, scale, shift, point)  # noqa: E731
    default = rule.default

    def read(value: Any, currency: str) -> int | None:  # noqa: ANN401 - whatever the record holds
        if value is None or value == "":
            return None if default is None else plain.read(default, currency)
        return read_value(value, currency)

    return read


def _shifts(rule: Rule, *, is_major: bool) -> Callable[[str], int]:
    """Return what gives the power of ten that makes minor units of what the field holds."""
    digits: Mapping[str, int] = rule.digits
    if is_major:
        return EXPONENTS.__getitem__
    return lambda currency: EXPONENTS[currency] - digits[currency] if currency in digits else 0


def _plain(  # noqa: PLR0917 - called for each amount, by place
    value: Any,  # noqa: ANN401 - whatever the record holds
    currency: str,
    amounts: Amounts,
    scale: int | None,
    shift: Callable[[str], int],
    point: str,
) -> int | None:
    kind = type(value)
    if kind is bytes and scale is not None:
        return unscaled(value, scale, shift(currency))
    if kind is str and (found := _digits(value, point, shift(currency))) is not None:
        return found
    if kind not in (str, int, float):
        raise BadValueError(Reason.WRONG_TYPE, f"{shown(value)}, where an amount is due")
    try:
        return amounts.read(value, currency)
    except BadValueError as error:
        raise BadValueError(_REASONS.get(Problem(error.reason), error.reason), error.detail) from None


def _digits(text: str, point: str, shift: int) -> int | None:
    """Return the amount in a plain text such as 84.00, None for one that has to be looked at more closely."""
    whole, _, fraction = text.partition(point)
    digits = whole + fraction
    if not digits.isdigit() or not digits.isascii() or len(digits) > _PLAIN_LIMIT or not len(fraction) <= shift:
        return None
    if not whole or (not fraction and len(text) != len(whole)):
        return None
    return in_range(int(digits) * _POWERS[shift - len(fraction)])


def unscaled(data: bytes, scale: int, shift: int) -> int:
    """Return a decimal of bytes, big end first, in minor units. Raises `BadValueError` where it is finer than one."""
    if not data or len(data) > _WIDTH_LIMIT:
        raise BadValueError(BridgeReason.BAD_AMOUNT, f"a decimal of {len(data)} bytes")
    return rescaled(int.from_bytes(data, "big", signed=True), scale, shift)


def rescaled(number: int, scale: int, shift: int) -> int:
    """Return `number` × 10^(`shift` − `scale`), which must be whole. Raises `BadValueError`."""
    power = shift - scale
    if abs(power) > _SCALE_LIMIT:
        raise BadValueError(BridgeReason.BAD_AMOUNT, f"a scale of {scale}")
    if power >= 0:
        return in_range(number * 10**power)
    whole, rest = divmod(number, 10**-power)
    if rest:
        amount = Decimal(number).scaleb(-scale)
        raise BadValueError(BridgeReason.BAD_AMOUNT, f"{amount} is finer than one minor unit")
    return in_range(whole)


def in_range(minor: int) -> int:
    """Return an amount that JSON encoders can write. Raises `BadValueError` for one beyond every field's range."""
    if -MONEY_LIMIT_MINOR <= minor <= MONEY_LIMIT_MINOR:
        return minor
    raise BadValueError(Reason.OUT_OF_RANGE, "the amount is beyond 10^13 minor units")


def _connect(value: Any, scale: int | None, shift: int) -> int:  # noqa: ANN401 - whatever the record holds
    """Return Kafka Connect's Decimal: base64 of an unscaled integer, or an object that has its scale beside it."""
    if isinstance(value, dict):
        scale, value = value.get("scale"), value.get("value")
        if type(scale) is not int:
            raise BadValueError(Reason.WRONG_TYPE, "an object {scale, value} is due, and its scale is no integer")
    if scale is None:
        raise BadValueError(Reason.WRONG_TYPE, f"{shown(value)}, where an object {{scale, value}} is due")
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise BadValueError(BridgeReason.BAD_AMOUNT, f"{shown(value)} is not base64") from None
    if not isinstance(value, bytes):
        raise BadValueError(Reason.WRONG_TYPE, f"{shown(value)}, where a decimal in base64 is due")
    return unscaled(value, scale, shift)


def units_nanos(value: Any, currency: str, shift: Callable[[str], int]) -> int:  # noqa: ANN401 - as above
    """Return an amount of an object {currency_code, units, nanos} in minor units. Raises `BadValueError`."""
    if not isinstance(value, dict) or not value.keys() & {"units", "nanos"}:
        raise BadValueError(Reason.WRONG_TYPE, f"{shown(value)}, where an object of units and nanos is due")
    code = text_of(value.get("currency_code"))
    if code is not None and code != currency:
        raise BadValueError(BridgeReason.MIXED_CURRENCIES, f"the amount is in {shown(code)}, the event in {currency}")
    units, nanos = (whole_number(value.get(name)) or 0 for name in ("units", "nanos"))
    if abs(nanos) >= _NANOS or units * nanos < 0:
        raise BadValueError(BridgeReason.BAD_AMOUNT, f"{units} units and {nanos} nanos are no amount")
    return rescaled(units * _NANOS + nanos, 9, shift(currency))


def whole_number(value: Any) -> int | None:  # noqa: ANN401 - whatever the record holds
    """Return an integer, also out of its decimal text; None for an absent one. Raises `BadValueError`."""
    if type(value) is int and -_INTEGER_LIMIT < value < _INTEGER_LIMIT:
        return value
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 40:  # noqa: PLR2004
        return int(value)
    raise BadValueError(Reason.WRONG_TYPE, f"{shown(value)}, where a whole number is due")


def count_of(value: Any) -> int | None:  # noqa: ANN401 - whatever the record holds
    """Return a whole number that JSON encoders can write, None for an absent one. Raises `BadValueError`."""
    found = whole_number(value)
    if found is not None and not -_COUNT_LIMIT < found < _COUNT_LIMIT:
        raise BadValueError(Reason.OUT_OF_RANGE, f"{shown(value)} is out of range")
    return found


def flag_of(value: Any) -> bool | None:  # noqa: ANN401 - whatever the record holds
    """Return a flag, also out of `true` or `false` as text; None for an absent one. Raises `BadValueError`."""
    if isinstance(value, bool) or value is None or value == "":
        return value if isinstance(value, bool) else None
    if value in ("true", "false"):
        return bool(value == "true")
    raise BadValueError(Reason.WRONG_TYPE, f"{shown(value)}, where true or false is due")

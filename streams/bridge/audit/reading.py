"""Values as the map's rules want them, for the interpreter: one plain function for each kind, in decimal arithmetic."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from decimal import Context, Decimal, DecimalException
from typing import TYPE_CHECKING, Any

from streams.domain.currencies import EXPONENTS
from streams.mapping.problems import BadValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.bridge.decoding.leaf import Leaf
    from streams.bridge.paths import Path
    from streams.bridge.records import Record
    from streams.bridge.rules import Rule

_EXACT = Context(prec=400)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_YEARS_MS = (631_152_000_000, 4_133_980_800_000)
"""1990 to 2100."""
_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NEAR = Decimal("0.000001")
_TEXT_LIMIT, _WIDTH_LIMIT, _SCALE_LIMIT = 60, 64, 100
"""Characters of a number, bytes of a decimal, and digits it may be moved by."""
_DIGITS = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_SIGNS = re.compile(r"^([+-]?)\s*[$¢£¤¥₠-₿]?\s*(.*?)\s*[$¢£¤¥₠-₿]?$", re.DOTALL)


class Fault(Exception):  # noqa: N818 - a verdict
    """Why a record must have been rejected."""

    def __init__(self, reason: object) -> None:
        """Remember the word."""
        super().__init__(str(reason))
        self.reason = str(reason)


class Look:
    """One record, or one element of it, as paths see it."""

    def __init__(self, whole: Any, element: Any, record: Record | None) -> None:  # noqa: ANN401
        """`element` is that of `each`, where there is one."""
        self._whole, self._element = whole, element
        self._record = record

    @property
    def record(self) -> Record:
        """Return the record itself."""
        assert self._record is not None
        return self._record

    def at(self, path: Path) -> Any:  # noqa: ANN401
        """Return the value at a path, None where there is none."""
        value = self._element if path.is_in_element else self._whole
        for part in path.parts:
            if isinstance(part, str):
                value = value.get(part) if isinstance(value, dict) else None
            else:
                value = value[part] if isinstance(value, list) and len(value) > part else None
        return value

    def header(self, name: str) -> str | None:
        """Return the last header of a name."""
        found = [value for key, value in self.record.headers if key == name]
        return _utf8(found[-1]) if found else None

    def of_record(self, name: str) -> Any:  # noqa: ANN401
        """Return what Kafka says of the record."""
        if name == "key":
            return _utf8(self.record.key)
        return getattr(self.record, "record_time_ms" if name == "timestamp" else name)


def _utf8(value: bytes | None) -> str | None:
    try:
        return value.decode() if value else None
    except UnicodeDecodeError:
        raise Fault("not_utf8") from None


def element_path(each: Path | None, path: Path) -> Sequence[str | int]:
    """Return where a path leads in the record."""
    return (*each.parts, 0, *path.parts) if path.is_in_element and each is not None else path.parts


def text_of(value: Any) -> str | None:  # noqa: ANN401
    """Return a text, a whole number in decimal, or true and false."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) >= 10**80:
            raise Fault("out_of_range")
        return f"{value:d}"
    if isinstance(value, str):
        return value
    raise Fault("wrong_type")


def number_of(value: Any, limit: int) -> int | None:  # noqa: ANN401
    """Return a whole number below a limit, also out of its text."""
    if value is None or value == "":
        return None
    is_text = isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,40}", value)
    if not is_text and (isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**80):
        raise Fault("wrong_type")
    if abs(int(value)) >= limit:
        raise Fault("out_of_range")
    return int(value)


def flag_of(value: Any) -> bool | None:  # noqa: ANN401
    """Return a flag, also out of its text."""
    if value is None or value == "":
        return None
    if value in ("true", "false"):
        return bool(value == "true")
    if isinstance(value, bool):
        return value
    raise Fault("wrong_type")


def time_of(value: Any, rule: Rule, leaf: Leaf, zone: dt.tzinfo | None) -> int | None:  # noqa: ANN401
    """Return an instant in milliseconds."""
    if value is None or value == "":
        return None
    assert rule.times is not None
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and leaf.is_date:
        return _in_years(_local(value * 86_400_000, zone))
    unit = leaf.unit or (None if rule.times.has_formats else rule.unit)
    if is_whole and unit is not None:
        ms = int((Decimal(value) * 1000 / _PER_S[unit]).to_integral_value("ROUND_FLOOR", Context(prec=100)))
        return _in_years(_local(ms, zone) if leaf.is_local else ms)
    if isinstance(value, bool) or not isinstance(value, (int, str, float)):
        raise Fault("bad_time")
    try:
        return rule.times.read(value)
    except BadValueError as error:
        raise Fault(error.reason) from None


def _local(ms: int, zone: dt.tzinfo | None) -> int:
    try:
        moment = _EPOCH.replace(tzinfo=None) + dt.timedelta(milliseconds=ms)
    except OverflowError:
        raise Fault("bad_time") from None
    if zone is None:
        raise Fault("bad_time")
    return (moment.replace(tzinfo=zone) - _EPOCH) // dt.timedelta(milliseconds=1)


def _in_years(ms: int) -> int:
    if not _YEARS_MS[0] <= ms < _YEARS_MS[1]:
        raise Fault("bad_time")
    return ms


def amount_of(
    value: Any,  # noqa: ANN401
    rule: Rule,
    scale: int | None,
    currency: str,
    *,
    is_plain: bool = False,
    is_exact: bool = False,
) -> Any:  # noqa: ANN401 - an integer, or exactly what is added up
    """Return an amount in minor units; `is_plain`: of the map itself, `is_exact`: not rounded, it need not be whole."""
    exponent = EXPONENTS[currency]
    power = exponent if rule.form != "minor" else 0
    if currency in rule.digits and rule.form == "minor":
        power = exponent - rule.digits[currency]
    if rule.form == "units_nanos" and not is_plain:
        exact = _money_object(value, currency)
    elif rule.decimal == "base64" and not is_plain:
        exact = _connect(value, scale if scale is not None else rule.scale)
    elif isinstance(value, bytes) and scale is not None:
        exact = _unscaled(value, scale)
    else:
        exact = _number(value, "," if rule.decimal == "," and not is_plain else ".")
    minor = _EXACT.scaleb(exact, power)
    whole = _EXACT.to_integral_value(minor)
    if minor != whole and isinstance(value, float) and abs(_EXACT.scaleb(minor - whole, -power)) <= _NEAR:
        minor = whole
    if is_exact:
        return minor
    if minor != whole:
        raise Fault("bad_amount")
    if abs(whole) > 10**13:
        raise Fault("out_of_range")
    return int(whole)


def _number(value: Any, point: str) -> Decimal:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Fault("wrong_type")
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        number = Decimal(repr(value))
        if not number.is_finite():
            raise Fault("bad_amount")
        return number
    signs = _SIGNS.match(value.strip())
    text = "" if signs is None else signs[1] + signs[2].strip()
    if point == ",":
        text = text.replace(".", "?").replace(",", ".")
    if len(text) > _TEXT_LIMIT or not _DIGITS.fullmatch(text):
        raise Fault("bad_amount")
    return Decimal(text)


def _unscaled(data: bytes, scale: int) -> Decimal:
    if not 0 < len(data) <= _WIDTH_LIMIT or abs(scale) > _SCALE_LIMIT:
        raise Fault("bad_amount")
    number = 0
    for byte in data:
        number = number * 256 + byte
    if data[0] & 0x80:
        number -= 256 ** len(data)
    return _EXACT.scaleb(Decimal(number), -scale)


def _connect(value: Any, scale: int | None) -> Decimal:  # noqa: ANN401
    if isinstance(value, dict):
        scale, value = value.get("scale"), value.get("value")
        if isinstance(scale, bool) or not isinstance(scale, int):
            raise Fault("wrong_type")
    if scale is None:
        raise Fault("wrong_type")
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise Fault("bad_amount") from None
    if not isinstance(value, bytes):
        raise Fault("wrong_type")
    return _unscaled(value, scale)


def _money_object(value: Any, currency: str) -> Decimal:  # noqa: ANN401
    if not isinstance(value, dict) or not {"units", "nanos"} & set(value):
        raise Fault("wrong_type")
    code = text_of(value.get("currency_code"))
    if code not in (None, currency):
        raise Fault("mixed_currencies")
    units, nanos = (number_of(value.get(name), 10**80) or 0 for name in ("units", "nanos"))
    if abs(nanos) >= 10**9 or (units > 0 > nanos) or (units < 0 < nanos):
        raise Fault("bad_amount")
    try:
        return Decimal(units) + Decimal(nanos).scaleb(-9)
    except DecimalException:
        raise Fault("out_of_range") from None

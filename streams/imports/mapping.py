"""The mapping of a file: which column becomes which field of an event. A small TOML document, read whole, strictly.

`docs/import.md` explains it to users. Two mappings that differ in comments or layout only are the same import. The
rules of fields and filters are those of `streams.mapping`; what concerns files only stands here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.complaints import Complaints
from streams.domain.facts import FACTS, Fact
from streams.mapping.fields import FIRST_TYPES, FieldReader, fields_of, instant
from streams.mapping.filters import read_filters
from streams.mapping.times import Zones, parse_zone

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from streams.domain.festivals import Festival
    from streams.mapping.fields import Source
    from streams.mapping.filters import Filter

FORMATS = ("csv", "ndjson", "parquet", "xlsx")
TOPICS = tuple(FIRST_TYPES)
ORDERS = "orders"
_KNOWN = {"to", "format", "sheet", "timezone", "zones", "csv", "type", "fields", "only", "fit"}
_LAYOUT = {"delimiter", "quote", "encoding", "columns", "skip", "until", "multiline"}
_HINTS = {"source": "a file has one set of rules: [fields]"}


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
class Layout:
    """How a CSV, NDJSON or XLSX file is written."""

    delimiter: str | None = None
    """None: what the file's first line says (`sep=;`), else a tab in files named .tsv, else a comma."""
    quote: str | None = None
    """None: no quoting in files named .tsv, else a double quote; "" is no quoting."""
    encoding: str = "utf-8-sig"
    header: tuple[str, ...] | None = None
    """Names of the columns of a file without a header line."""
    skip: int = 0
    """Lines before the header."""
    until: str | None = None
    """Rows end at the first line that begins so."""
    is_multiline: bool = False
    """Whether a quoted cell may go on in the next line."""


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A whole mapping. Without `sources` (no mapping file), columns are called as the fields are."""

    digest: str
    to: str = ORDERS
    """The topic."""
    format: str | None = None
    sheet: str | None = None
    """Name of a workbook's sheet; None: its first."""
    layout: Layout = field(default_factory=Layout)
    sources: tuple[Source, ...] = ()
    filters: tuple[Filter, ...] = ()
    fit: Fit | None = None
    name: str = ""
    """What the user calls it: the file it stands in."""
    fact: Fact = FACTS[ORDERS]
    """What the topic carries."""


def parse_mapping(
    text: str, source: str, festivals: Mapping[str, Festival], facts: Mapping[str, Fact] = FACTS
) -> FileMapping:
    """Return the mapping in a TOML text onto topics that carry `facts`; `source` names it.

    Raises `UsageError` with everything that is wrong.
    """
    complaints = Complaints(source, text)
    mapping = _read(complaints, source, festivals, facts)
    complaints.refuse()
    return mapping


def digest_of(document: Mapping[str, Any], fit: Fit | None) -> str:
    """Return what tells two mappings apart: the SHA-256 of their content, whatever its layout."""
    said = {name: value for name, value in document.items() if (name, value) != ("to", ORDERS)}
    content = {"mapping": said, "onto": [fit.start_ms, fit.end_ms] if fit else None}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


NO_MAPPING = FileMapping(digest_of({}, None))


def _read(
    complaints: Complaints, source: str, festivals: Mapping[str, Festival], facts: Mapping[str, Fact]
) -> FileMapping:
    document = complaints.document
    complaints.only((), document, _KNOWN, _HINTS)
    topic = document.get("to", ORDERS)
    if topic not in TOPICS:
        complaints.add(("to",), f"{topic!r} is none of {', '.join(TOPICS)}")
        topic = ORDERS
    found = document.get("format")
    if found is not None and found not in FORMATS:
        complaints.add(("format",), f"{found!r} is none of {', '.join(FORMATS)}")
    sheet = document.get("sheet")
    if sheet is not None and not isinstance(sheet, str):
        complaints.add(("sheet",), "the name of a sheet is a text")
    zone = complaints.read(("timezone",), parse_zone, document["timezone"]) if "timezone" in document else None
    zones = complaints.read(("zones",), _zones, document.get("zones", {})) or {}
    layout = complaints.read(("csv",), lambda table: _layout(complaints, table), document.get("csv", {})) or Layout()
    reader = FieldReader(complaints, fields_of(facts[topic]), zone, zones)
    sources = reader.read(("fields",), document.get("fields"))
    if "type" in document:
        if any(one.field == "type" for one in sources):
            complaints.add(("type",), "stands under [fields] too: say it once")
        kind = reader.source(("type",), "type", document["type"])
        sources = (*sources, *([kind] if kind is not None else []))
    filters = read_filters(complaints, document.get("only", []))
    fit = None
    if "fit" in document:
        fit = complaints.read(("fit",), lambda table: _fit(complaints, table, topic, zone, festivals), document["fit"])
    digest = digest_of(document, fit)
    return FileMapping(digest, topic, found, sheet, layout, sources, filters, fit, source, facts[topic])


def _zones(table: Any) -> Zones:  # noqa: ANN401 - a TOML value
    if not isinstance(table, dict):
        raise TypeError('write it as a table: [zones] CST = "Asia/Shanghai"')
    return {name: parse_zone(zone) for name, zone in table.items()}


def _layout(complaints: Complaints, table: Any) -> Layout:  # noqa: ANN401 - a TOML value
    complaints.only(("csv",), table, _LAYOUT, {})
    delimiter, quote = table.get("delimiter"), table.get("quote")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise ValueError("delimiter is not one character")
    if quote is not None and (not isinstance(quote, str) or len(quote) > 1):
        raise ValueError('quote is not one character, nor "" for none')
    if delimiter is not None and delimiter == quote:
        raise ValueError("delimiter and quote are the same character")
    encoding = table.get("encoding", "utf-8-sig")
    if not isinstance(encoding, str):
        raise TypeError("encoding is the name of one, such as gb18030")
    "".encode(encoding)
    header = table.get("columns")
    if header is not None and (not isinstance(header, list) or any(not isinstance(name, str) for name in header)):
        raise TypeError("columns is a list of texts")
    skip, until, multiline = table.get("skip", 0), table.get("until"), table.get("multiline", False)
    if type(skip) is not int or skip < 0:
        raise TypeError("skip is how many lines stand before the header: 0 or more")
    if until is not None and (not isinstance(until, str) or not until):
        raise TypeError("until is the text with which the first line behind the rows begins")
    if not isinstance(multiline, bool):
        raise TypeError("multiline is true or false")
    return Layout(delimiter, quote, encoding, tuple(header) if header is not None else None, skip, until, multiline)


def _fit(
    complaints: Complaints,
    table: Any,  # noqa: ANN401 - a TOML value
    topic: str,
    zone: dt.tzinfo | None,
    festivals: Mapping[str, Festival],
) -> Fit:
    complaints.only(("fit",), table, {"from", "to", "festival"}, {})
    absent = [name for name in ("from", "to", "festival") if name not in table]
    if absent:
        raise ValueError(f"missing {', '.join(absent)}")
    festival = festivals.get(table["festival"]) if isinstance(table["festival"], str) else None
    if festival is None:
        raise ValueError(f"festival {table['festival']!r} is none of {', '.join(sorted(festivals))}")
    if topic not in festival.facts:
        raise ValueError(f"festival {festival.id} does not count {topic}")
    fit = Fit(instant(table["from"], zone), instant(table["to"], zone), festival.start_ms, festival.end_ms)
    if fit.from_ms >= fit.to_ms:
        raise ValueError("`from` is not before `to`")
    return fit

"""The map of a bridge: a TOML document, read whole, strictly. What is not known here is refused.

Two maps that differ in comments, layout, `[registry]` or `start` translate alike. Fields, filters, times and money are
those of `streams.mapping`, which imports share.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streams.bridge.sources import Source, read_source
from streams.complaints import Complaints
from streams.domain.facts import FACTS
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path as File

    from streams.domain.facts import Fact

_KNOWN = {"name", "registry", "source"}
_HINTS = {"sources": "write [[source]], once for each topic", "fields": "fields stand under [source.fields]"}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_UNTRANSLATING = {"start"}
"""Keys of a source that decide what is read, not what becomes of it."""


@dataclass(frozen=True, slots=True)
class BridgeMap:
    """A whole map."""

    name: str
    registry: tuple[str, ...]
    """Addresses of the schema registry, tried in turn."""
    sources: tuple[Source, ...]
    text: str
    """The document itself."""

    @property
    def digest(self) -> str:
        """Return what tells two maps apart: the SHA-256 of what they say, whatever their layout."""
        return digest_of(sorted(self.translations.items()))

    @property
    def translations(self) -> dict[str, str]:
        """Return the digest of each source by its topic."""
        return {source.topic: digest_of(said(source)) for source in self.sources}

    def source(self, topic: str) -> Source:
        """Return the source of a topic that the map names."""
        return next(source for source in self.sources if source.topic == topic)


def load_map(file: File, facts: Mapping[str, Fact] = FACTS) -> BridgeMap:
    """Return the map in a file onto topics that carry `facts`. Raises `UsageError` with everything that is wrong."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--map: {file} cannot be read: {error}") from error
    return parse_map(text, file, facts=facts)


def parse_map(
    text: str,
    file: File,
    read_file: Callable[[str], bytes] | None = None,
    facts: Mapping[str, Fact] = FACTS,
) -> BridgeMap:
    """Return the map in a TOML text; `file` names it, and `read_file` reads the files of descriptors: those beside it.

    Raises `UsageError` with everything that is wrong.
    """
    complaints = Complaints(str(file), text)
    document = complaints.document
    complaints.only((), document, _KNOWN, _HINTS)
    name = complaints.read(("name",), _name, document.get("name", file.name.removesuffix(".toml")))
    registry = complaints.read(("registry",), lambda table: _registry(complaints, table), document.get("registry", {}))
    tables = document.get("source")
    read = read_file or (lambda name: (file.parent / name).read_bytes())
    sources: list[Source | None] = []
    if not isinstance(tables, list) or not tables or any(not isinstance(table, dict) for table in tables):
        complaints.add(("source",), "missing: a map has one [[source]] at least")
    else:
        sources = [read_source(complaints, ("source", n), table, read, facts) for n, table in enumerate(tables)]
        _refuse_twice(complaints, tables)
    complaints.refuse()
    return BridgeMap(name, registry, tuple(source for source in sources if source is not None), text)


def said(source: Source) -> Mapping[str, Any]:
    """Return what decides the translation of a source, the short forms written out."""
    document = {key: value for key, value in source.document.items() if key not in _UNTRANSLATING}
    document["framing"] = "confluent" if source.is_framed else "none"
    document["fields"] = {name: _written_out(value) for name, value in source.document["fields"].items()}
    if source.type is not None:
        document["type"] = _written_out(document["type"])
    if source.descriptor is not None:
        document["descriptor"] = hashlib.sha256(source.descriptor).hexdigest()  # its name and place say nothing
    said: dict[str, Any] = json.loads(json.dumps(document, sort_keys=True, default=str))
    return said


def differences(one: Mapping[str, Any], other: Mapping[str, Any], at: str = "") -> list[str]:
    """Return in words what `other` says differently from `one`, key by key."""
    found = []
    for key in sorted({*one, *other}):
        before, after = one.get(key), other.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{at}{key}.")
        else:
            told = ("nothing" if value is None else json.dumps(value, ensure_ascii=False) for value in (before, after))
            found.append(f"{at}{key}: {' is now '.join(told)}")
    return found


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value of JSON, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _written_out(value: Any) -> Any:  # noqa: ANN401 - a TOML value
    table = {"path": value} if isinstance(value, (str, list)) else dict(value)
    if "path" in table and not isinstance(table["path"], list):
        table["path"] = [table["path"]]
    return table


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: up to 100 letters, digits, '.', '_' and '-'")
    return value


def _registry(complaints: Complaints, table: Any) -> tuple[str, ...]:  # noqa: ANN401 - a TOML value
    more = dict.fromkeys(("user", "password", "token"), "who may read the registry is set by FESTIVAL_REGISTRY_*")
    complaints.only(("registry",), table, {"url"}, more)
    return complaints.read(("registry", "url"), registry_urls, table["url"]) or () if "url" in table else ()


def registry_urls(value: object) -> tuple[str, ...]:
    """Return the addresses in a text or a list of texts. Raises `ValueError`."""
    urls: list[Any] = value if isinstance(value, list) else [value]
    for url in urls:
        if not isinstance(url, str) or not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", url):
            told = "that" if "@" in str(url) else repr(url)  # a secret is not said again
            raise ValueError(f"{told} is no address such as http://registry:8081, without user and password")
    if not urls:
        raise ValueError("name an address at least")
    return tuple(url.rstrip("/") for url in urls)


def _refuse_twice(complaints: Complaints, tables: Sequence[Mapping[str, Any]]) -> None:
    seen: list[object] = []
    for n, table in enumerate(tables):
        topic = table.get("topic")
        if topic is not None and topic in seen:
            complaints.add(("source", n, "topic"), f"{topic!r} is a source of this map already")
        seen.append(topic)

"""What two fingerprints differ in, in an operator's words."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOUNS = {
    "festivals": "festival",
    "facts": "topic",
    "fields": "field",
    "rollups": "table",
    "measures": "measure",
    "derived": "dimension",
    "distincts": "distinct number",
    "currencies": "currency",
    "windows": "window",
}
"""What one entry of a part that has names for its entries is called."""
_WORDS = {
    "settle_ms": "FESTIVAL_SETTLE_MS",
    "dedup_horizon_minutes": "FESTIVAL_DEDUP_HORIZON_MINUTES",
    "start_ms": "start",
    "end_ms": "end",
    "limits": "limit",
    "types": "event types",
}
_TIMES = frozenset({"start_ms", "end_ms"})
_MISSING = object()
_LONGEST = 80


def differences(ledger: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Return a clause for each difference between the ledger's document and the one of this process."""
    return list(_differences(ledger, here, "", ""))


def _differences(ledger: Any, here: Any, place: str, name: str) -> Iterator[str]:  # noqa: ANN401 - JSON values
    if ledger == here:
        return
    if _has_names(ledger) and _has_names(here):
        ledger_names, here_names = [row["name"] for row in ledger], [row["name"] for row in here]
        if sorted(ledger_names) == sorted(here_names) and ledger_names != here_names:
            yield _told(ledger_names, here_names, _joined(place, f"order of the {name}", name), "")
        ledger, here = ({row["name"]: row for row in rows} for rows in (ledger, here))
    if isinstance(ledger, dict) and isinstance(here, dict):
        for key in sorted(ledger.keys() | here.keys()):
            inner = f"{_NOUNS[name]} {key}" if name in _NOUNS else _word(key)
            inside = (ledger.get(key, _MISSING), here.get(key, _MISSING))
            # An entry has attributes of its own, which its name does not say.
            yield from _differences(*inside, _joined(place, inner, key), "" if name in _NOUNS else key)
    else:
        yield _told(ledger, here, place or name, name)  # a part whose entries alone have names


def _has_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _joined(place: str, inner: str, key: str) -> str:
    """Return the place of what is inside: a part of which each entry is named needs no name itself."""
    if key in _NOUNS and inner == _word(key):
        return place
    return f"{place}, {inner}" if place else inner


def _word(key: str) -> str:
    return _WORDS.get(key, key)


def _told(ledger: object, here: object, place: str, name: str) -> str:
    if ledger is _MISSING and isinstance(here, dict):
        return f"{_entry(place, here)} added"
    if here is _MISSING and isinstance(ledger, dict):
        return f"{_entry(place, ledger)} removed"
    return f"{place}: the ledger has {_value(ledger, name)}, here is {_value(here, name)}"


def _entry(place: str, row: dict[str, Any]) -> str:
    """Return what a whole entry is called: a table is told by its dimension."""
    dimension = row.get("dimension")
    return place if dimension is None else f"dimension {dimension} of {row.get('fact')}"


def _value(value: object, name: str) -> str:
    if value is _MISSING:
        return "nothing"
    if name == "default" and value is None:
        return "none (it is required)"
    if name in _TIMES and isinstance(value, int):
        return f"{dt.datetime.fromtimestamp(value / 1000, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    return orjson.dumps(value).decode()[:_LONGEST]

"""Paths into a record: `a.b[0].c`, `a."b.c"`, `items[*]`, and `[].x` in the element of an `each`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PART = re.compile(
    r"""(?P<dot>\.)?(?:"(?P<quoted>[^"]+)"|(?P<key>[^."\[\]{}]+))|\[(?P<index>\d{1,6})\]|(?P<all>\[\*\])""", re.VERBOSE
)
_ELEMENT = "[]"


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value stands in a record; equal paths are written alike."""

    text: str
    parts: tuple[str | int, ...]
    """Keys of objects, and places in lists from 0 on."""
    is_in_element: bool = False
    """Whether it begins in the element of an `each`, and not in the record."""
    is_all: bool = False
    """Whether it names every element of the list that it leads to."""

    def __str__(self) -> str:
        """Return it as the map has it."""
        return self.text

    def below(self, *parts: str | int) -> Path:
        """Return the path of a value inside this one."""
        more = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
        return Path(self.text.removesuffix("[*]") + more, (*self.parts, *parts), self.is_in_element)


def parse_path(text: object, *, may_be_all: bool = False) -> Path:
    """Return the path in a text of the map. Raises `TypeError` and `ValueError` that say what would be right."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no path: a text such as a.b[0].c")
    rest = text.removeprefix(_ELEMENT)
    is_in_element = rest != text
    parts: list[str | int] = []
    is_all, at = False, 0
    while at < len(rest):
        found = _PART.match(rest, at)
        is_first = at == 0 and not is_in_element
        is_key = found is not None and (found["key"] or found["quoted"]) is not None
        if found is None or is_all or (is_key and (found["dot"] is None) is not is_first):
            raise ValueError(f'{text!r} is no path, such as a.b[0].c, or a."b.c" for a key with a dot')
        if found["all"]:
            is_all = True
        elif is_key:
            parts.append(found["key"] or found["quoted"])
        else:
            parts.append(int(found["index"]))
        at = found.end()
    if not parts and not is_in_element and not is_all:
        raise ValueError("an empty text is no path")
    if is_all is not may_be_all:
        needed = "names a list, and ends in [*]" if may_be_all else "names one value, and has no [*]"
        raise ValueError(f"{text!r}: this path {needed}")
    return Path(text, tuple(parts), is_in_element, is_all)


def parse_template(text: object) -> tuple[tuple[str, Path | None], ...]:
    """Return pairs of a literal and the path after it, None after the last. Raises like `parse_path`."""
    if not isinstance(text, str):
        raise TypeError("a template is a text that names paths in braces: {id}:{status}")
    found: list[tuple[str, Path | None]] = []
    literal, rest = "", text
    while rest:
        if rest[:2] in ("{{", "}}"):
            literal, rest = literal + rest[0], rest[2:]
        elif rest[0] == "{":
            inner = re.match(r'\{((?:"[^"]*"|[^"}])*)\}', rest)
            if inner is None:
                raise ValueError(f"{text!r}: a brace is not closed; a brace itself is written twice")
            found.append((literal, parse_path(inner[1])))
            literal, rest = "", rest[inner.end() :]
        elif rest[0] == "}":
            raise ValueError(f"{text!r}: a brace is not opened; a brace itself is written twice")
        else:
            literal, rest = literal + rest[0], rest[1:]
    if not found:
        raise ValueError("a template names a path in braces at least: {id}:{status}")
    return (*found, (literal, None)) if literal else tuple(found)


def getter(parts: Sequence[str | int]) -> Callable[[Any], Any]:
    """Return what reads the value at `parts` off an object; None where it is not there.

    A key is looked up in objects only, a place in lists only.
    """
    if all(isinstance(part, str) for part in parts):
        return _by_keys([str(part) for part in parts])

    def walk(value: Any) -> Any:  # noqa: ANN401 - whatever the record holds
        for part in parts:
            if isinstance(part, str):
                value = value.get(part) if isinstance(value, dict) else None
            else:
                value = value[part] if isinstance(value, list) and part < len(value) else None
        return value

    return walk


def _by_keys(keys: Sequence[str]) -> Callable[[Any], Any]:  # noqa: C901 - one function for each length
    """Return the same for keys only: most paths are one or two."""
    if not keys:
        return lambda value: value
    if len(keys) == 1:
        (key,) = keys

        def one(value: Any) -> Any:  # noqa: ANN401 - whatever the record holds
            try:
                return value[key]
            except (KeyError, TypeError, IndexError):
                return None

        return one
    if len(keys) == 2:  # noqa: PLR2004 - two keys
        first, second = keys

        def two(value: Any) -> Any:  # noqa: ANN401 - whatever the record holds
            try:
                return value[first][second]
            except (KeyError, TypeError, IndexError):
                return None

        return two

    def more(value: Any) -> Any:  # noqa: ANN401 - whatever the record holds
        try:
            for key in keys:
                value = value[key]
        except (KeyError, TypeError, IndexError):
            return None
        return value

    return more

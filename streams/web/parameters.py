"""Query parameters of the API, read strictly: each one once (but `in`), none unknown, every value whole.

What is wrong raises `UsageError` with a sentence that names the parameter; it becomes a 400.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.domain.currencies import EXPONENTS
from streams.errors import UsageError

if TYPE_CHECKING:
    from aiohttp import web

TOP_DIGITS = 9
"""No dimension has a billion values. Numbers of more than 4,300 digits Python refuses with an error of its own."""


class Parameters:
    """The parameters of one request."""

    def __init__(self, request: web.BaseRequest, *known: str) -> None:
        """Take the query; raises `UsageError` where it has a parameter that is not `known`."""
        self._query = request.query
        others = sorted(set(self._query) - set(known))
        if others:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise UsageError(f"{others[0]}: no such parameter; {request.path} {takes}")

    def text(self, name: str) -> str | None:
        """Return a parameter, None where it is not given; raises `UsageError` for one given twice or empty."""
        given = self._query.getall(name, [])
        if not given:
            return None
        if len(given) > 1 or not given[0]:
            raise UsageError(f"{name}: give one value")
        return given[0]

    def top(self) -> int | None:
        """Return how many rows are wanted."""
        text = self.text("top")
        if text is None:
            return None
        if not (len(text) <= TOP_DIGITS and text.isascii() and text.isdigit() and int(text) > 0):
            raise UsageError(f"top: {_shortened(text)} is no number of rows, such as 10")
        return int(text)

    def currency(self) -> str | None:
        """Return a currency that amounts can be in."""
        text = self.text("currency")
        return None if text is None else _currency("currency", text)

    def currencies(self, name: str) -> tuple[str, ...]:
        """Return the currencies of a parameter that may be given several times, or with commas; each one once."""
        given = (text for value in self._query.getall(name, []) for text in value.split(","))
        return tuple(dict.fromkeys(_currency(name, text) for text in given))


def _currency(name: str, text: str) -> str:
    if text not in EXPONENTS:
        raise UsageError(f"{name}: {_shortened(text)} is no currency; write its ISO 4217 code, such as CNY")
    return text


def _shortened(text: str) -> str:
    """Return what was given as a sentence can hold it."""
    shown = 40
    return repr(text) if len(text) <= shown else f"{text[:shown]!r}… ({len(text)} characters)"

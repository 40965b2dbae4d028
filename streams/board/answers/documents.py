"""JSON documents of the board's values: the form in which totals leave this program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from streams.board.answers.values import Row, Totals

Document = dict[str, Any]
"""Ready for JSON; integers may exceed 64 bits."""


def plain(value: msgspec.Struct) -> Document:
    """Return a value as a document, field by field."""
    document: Document = msgspec.to_builtins(value)
    return document


def totals_json(totals: Totals) -> Document:
    """Return the totals document of contract 3: the story's keys beside the others, rows under their dimension."""
    document: Document = {}
    for name, value in plain(totals).items():
        if name == "story":
            document |= value
        else:
            document[name] = value
    if totals.by is not msgspec.UNSET:
        document["by"] = [row_json(row) for row in totals.by]
    return document


def row_json(row: Row) -> Document:
    """Return a row: the value stands under the name of its dimension."""
    document = plain(row)
    return {document.pop("dimension"): document.pop("value"), **document}

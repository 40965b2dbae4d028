"""Columns into texts, many at once: by the compiled part where it is built, by templates elsewhere, with equal bytes.

Keys and values of a replay's records are made here; those of the compiled part are no objects until one is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streams.native import IS_BUILT

if IS_BUILT:
    from streams.native.writing import write_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.curves import Int64s
    from streams.native.texts import Texts


class Piece(NamedTuple):
    """What stands at one place of each text."""

    before: bytes
    column: Int64s
    """Numbers, of which a negative one is left out with what stands before it; or indices of `choices`."""
    choices: Sequence[bytes] | None = None


def write(pieces: Sequence[Piece], after: bytes, *, is_compiled: bool = IS_BUILT) -> Texts:
    """Return a text for each row: the pieces one after the other, and `after`. There must be one piece at least."""
    if is_compiled:
        return write_texts(pieces, len(pieces[0].column), after)
    template = b""
    columns: list[Sequence[bytes | int]] = []
    for before, column, choices in pieces:
        beginning = before.replace(b"%", b"%%")
        if choices is not None:
            template += beginning + b"%b"
            columns.append(list(map(choices.__getitem__, column.tolist())))
        elif (column >= 0).all():
            template += beginning + b"%d"
            columns.append(column.tolist())
        else:
            template += b"%b"
            given = beginning + b"%d"
            columns.append([given % number if number >= 0 else b"" for number in column.tolist()])
    template += after.replace(b"%", b"%%")
    return [template % row for row in zip(*columns, strict=True)]

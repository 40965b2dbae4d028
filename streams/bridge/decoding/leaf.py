"""What a schema says of one value beside its type: the unit of a time, the scale of a decimal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Leaf(NamedTuple):
    """The schema's own type of an integer or of bytes. Without one all is None."""

    unit: str | None = None
    """The integer is a time since the epoch in this unit."""
    is_local: bool = False
    """That epoch is of the local clock."""
    is_date: bool = False
    """The integer is a date: days since the epoch."""
    scale: int | None = None
    """The bytes are a decimal: an integer, big end first, with so many digits behind the point."""


PLAIN = Leaf()


class Shape(Protocol):
    """What is known of the objects that one schema, or none, describes."""

    def leaf(self, parts: Sequence[str | int]) -> Leaf:
        """Return what the schema says of the value at a path; raises `ValueError` where it says two things."""


class NoSchema:
    """The shape of records without a schema."""

    def leaf(self, parts: Sequence[str | int]) -> Leaf:  # noqa: ARG002 - whatever the path
        """Return that nothing is known."""
        return PLAIN


class Decoder(Protocol):
    """Reads the payload of one schema."""

    @property
    def shape(self) -> Shape:
        """Return what is known of its objects."""

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - whatever the record holds
        """Return the payload's value. Raises `RejectedError`."""

"""What is wrong for as long as it is: told once when it appears, and once when it has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class News(NamedTuple):
    """What differs from the look before, as sentences."""

    appeared: list[str]
    gone: list[str]


class Remarks:
    """Remembers what was told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._told: dict[str, str] = {}

    def news(self, found: Mapping[str, str]) -> News:
        """Return what is new and what has gone; `found` has all that is wrong now, a sentence for each subject."""
        appeared = [sentence for subject, sentence in found.items() if subject not in self._told]
        gone = [subject for subject in self._told if subject not in found]
        for subject in gone:
            del self._told[subject]
        self._told = {**found, **self._told}
        return News(appeared, gone)

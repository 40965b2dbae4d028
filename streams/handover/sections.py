"""What a report is made of: sections of figures, drawings, tables and bars, as texts of one language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.handover.names import festival_named, named, region_named
from streams.handover.tongue import Tongue
from streams.handover.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from streams.domain.festivals import Festival

_OTHER, _NONE = "__other__", "__none__"
_REGIONS = ("market", "origin")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its name."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; the first column is told to the left, the others to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    note: str = ""
    is_wide: bool = False
    """Texts in place of numbers: all to the left."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A row whose size is drawn: `width` in per cent of the largest."""

    name: str
    value: str
    share: str
    width: float


@dataclass(frozen=True, slots=True)
class Bars:
    """Rows by size."""

    title: str
    bars: Sequence[Bar]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A curve, with the table of it for those who do not see it."""

    title: str
    svg: Markup
    table: Table
    legend: Sequence[tuple[str, str]] = ()
    """(Class of the line, name)."""


@dataclass(slots=True)
class Section:
    """One part of the report, in the order of its fields."""

    name: str
    """Its id in the document."""
    title: str
    paragraphs: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    bars: list[Bars] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Writer:
    """The language of a report: its words, numbers and names."""

    def __init__(self, language: str, festival: Festival) -> None:
        """Write of `festival` in a language of `LANGUAGES`."""
        self.words = words(language)
        self.tongue = Tongue(language, festival)
        self.festival = festival
        self.language = language

    def say(self, key: str, **parts: str) -> str:
        """Return a sentence with its parts."""
        return self.words[key].format(**parts)

    def name(self, dimension: str, value: str) -> str:
        """Return how a value of a dimension is called."""
        if value in {_OTHER, _NONE}:
            return self.words["other" if value == _OTHER else "none"]
        country = None
        if dimension in _REGIONS:
            country = region_named(self.language, value) or self.tongue.country(value)
        place, space, number = value.rpartition(" ")
        if number.isdigit() and (city := named(self.language, place)):
            return city + space + number
        return country or named(self.language, value) or value

    def called(self, name: str) -> str:
        """Return a festival's name."""
        return festival_named(self.language, name)

    def home(self, minor: int | None) -> str:
        """Return money of the home currency, in four digits."""
        return self.tongue.money(minor, self.festival.home_currency)

    def spoken(self, minor: int | None) -> str:
        """Return the same as a sentence has it."""
        return self.tongue.money(minor, self.festival.home_currency, is_spoken=True)

    def exact_home(self, minor: int | None) -> str:
        """Return money of the home currency, to the minor unit."""
        return self.tongue.exact(minor, self.festival.home_currency)

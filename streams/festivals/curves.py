"""The published curves of past festivals: how much a day had sold, and when.

The replay draws its orders along them; what is rehearsed or shown small is scaled by them.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from streams.domain.currencies import EXPONENTS
from streams.domain.curves import parse_curves

if TYPE_CHECKING:
    from streams.domain.curves import Curve


def load_curves() -> dict[str, Curve]:
    """Return the published curves that ship with the package, by festival."""
    return parse_curves((files(__package__) / "curves.csv").read_text("utf-8"), EXPONENTS)

"""What a client would rather have: the headers that are lists of names, each with a weight (RFC 9110, 12.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


def listed(request: web.BaseRequest, name: str) -> list[str]:
    """Return the members of a header that is a list, of all its lines."""
    return ",".join(request.headers.getall(name, ())).split(",")


def weights_of(request: web.BaseRequest, name: str) -> dict[str, float]:
    """Return each name in a header, in lower case, with its weight: 1 where none is given, 0 for what is no number."""
    weights = {}
    for part in listed(request, name):
        named, _, parameter = part.lower().partition(";")
        key, _, weight = parameter.partition("=")
        weights[named.strip()] = _weight(weight.strip()) if key.strip() == "q" else 1.0
    return weights


def _weight(text: str) -> float:
    """Return a quality value; 0 for what is none."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0

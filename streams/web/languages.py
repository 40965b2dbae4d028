"""Which language a reader is answered in: the first that the page has of those that the browser asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.web.weights import weights_of

if TYPE_CHECKING:
    from aiohttp import web

LANGUAGES = ("en", "de", "zh")
"""Those that the page is written in; the first is for who asks for none of them."""


def language_of(request: web.BaseRequest) -> str:
    """Return the best language for `Accept-Language` (RFC 9110, 12.5.4): `de-AT` is served by `de`."""
    weights = weights_of(request, "Accept-Language")
    wanted = sorted((name for name, weight in weights.items() if weight > 0), key=lambda name: -weights[name])
    known = (name.partition("-")[0] for name in wanted)
    return next((name for name in known if name in LANGUAGES), LANGUAGES[0])

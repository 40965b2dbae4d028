"""Answers of the API: JSON with an ETag, compressed for who takes it, not sent again to who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from streams.web.channel import identity
from streams.web.source import to_json

if TYPE_CHECKING:
    from streams.web.source import Document

COMPRESSED_BYTES = 1_024
"""Smaller bodies fit into one packet as they are."""


def answer(request: web.Request, body: bytes, content_type: str, *, is_text: bool = False) -> web.Response:
    """Return the body, or 304 where the client says by `If-None-Match` that it has it.

    `no-cache` means: keep it, and ask each time whether it is still so. The tag is a weak one, because the same content
    may come compressed or not.
    """
    tag = f'W/"{identity(body)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    known = {part.strip().removeprefix("W/") for part in request.headers.get("If-None-Match", "").split(",")}
    if "*" in known or tag.removeprefix("W/") in known:
        return web.Response(status=304, headers=headers)
    charset = "utf-8" if is_text else None
    response = web.Response(body=body, content_type=content_type, charset=charset, headers=headers)
    if len(body) >= COMPRESSED_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def json_answer(request: web.Request, document: Document) -> web.Response:
    """Return a document that may be kept and asked for again."""
    return answer(request, to_json(document), "application/json", is_text=True)

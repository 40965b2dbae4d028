"""Where a server's pages lie, and who may frame them: at `/` and nobody, unless a proxy stands before it."""

from __future__ import annotations

from dataclasses import dataclass

from streams.web.visitors import OPERATIONS, STREAM

ROOT = "/"
NOBODY = "'none'"


@dataclass(frozen=True)
class Placement:
    """What the settings `FESTIVAL_WEB_PATH` and `FESTIVAL_WEB_FRAME_ANCESTORS` say."""

    path: str = ROOT
    """Begins and ends with a slash; everything lies under it."""
    frame_ancestors: str = NOBODY
    """As the directive of Content-Security-Policy has them."""

    def under(self, path: str) -> str:
        """Return where something lies that would lie at `path` without a proxy."""
        return self.path + path.removeprefix(ROOT)

    def is_stream(self, path: str) -> bool:
        """Return whether a request asks for the event stream."""
        return path == self.under(STREAM)

    def is_visit(self, path: str) -> bool:
        """Return whether a request is a visitor's: all are, but those of operations."""
        return path not in map(self.under, OPERATIONS)

    def headers(self) -> dict[str, str]:
        """Return what every answer tells browsers."""
        return {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {self.frame_ancestors}",
        }

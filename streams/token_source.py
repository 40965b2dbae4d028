"""Where tokens for Kafka come from, as it is set (`streams.security`) and carried out (`streams.tokens`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from streams.renewed import Secret

PROVIDERS = "festival.token_providers"
"""The group of entry points; each is a callable without arguments that returns the token and when it expires, in ms."""


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where tokens come from: exactly one of address, file and provider."""

    url: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = field(default=None, repr=False)
    scope: str | None = None
    ca_file: Path | None = None
    file: Secret | None = field(default=None, repr=False)
    provider: str | None = None
    extensions: tuple[tuple[str, str], ...] = ()

"""What the server says of itself and of requests, typed. What it says of festivals: `streams.board.answers.values`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class Error(Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong, in a sentence."""

    error: str
    loaded: Annotated[Literal[False] | UnsetType, Meta(description="Given where no committed state was read yet.")] = (
        UNSET
    )


class Readiness(Struct, frozen=True):
    """Whether the process does its work, and why not."""

    ready: bool
    reason: str


class Liveness(Struct, frozen=True):
    """The process is up: it answers."""

    status: Literal["up"] = "up"

"""Which generation of the ledger is current, and which one a recount is counting beside it: the control record.

Its key is `["generations"]`, and it lies in partition 0 of the ledger topic. Without one the generation is `g1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streams.engine.checkpoint import UnreadableError

if TYPE_CHECKING:
    from streams.domain.declarations import Declarations

FIRST = "g1"


class NextGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that a recount is counting beside the current one."""

    id: str
    fingerprint: str
    """SHA-256 (hex) of the fingerprint it is counted under: a recount with the same one goes on with it."""


class Generations(msgspec.Struct, frozen=True, kw_only=True):
    """Value of the control record, JSON."""

    current: str = FIRST
    next: NextGeneration | None = None
    previous: str | None = None
    """Current before this one: whose late writers a takeover has to fence."""
    remade: tuple[tuple[str, int], ...] = ()
    """Source partitions (topic, number) whose log was made again since: what earlier generations had read of them says
    nothing about them now."""
    declared: dict[str, Any] | None = None
    """The fingerprint of the current generation, with every festival that was declared since it began; None: nobody has
    counted yet."""
    counted_from: dict[str, dict[str, int]] = {}
    """Where a recount was allowed to begin although records were lost: topic, partition, first offset that is counted.
    It stays, whatever is recounted later."""

    def newer(self) -> str:
        """Return a name that no generation had before."""
        numbers = [int(name[1:]) for name in (self.current, self.next.id if self.next else None) if name]
        return f"g{max(numbers) + 1}"


def declared(found: Generations, declarations: Declarations) -> Generations:
    """Return the generations with all festivals of `declarations` declared.

    Raises `FingerprintError` where the current generation is counted under other declarations, or counts a festival
    that these do not know: none is ever removed.
    """
    if found.declared is not None:
        declarations.check(found.declared)
    document = declarations.read_back()
    return found if found.declared == document else msgspec.structs.replace(found, declared=document)


def encode(generations: Generations) -> bytes:
    """Return the value of the control record."""
    return msgspec.json.encode(generations)


def decode(value: bytes) -> Generations:
    """Return what a control record says; raises `UnreadableError` where it is none."""
    try:
        return msgspec.json.decode(value, type=Generations)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"the control record of the generations cannot be read: {error}") from error

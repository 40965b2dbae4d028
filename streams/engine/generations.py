"""Which generation of the ledger is current, and which one a recount is counting beside it: the control record.

Its key is `["generations"]`, and it lies in partition 0 of the ledger topic. Without one the generation is `g1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streams.engine.checkpoint import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.domain.declarations import Declarations

FIRST = "g1"


class NextGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that a recount is counting beside the current one."""

    id: str
    fingerprint: str
    """SHA-256 (hex) of the fingerprint it is counted under: a recount with the same one goes on with it."""


class Remade(msgspec.Struct, frozen=True, array_like=True):
    """A source partition whose log is another one, from an offset on, than earlier generations had counted."""

    topic: str
    partition: int
    from_offset: int
    """What lies before it is what they had counted; 0: nothing is, as of a topic that was made again."""
    generation: str
    """The first one that counted the other log."""


class Generations(msgspec.Struct, frozen=True, kw_only=True):
    """Value of the control record, JSON."""

    current: str = FIRST
    next: NextGeneration | None = None
    previous: str | None = None
    """Current before this one: whose late writers a takeover has to fence."""
    remade: tuple[Remade, ...] = ()
    """Logs that were made again or lost their tail: what was set aside of their offsets before may be of records that
    are gone. They stay, whatever is recounted later."""
    declared: dict[str, Any] | None = None
    """The fingerprint of the current generation, with every festival that was declared since it began; None: nobody has
    counted yet."""
    counted_from: dict[str, dict[str, int]] = {}
    """Where a recount was allowed to begin although records were lost: topic, partition, first offset that is counted.
    It stays, whatever is recounted later."""

    def remade_of(self, partition: int) -> tuple[Remade, ...]:
        """Return what was remade of a partition."""
        return tuple(remade for remade in self.remade if remade.partition == partition)

    def newer(self) -> str:
        """Return a name that no generation had before."""
        numbers = [number_of(name) for name in (self.current, self.next.id if self.next else None) if name]
        return f"g{max(numbers) + 1}"


def set_aside_below(read_by_others: Mapping[str, Mapping[str, int]], remade: Collection[Remade]) -> dict[str, int]:
    """Return below which offset other generations have set a topic's bad records aside, as far as they read them.

    `read_by_others` has their positions by generation and topic, `remade` what was remade of the partition: what one
    had read before says something of the offsets below alone.
    """
    below: dict[str, int] = {}
    for generation, positions in read_by_others.items():
        since = [one for one in remade if number_of(one.generation) > number_of(generation)]
        for topic, offset in positions.items():
            known = min([offset, *(one.from_offset for one in since if one.topic == topic)])
            below[topic] = max(known, below.get(topic, 0))
    return below


def number_of(generation: str) -> int:
    """Return the number in a generation's name: a later one has a larger."""
    return int(generation[1:])


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

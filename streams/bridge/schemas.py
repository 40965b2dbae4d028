"""The schemas that are known so far, by the ids under which a registry has them. Looked up without waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.bridge.decoding.avro import AvroDecoder
    from streams.bridge.outcomes import WaitReason


class Fault(StrEnum):
    """What is known of a schema that cannot be used."""

    UNKNOWN = "unknown"
    """The registry does not have it, so far."""
    UNUSABLE = "unusable"
    """It is no Avro schema, and never will be one."""


class NoDecoder(NamedTuple):
    """A schema that cannot be used, and why."""

    fault: Fault
    detail: str


class Schemas(Protocol):
    """What a translation asks."""

    def find(self, schema: str) -> AvroDecoder | NoDecoder | None:
        """Return what is known of an id or a GUID; None where the registry was not asked, or has not answered."""

    def why(self, schema: str) -> WaitReason | None:
        """Return why a schema that is waited for is not there; None where the registry has not answered yet."""


@dataclass
class GivenSchemas:
    """Schemas that stand beside the records, in place of a registry."""

    decoders: Mapping[str, AvroDecoder | NoDecoder] = field(default_factory=dict)

    def find(self, schema: str) -> AvroDecoder | NoDecoder:
        """Return what was given."""
        return self.decoders.get(schema, NoDecoder(Fault.UNKNOWN, f"schema {schema} is not given"))

    def why(self, schema: str) -> WaitReason | None:
        """Return nothing: no schema is waited for."""
        assert schema not in self.decoders, schema
        return None

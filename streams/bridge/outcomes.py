"""What becomes of a record: sent, ignored or rejected; and why a partition waits."""

from __future__ import annotations

from enum import StrEnum

from streams.domain.rejections import BridgeReason, Reason, Rejection

_OF_BRIDGE = frozenset(BridgeReason)


class Outcome(StrEnum):
    """Each record has exactly one."""

    SENT = "sent"
    IGNORED = "ignored"
    REJECTED = "rejected"


class WaitReason(StrEnum):
    """Why a partition stands still, and goes on by itself once that has gone."""

    REGISTRY_AWAY = "registry_away"
    UNKNOWN_SCHEMA = "unknown_schema"
    NOT_ALLOWED = "not_allowed"


class RejectedError(Exception):
    """A record that is set aside."""

    def __init__(self, reason: str, path: str | None, detail: str) -> None:
        """`path` is where in the record the fault lies, None where it is the record's own."""
        super().__init__(detail)
        self.reason, self.path, self.detail = str(reason), path, detail

    @property
    def rejection(self) -> Rejection:
        """Return it as it is set aside: the path stands in front of what is wrong."""
        reason = BridgeReason(self.reason) if self.reason in _OF_BRIDGE else Reason(self.reason)
        is_told = self.path is None or self.detail.startswith(self.path)
        return Rejection(reason, self.detail if is_told else f"{self.path}: {self.detail}")


class IgnoredError(Exception):
    """A record, or an element of it, that the map does not take."""

    def __init__(self, rule: str) -> None:
        """`rule` names what the map says of it."""
        super().__init__(rule)
        self.rule = rule


class NeedsSchemaError(Exception):
    """A record that cannot be read before its schema is known."""

    def __init__(self, schema: str) -> None:
        """Name the id, or the GUID, under which the registry has it."""
        super().__init__(schema)
        self.schema = schema

"""The verdict of an audit on one festival, as it stands on `festival.audits` under the festival's id.

Made of an `AuditResult`, recorded and followed by `streams.audit.recorded`, shown by boards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from streams.audit.result import AuditResult

Number = Annotated[int, Meta(ge=0)]
Places = dict[str, dict[str, Number]]
"""Topic, partition, offset."""


class Verdict(msgspec.Struct, frozen=True, rename={"began": "from"}):
    """Whether a ledger was right about a festival, and up to where that was looked at."""

    festival: str
    ledger: str
    """The generation that was audited."""
    exact: bool
    differences: Number
    """Numbers that differ in the festival's own totals, and in what all festivals share."""
    positions: Places
    """Up to where both counted."""
    began: Places
    """From where."""
    audited_ms: Number


def verdicts_of(result: AuditResult, audited_ms: int) -> list[Verdict]:
    """Return the verdict on each festival that was compared; what differs for all of them speaks against each."""
    verdicts = []
    for festival in result.festivals:
        differences = result.differing_of(festival)
        is_exact = differences == 0 and not result.lacking and festival not in result.late
        verdicts.append(
            Verdict(festival, result.generation, is_exact, differences, result.positions, result.began, audited_ms)
        )
    return verdicts


def encode_verdict(verdict: Verdict) -> tuple[bytes, bytes]:
    """Return key and value of the record."""
    return verdict.festival.encode(), msgspec.json.encode(verdict)


def decode_verdict(key: bytes | None, value: bytes) -> Verdict:
    """Return the verdict in a record; raises `ValueError` for one that is none."""
    verdict = msgspec.json.decode(value, type=Verdict)
    if key != verdict.festival.encode():
        raise ValueError(f"the key is not the festival {verdict.festival!r}")
    return verdict

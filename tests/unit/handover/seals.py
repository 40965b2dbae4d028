"""Sealed days, for whoever reads them."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from streams.audit.result import AuditResult
from streams.domain.declarations import Declarations
from streams.engine.judgement import Judgement, judge
from streams.engine.sealed.container import Members, pack_members
from streams.handover.sealing import Audited, State, reasons_against, sealed_bytes
from tests.unit.handover.days import counted
from tests.unit.looks import sources_ending_at
from tests.unit.replay.memory import RECORD_TIME_MS

if TYPE_CHECKING:
    from pathlib import Path

SEALED_MS = RECORD_TIME_MS + 7_200_000
PLACES = {"orders": {"0": 7}}


def state_of(festival_id: str = "singles-day-2019", orders: int = 300, **changes: Any) -> State:  # noqa: ANN401 - fields
    """Return a counted day, audited and exact; `changes` replaces fields."""
    festival, log, snapshot = counted(festival_id, orders)
    ends: dict[str, dict[int, int]] = {}
    for (topic, partition), values in log.values.items():
        ends.setdefault(topic, {})[partition] = len(values)
    state = State(
        snapshot=snapshot,
        judgement=judge(sources_ending_at(ends), snapshot.cursors),
        festival=festival,
        fingerprint=Declarations({festival.id: festival}, 30 * 86_400_000, 10).fingerprint,
        audited=Audited(AuditResult("g1", PLACES, {"orders": {"0": 0}}, (festival.id,)), "", SEALED_MS - 1_000),
        first_record_ms=RECORD_TIME_MS,
        version="1.2.3",
    )
    return dataclasses.replace(state, **changes)


def sealed_day(state: State | None = None) -> bytes:
    """Return the file of a state, whatever speaks against it."""
    state = state or state_of()
    document = state.document()
    return sealed_bytes(state, document, reasons_against(state, document, SEALED_MS), SEALED_MS)[0]


def sealed_at(path: Path, state: State | None = None) -> Path:
    """Write the file of a state."""
    path.write_bytes(sealed_day(state))
    return path


def with_member(data: bytes, name: str, content: object) -> bytes:
    """Return a file with another member, bytes or JSON, under a digest that fits."""
    read = Members(data)
    members = {known: read.read(known) for known in read.names()}
    return pack_members({**members, name: content if isinstance(content, bytes) else json.dumps(content).encode()})[0]


def incomplete(state: State) -> State:
    """Return the state where a partition has no total."""
    judgement = Judgement(uncovered=(1,), partitions=2, lag_records=3)
    return dataclasses.replace(state, judgement=judgement)

"""Counted days to report of: records of a replay, through the ledger, into findings."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from streams.audit.verdict import Verdict
from streams.engine.judgement import judge
from streams.festivals import load_festivals
from streams.festivals.curves import load_curves
from streams.handover.findings import Findings, findings_of
from streams.replay.load import festival_load
from streams.replay.scale import scaled
from tests.unit.looks import sources_ending_at
from tests.unit.replay.memory import RECORD_TIME_MS, Log, send
from tests.unit.replay.test_tally_and_ledger import count

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival

SHARES = {
    "duplicates": Decimal("0.02"),
    "late": Decimal("0.01"),
    "poison": Decimal("0.01"),
    "cancel": Decimal("0.02"),
    "foreign": Decimal("0.03"),
}
PARTITIONS = 2


@cache
def counted(festival_id: str, orders: int) -> tuple[Festival, Log, Snapshot]:
    """Return a festival as small as its orders, the records of its day, and the committed state of them."""
    festival = load_festivals()[festival_id]
    shares = SHARES if "orders" in festival.facts else {}
    load = festival_load(festival, RECORD_TIME_MS, orders=orders, partitions=PARTITIONS, shares=shares)
    curve = load_curves().get(festival_id)
    if curve is not None:
        festival = scaled(festival, curve, orders)
    log, _ = send(load, ())
    return festival, log, count(log, {festival.id: festival}).snapshot()


def told(festival_id: str, orders: int, **changes: Any) -> Findings:  # noqa: ANN401 - fields of `Findings`
    """Return the findings of a day; `changes` replaces what stands in them."""
    festival, log, snapshot = counted(festival_id, orders)
    ends: dict[str, dict[int, int]] = {}
    for (topic, partition), values in log.values.items():
        ends.setdefault(topic, {})[partition] = len(values)
    judgement = judge(sources_ending_at(ends), snapshot.cursors)
    verdict = Verdict(festival.id, snapshot.generation, True, 0, {}, {}, RECORD_TIME_MS + 3_600_000)
    found = findings_of(
        snapshot,
        festival,
        judgement,
        fingerprint=b"{}",
        verdict=verdict,
        incidents=None,
        made_ms=RECORD_TIME_MS + 7_200_000,
        version="0",
    )
    return dataclasses.replace(found, **changes)

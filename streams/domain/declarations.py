"""What decides a count, as one value, and its fingerprint in the ledger.

Two workers with equal fingerprints count the same log to the same ledger. Whatever is only read with a total
(rates, milestones, bounds, names) is not part of it and free to change.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from streams.domain.currencies import EXPONENTS
from streams.domain.facts import DERIVED, FACTS
from streams.domain.rollups import ROLLUPS, Rollup
from streams.domain.sketches import DISTINCTS, Distinct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.domain.festivals import Festival

FORMAT = 1
"""Of the ledger's pages; a worker refuses another one."""


class FingerprintError(Exception):
    """The ledger was counted under other declarations; the message names the differences."""


@dataclass(frozen=True)
class Declarations:
    """Festivals, rollups and limits that a count is made under."""

    festivals: Mapping[str, Festival]
    settle_ms: int
    dedup_horizon_minutes: int
    rollups: tuple[Rollup, ...] = ROLLUPS
    distincts: tuple[Distinct, ...] = DISTINCTS

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the source topics that some rollup counts, in the order of the facts."""
        counted = {rollup.fact for rollup in self.rollups}
        return tuple(topic for topic in FACTS if topic in counted)

    def document(self) -> dict[str, Any]:
        """Return everything that decides a count, as JSON values."""
        return {
            "format": FORMAT,
            "settle_ms": self.settle_ms,
            "dedup_horizon_minutes": self.dedup_horizon_minutes,
            "currencies": sorted(EXPONENTS),
            "festivals": {
                f.id: {"start_ms": f.start_ms, "end_ms": f.end_ms, "facts": list(f.facts)}
                for f in sorted(self.festivals.values(), key=lambda f: f.id)
            },
            "facts": {topic: [f.name for f in FACTS[topic].fields] for topic in self.topics},
            "derived": {
                name: {**asdict(derived), "types": list(derived.types)}
                for name, derived in DERIVED.items()
                if any(rollup.dimension == name for rollup in self.rollups)
            },
            "distincts": [asdict(distinct) for distinct in self.distincts],
            "rollups": [{**asdict(rollup), "window": rollup.window.value} for rollup in self.rollups],
        }

    @cached_property
    def fingerprint(self) -> bytes:
        """Return the document as it stands in the ledger (JSON, sorted keys)."""
        return orjson.dumps(self.document(), option=orjson.OPT_SORT_KEYS)

    def check(self, fingerprint: bytes) -> None:
        """Raise `FingerprintError`, naming each difference, unless the ledger's fingerprint equals this one."""
        if fingerprint == self.fingerprint:
            return
        theirs, ours = dict(_leaves(orjson.loads(fingerprint))), dict(_leaves(orjson.loads(self.fingerprint)))
        changed = [name for name in sorted(theirs.keys() | ours.keys()) if theirs.get(name) != ours.get(name)]
        told = [f"{name}: the ledger has {_told(theirs, name)}, here is {_told(ours, name)}" for name in changed]
        shown = 5
        more = f"; and {len(told) - shown} more" if len(told) > shown else ""
        raise FingerprintError(
            "the ledger was counted under other declarations: " + "; ".join(told[:shown]) + more
            + ". Put the old ones back, or count again under the new ones with `festival recount`"
        )  # fmt: skip


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value of a document with its path; named rows of a list go by their names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        for row in value:
            yield from _leaves({k: v for k, v in row.items() if k != "name"}, f"{path}.{row['name']}")
    else:
        yield path, value


def _told(leaves: Mapping[str, object], name: str) -> str:
    return orjson.dumps(leaves[name]).decode()[:80] if name in leaves else "nothing"

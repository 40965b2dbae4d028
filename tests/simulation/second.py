"""A festival that is declared amid a day, judged by an oracle of its own: what partitions count of it, since when."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.checker import MONEYED, difference, sums_of
from tests.simulation.oracle import KINDS, PartitionOracle, Rules
from tests.simulation.subject import SECOND, by_second

if TYPE_CHECKING:
    from tests.simulation.world import Place, World

HOUR_MS = 3_600_000


class Second:
    """What the second festival should come to. All methods raise `AssertionError`."""

    def __init__(self, world: World, start_ms: int) -> None:
        self._world, self.start_ms = world, start_ms
        self._oracles: dict[Place, PartitionOracle] = {}
        self._pages: dict[tuple[int, str], dict[tuple[str, int], Counter[str]]] = {}
        """Sums of the pages by second that are committed, by partition and generation, rollup and number."""
        self.documents: dict[tuple[int, str], dict[str, Any]] = {}
        """The fingerprint of each partition and generation."""

    def write(self, where: tuple[int, str], pages: dict[tuple[str, int], bytes], document: bytes | None) -> None:
        """Take what a checkpoint has written of the festival, and of the fingerprint."""
        if document is not None:
            self.documents[where] = json.loads(document)
        known = self._pages.setdefault(where, {})
        for (rollup, number), value in pages.items():
            for topic in self._world.topics:
                if rollup == by_second(topic):
                    measures = KINDS[topic].measures
                    known[rollup, number] = sums_of(value, measures, has_currency=topic in MONEYED)

    def knows(self, where: tuple[int, str]) -> bool:
        """Return whether a partition's ledger counts it."""
        return SECOND in self.documents.get(where, {}).get("festivals", {})

    def judge(self, where: tuple[int, str], topic: str, position: int) -> None:
        """Compare what a partition has committed with what lies between the position and where it began to count."""
        found: Counter[str] = Counter()
        for (rollup, _), sums in self._pages.get(where, {}).items():
            if rollup == by_second(topic):
                found.update(sums)
        document = self.documents.get(where, {})
        since = document.get("late", {}).get(SECOND, {}).get(topic, 0)
        expected: Counter[str] = Counter()
        if self.knows(where):
            expected = self.sums((topic, where[0]), since, position)
        told = f"{topic}/{where[0]} of {where[1]} from {since} to {position}"
        assert +found == +expected, f"the second festival, {told}: {difference(+found, +expected)}"

    def sums(self, place: Place, since: int, position: int) -> Counter[str]:
        """Return what the records of a source partition between two offsets add to it."""
        totals = self._oracle(place).totals(position)
        totals.subtract(self._oracle(place).totals(since))
        return Counter({name: value for name, value in totals.items() if "." in name and value and is_sum(name)})

    def _oracle(self, place: Place) -> PartitionOracle:
        """Return the oracle of a source partition, with all that the world's has taken."""
        shared, known = self._world.oracles[place], self._oracles.get(place)
        if known is None:
            rules = self._world.oracles[place].rules
            known = self._oracles[place] = PartitionOracle(
                place[0], Rules(self.start_ms, self.start_ms + HOUR_MS, rules.settle_ms, rules.horizon_minutes)
            )
        for record in shared.behind(len(known.offsets)):
            known.take(*record)
        return known


def is_sum(name: str) -> bool:
    """Return whether a total of an oracle is a sum of a measure: the others count outcomes."""
    return not name.startswith("rejected.")

"""Judges what a reader shows: it was committed, never goes back, and is complete where it says so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.simulation.checker import difference
from tests.simulation.oracle import KINDS
from tests.simulation.subject import SECOND, by_second

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.board.view.committed_view import Snapshot
    from streams.engine.judgement import Sources
    from tests.simulation.checker import Checker
    from tests.simulation.readers import Reader

READS = 100
"""Turns in which a reader has read everything, once nothing is written any more."""


class Shown:
    """One reader under judgement."""

    def __init__(self, reader: Reader, checker: Checker, topics: Sequence[str]) -> None:
        self.reader, self._checker, self._topics = reader, checker, topics
        self._sequences: dict[int, int] = {}
        self._generation: str | None = None
        self._judged: Snapshot | None = None
        self._looked: object = None
        """The look at the topics by which completeness was judged."""

    def turn(self) -> None:
        """Let the reader read on, and judge what it shows. Raises `AssertionError`."""
        self.reader.turn()
        snapshot, looked = self.reader.board.snapshot(), self.reader.board._looked
        is_same = snapshot is self._judged
        if not is_same:
            self._judged = snapshot
            self._judge_totals(snapshot)
        if looked is not None and not (is_same and looked is self._looked):
            self._looked = looked
            self._judge_completeness(looked[0])
            self._judge_second(snapshot)

    def finish(self, *, lost: Mapping[int, int]) -> None:
        """Read everything that is committed; then all has to be shown, and be called complete unless it is held."""
        for _ in range(READS):
            self.turn()
        self.reader.look()
        judgement = self.reader.board.judgement()
        held = {held.partition for held in judgement.held}
        assert held <= set(lost), f"held are {judgement.held}, and nothing was lost of them"
        stuck = {number for number in lost if not self._checker.is_counted(number)}
        assert stuck <= held, f"partitions {sorted(stuck - held)} are not counted, and not called held"
        assert judgement.is_complete == (not held), judgement
        snapshot = self.reader.board.snapshot()
        assert snapshot.generation == self._checker.generation, snapshot.generation
        for number, positions in snapshot.committed.items():
            if number in self._checker.behind:
                continue
            for topic in self._topics:
                assert positions[topic] == self._checker.position((topic, number)), (number, positions)
        if not lost:
            assert judgement.lag_records == 0, judgement

    def _judge_totals(self, snapshot: Snapshot) -> None:
        generation, cursors = snapshot.generation, snapshot.cursors
        if generation != self._generation:
            if self._generation is not None:
                assert int(generation[1:]) > int(self._generation[1:]), (
                    f"{generation} is shown after {self._generation}"
                )
            self._generation, self._sequences = generation, {}
        expected: dict[str, Counter[str]] = {topic: Counter() for topic in self._topics}
        if generation == self._checker.generation:
            assert snapshot.lost == self._checker.counted_from, f"{snapshot.lost}, not {self._checker.counted_from}"
        if snapshot.misfits or self._checker.behind:
            return  # it says itself that these are no totals, or it will once it has looked
        for number, cursor in cursors.items():
            count = self._checker.counts.get((number, generation))
            known = None if count is None else count.shown.get(cursor.sequence)
            told = f"partition {number}, {generation}: checkpoint {cursor.sequence} is shown"
            assert known is not None, f"{told}, and was not committed"
            before = self._sequences.get(number, 0)
            assert cursor.sequence >= before, f"{told} after {before}"
            self._sequences[number] = cursor.sequence
            for topic, (position, sums) in known.items():
                assert position == cursor.positions[topic], f"{told} with position {cursor.positions[topic]}"
                expected[topic].update(sums)
        assert self._sequences.keys() <= cursors.keys(), f"partitions {sorted(self._sequences)} were shown before"
        for topic in self._topics:
            found = _shown(snapshot, "day", topic)
            told = f"what is shown of {topic} was never committed"
            assert +found == +expected[topic], f"{told}: {difference(+found, +expected[topic])}"

    def _judge_second(self, snapshot: Snapshot) -> None:
        """Judge the second festival, where it may be called complete: each partition's count is all of it then."""
        second, generation = self._checker.second, snapshot.generation
        if second is None or SECOND not in snapshot.fingerprint.festivals or snapshot.late_partitions(SECOND):
            return
        if snapshot.misfits or self._checker.behind:
            return
        counts = {number: self._checker.counts[number, generation] for number in snapshot.cursors}
        for topic in self._topics:
            if any(count.tallies[topic].is_own for count in counts.values()) or self._checker.is_lost(topic):
                continue
            expected: Counter[str] = Counter()
            for number, cursor in snapshot.cursors.items():
                expected.update(second.sums((topic, number), 0, cursor.positions[topic]))
            found = _shown(snapshot, SECOND, topic)
            told = f"{topic} of the second festival is shown as whole"
            assert +found == +expected, f"{told}: {difference(+found, +expected)}"

    def _judge_completeness(self, sources: Sources) -> None:
        """Judge what is said of the totals, by what the topics were when the reader looked."""
        judgement, snapshot = self.reader.board.judgement(), self.reader.board.snapshot()
        ranges = {place: r for place, r in sources.ranges.items() if place[0] in self._topics}
        shown = {(t, number): o for number, positions in snapshot.committed.items() for t, o in positions.items()}
        if judgement.is_complete:
            assert ranges.keys() <= shown.keys(), f"complete without partitions {sorted(ranges.keys() - shown.keys())}"
            assert not snapshot.notes, f"complete though held: {snapshot.notes}"
            for place, (beginning, _, _) in ranges.items():
                assert shown[place] >= beginning, f"complete, though records of {place} are gone that nobody counted"
        if judgement.lag_records is not None and ranges.keys() <= shown.keys():
            behind = sum(max(0, r.end - shown[place]) for place, r in ranges.items())
            assert judgement.lag_records >= 0 or judgement.held, judgement
            assert judgement.held or judgement.lag_records == behind, f"lag {judgement.lag_records}, not {behind}"


def _shown(snapshot: Snapshot, festival: str, topic: str) -> Counter[str]:
    """Return what is shown of a topic, as the oracle names it."""
    found: Counter[str] = Counter()
    for group, measures in snapshot.table(festival, by_second(topic)).totals.items():
        currency = group[0] if group else ""
        for name, value in zip(KINDS[topic].measures, measures, strict=True):
            found[f"{currency}.{name}"] += value
    return found

"""Source topics as somebody may have seen them, for tests without a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine.judgement import Judgement, LogRange, Note, Sources, judge
from tests.unit.domain.samples import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.board.view.committed_view import Snapshot

Ends = dict[str, dict[int, int]]


def sources_ending_at(ends: Ends) -> Sources:
    """Return topics whose logs begin at 0 and end where `ends` says; the ledger has room for all."""
    counts = {topic: len(of_topic) for topic, of_topic in ends.items()}
    ranges = {(topic, p): LogRange(0, end, end) for topic, of_topic in ends.items() for p, end in of_topic.items()}
    return Sources(counts, ranges, max(counts.values()), IDENTITY)


def judging(snapshot: Callable[[], Snapshot], ends: Callable[[], Ends]) -> Callable[[Mapping[int, Note]], Judgement]:
    """Return what a board's `judgement` does, of topics that end where `ends` says."""
    return lambda notes: judge(sources_ending_at(ends()), snapshot().cursors, notes=notes)

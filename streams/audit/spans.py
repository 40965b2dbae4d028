"""Up to where a ledger is audited, and why a log cannot tell it any more: values in, values out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.domain.pages import Cursor

Spans = dict[tuple[str, int], tuple[int, int]]
"""Per topic (without prefix) and partition: first offset and the one after the last."""
_NOT_AUDITED = "What was counted there cannot be audited any more, unless the log is brought back."


def spans_of(cursors: Mapping[int, Cursor], facts: Collection[str]) -> Spans:
    """Return what the cursors of a ledger, by partition, say that was counted."""
    return {
        (topic, part): (cursor.started.get(topic, 0), position)
        for part, cursor in cursors.items()
        for topic, position in cursor.positions.items()
        if topic in facts
    }


def why_missing(spans: Mapping[tuple[str, int], tuple[int, int]], counts: Mapping[str, int]) -> str | None:
    """Return which partitions are not there, by the numbers of partitions that the topics have; None: all are."""
    missing = [f"{topic}[{part}]" for topic, part in sorted(spans) if part >= counts[topic]]
    return (
        f"the ledger counted {', '.join(missing)}: no such partition is there now. {_NOT_AUDITED}" if missing else None
    )


def left_of(spans: Spans, beginnings: Mapping[tuple[str, int], int]) -> Spans:
    """Return what the logs still hold of what was counted: retention has deleted the beginnings of some."""
    return {place: (min(max(start, beginnings[place]), end), end) for place, (start, end) in spans.items()}


def why_deleted(spans: Spans, beginnings: Mapping[tuple[str, int], int]) -> str | None:
    """Return which logs have lost records from where the ledger began to count; None: none has."""
    deleted = [
        f"{place[0]}[{place[1]}] begins at offset {beginnings[place]}, the ledger at {start}"
        for place, (start, end) in sorted(spans.items())
        if beginnings[place] > start and end > start
    ]
    return f"the log was deleted below where the ledger began to count: {'; '.join(deleted)}" if deleted else None


def why_beyond(spans: Mapping[tuple[str, int], tuple[int, int]], ends: Mapping[tuple[str, int], int]) -> str | None:
    """Return which logs end before the ledger's position: what was counted there cannot be read; None: none does."""
    beyond = [
        f"{place[0]}[{place[1]}] ends at offset {ends[place]}, the ledger stands at {end}"
        for place, (start, end) in sorted(spans.items())
        if end > max(ends[place], start)
    ]
    if not beyond:
        return None
    return f"the log was truncated, or deleted and made again: {'; '.join(beyond)}. {_NOT_AUDITED}"

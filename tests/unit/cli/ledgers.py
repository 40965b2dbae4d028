"""A ledger in memory for commands that read the committed state once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.looks import sources_ending_at

if TYPE_CHECKING:
    import pytest

    from streams.engine.judgement import OpenTransaction, Sources
    from streams.engine.ledger_view import FollowerDelta
    from streams.engine.memory import CellLedger


def serve(monkeypatch: pytest.MonkeyPatch, ledger: CellLedger, *opened: OpenTransaction, end: int = 5) -> None:
    """Let commands read `ledger`, over source topics of one partition that end at `end`."""

    async def read(*_: object) -> FollowerDelta:
        return ledger.drain()

    async def look(_: object, topics: tuple[str, ...], *__: object) -> tuple[Sources, tuple[OpenTransaction, ...]]:
        return sources_ending_at({topic: {0: end} for topic in topics}), opened

    monkeypatch.setattr("streams.cli.committed.read_committed_ledger", read)
    monkeypatch.setattr("streams.cli.committed.look_once", look)
    monkeypatch.setattr("streams.cli.committed.quiet_clients", lambda *_: None)  # loggers outlive a test
    monkeypatch.setenv("FESTIVAL_BROKER", "127.0.0.1:1")

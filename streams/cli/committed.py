"""The committed state, read once: what commands tell of that answer and end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.board.view.committed_view import CommittedView
from streams.board.view.live_board import COUNTED_TOPICS
from streams.cli.progress import progress
from streams.domain.pages import fingerprint_key
from streams.engine.clock import BrokerClock, SystemClock
from streams.engine.judgement import judge
from streams.festivals.declared import load_declared
from streams.kafka.cluster.open_transactions import look_once
from streams.kafka.ledger.follower import read_committed_ledger
from streams.serving import quiet_clients

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.engine.judgement import Judgement
    from streams.engine.ledger_view import FollowerDelta
    from streams.settings import Settings


@dataclass(frozen=True)
class Committed:
    """One committed state, and what may be said of it by the sources as they are after it was read."""

    snapshot: Snapshot
    judgement: Judgement
    fingerprint: bytes
    """The document that the generation was counted under; empty while no partition wrote it."""
    delta: FollowerDelta
    """What was read: all that is committed."""


async def read_committed(settings: Settings) -> Committed:
    """Return the committed state; raises what `read_committed_ledger` does."""
    quiet_clients(settings, logging.CRITICAL)  # what goes wrong is told once, by the command
    view, clock = CommittedView(load_declared(settings.declarations).rollups), BrokerClock(SystemClock())
    with progress("reading the ledger", unit="pages") as bar:
        delta = await read_committed_ledger(settings, clock)
        bar.advance(len(delta.changed_pages))
    view.feed(delta)
    snapshot, now_ms = view.snapshot(), clock.now_ms()
    sources, opened = await look_once(settings, COUNTED_TOPICS, snapshot.cursors, now_ms)
    judgement = judge(sources, snapshot.cursors, notes=snapshot.notes, open_transactions=opened, now_ms=now_ms)
    key = fingerprint_key(snapshot.generation)
    written = [value for (_, name), value in sorted(delta.changed_pages.items()) if name == key]
    return Committed(snapshot, judgement, written[0] if written else b"", delta)

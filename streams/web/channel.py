"""One festival's live state, encoded once for everybody who listens: the sections of the event stream.

A section (totals, curve, ranks) has an id made of its content, the same on every server. A listener says which ids it
has, and is sent what differs; listeners that have the same get the very same bytes, made once. A listener that was away
for a moment gets the newest state, never a backlog.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import xxhash

from streams.board.answers.screen import (
    MINUTE_MS,
    Document,
    audit_document,
    curve_document,
    main_of,
    names_document,
    ranks_document,
    screen_document,
)
from streams.web.listener import Ids, Listener
from streams.web.shown import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival
    from streams.web.shown import Shown
    from streams.web.visitors import Budget

_log = logging.getLogger("festival.web")

TICK_SECONDS = 0.25
ALIVE_MS = 1_000
"""An event this often tells the screen how fresh the state is, and keeps proxies from closing the connection."""
CURVE_MS = 500
RANKS_MS = 1_000
RANKS_SHARE = 20
"""Ranks take at most one part in so many of a core: sorting 50,000 merchants must not slow a board."""
RANKS_LONGEST_MS = 5_000
WORKER_RANKS_SHARE = 100
"""Beside counting, ranks take at most one part in so many (1 %), however rarely that is."""
WORKER_SHARE = 50
"""Beside counting, ticks take at most one part in so many of a core (2 %), unless every two seconds is more."""
WORKER_LONGEST_SECONDS = 2.0
KNOWN_CURVES = 16
"""Curves that a difference can be told from; a listener with an older one gets the whole."""

SECTIONS = ("curve", "ranks", "totals")
"""In the order they are sent; the last one sent carries the ids of all."""


def identity(text: bytes) -> str:
    """Return a short name of some content."""
    return xxhash.xxh3_64_hexdigest(text)


AnyListener = TypeVar("AnyListener", bound=Listener)


@dataclass(frozen=True)
class State:
    """What one tick has to say."""

    ids: Ids
    data: tuple[bytes, bytes, bytes]
    alive: bytes
    curves: OrderedDict[str, Document]
    _made: dict[Ids, bytes] = field(default_factory=dict)
    _framed: dict[tuple[Ids, Callable[[bytes], bytes]], bytes] = field(default_factory=dict)

    def framed(self, known: Ids, frame: Callable[[bytes], bytes]) -> bytes:
        """Return `since(known)` in a frame, nothing where nothing is new; made once per `known` and frame."""
        known = self._useful(known)
        if (framed := self._framed.get((known, frame))) is None:
            events = self.since(known)
            framed = self._framed[known, frame] = frame(events) if events else b""
        return framed

    def since(self, known: Ids) -> bytes:
        """Return the events that bring a listener from `known` to this state; made once per `known`."""
        known = self._useful(known)
        if (made := self._made.get(known)) is None:
            made = self._made[known] = self._make(known)
        return made

    def _useful(self, known: Ids) -> Ids:
        """Return what of `known` saves sending: ids that a client makes up must not each have events of their own."""
        curve, *others = known
        return (
            curve if curve in self.curves else "",
            *(id_ if id_ == own else "" for id_, own in zip(others, self.ids[1:], strict=True)),
        )

    def _make(self, known: Ids) -> bytes:
        changed = [i for i in range(len(SECTIONS)) if known[i] != self.ids[i]]
        events = [b"event: alive\ndata: " + self.alive + b"\n\n"] if self.alive else []
        for i in changed:
            data = self._curve_since(known[i]) if SECTIONS[i] == "curve" else self.data[i]
            identified = b"id: " + ".".join(self.ids).encode() + b"\n" if i == changed[-1] else b""
            events.append(identified + b"event: " + SECTIONS[i].encode() + b"\ndata: " + data + b"\n\n")
        return b"".join(events)

    def _curve_since(self, known: str) -> bytes:
        """Return the part of the curve that differs, the whole where it is not known what the listener has."""
        new, old = self.curves[self.ids[0]], self.curves.get(known)
        if old is None or len(old["values"]) != len(new["values"]):
            return self.data[0]
        differs = [
            i
            for i, now in enumerate(zip(new["values"], new["counts"], strict=True))
            if now != (old["values"][i], old["counts"][i])
        ]
        begin, end = (differs[0], differs[-1] + 1) if differs else (0, 0)
        return to_json({**new, **{name: new[name][begin:end] for name in ("values", "counts")}, "from": begin})


class Channel:
    """Makes the states of one festival while somebody listens. Belongs to one event loop."""

    def __init__(self, source: Shown, festival: Festival, budget: Budget | None = None) -> None:
        """Prepare; the first listener starts it. In a worker it keeps to the budget of its visitors."""
        self._source, self._festival, self._budget = source, festival, budget
        self._state: State | None = None
        self._listeners: set[Listener] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._is_closed = False
        self._has_failed = False
        self._seen: object = None
        self._totals = b"{}"
        self._ranks: tuple[object, int, bytes] = (None, 0, b"{}")
        self._curve: tuple[object, int, bytes] = (None, 0, b"{}")
        self._curves: OrderedDict[str, Document] = OrderedDict()
        self._alive_ms = 0

    @contextmanager
    def listening(self, listener: AnyListener) -> Iterator[AnyListener]:
        """Send to `listener` while this is open: what is known at once, then every tick."""
        if self._is_closed:
            listener.is_gone.set()
        self._listeners.add(listener)
        if self._state is not None and self._ticking is not None:
            listener.take(self._state, time.monotonic())
        if self._ticking is None and not self._is_closed:
            self._alive_ms = -ALIVE_MS  # whoever comes after a rest is told at once
            self._ticking = asyncio.create_task(self._tick())
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Let all listeners go."""
        self._is_closed = True
        for listener in self._listeners:
            listener.is_gone.set()
        if self._ticking is not None:
            self._ticking.cancel()

    async def _tick(self) -> None:
        try:
            while self._listeners and not self._is_closed:
                if self._budget is not None and not self._budget.has_for_screens():
                    await asyncio.sleep(TICK_SECONDS)
                    continue
                spent_seconds = 0.0
                try:
                    state, spent_seconds = await asyncio.to_thread(self._timed_make)
                    self._has_failed = False
                except Exception:  # noqa: BLE001 - the screens grey by themselves; the next tick tries again
                    if not self._has_failed:
                        _log.exception("the screen's state cannot be made", extra={"festival": self._festival.id})
                    self._has_failed, state = True, None
                if state is not None:
                    self._state = state
                    spent_seconds += self._send(state)
                if self._budget is not None:
                    self._budget.spend(round(spent_seconds * 1e9))
                await asyncio.sleep(self._pause_seconds(spent_seconds))
        finally:
            self._ticking = None

    def _send(self, state: State) -> float:
        """Send a state to all listeners; return the CPU seconds that took."""
        began_ns, now = time.thread_time_ns(), time.monotonic()
        for listener in tuple(self._listeners):
            listener.take(state, now)
        return (time.thread_time_ns() - began_ns) / 1e9

    def _pause_seconds(self, spent_seconds: float) -> float:
        """Return how long to rest after a tick: in a worker long enough that counting has the core."""
        if self._budget is None:
            return TICK_SECONDS
        return max(TICK_SECONDS, min(spent_seconds * WORKER_SHARE, WORKER_LONGEST_SECONDS))

    def _timed_make(self) -> tuple[State | None, float]:
        """Return what `_make` does, and the CPU seconds that took."""
        began_ns = time.thread_time_ns()
        state = self._make()
        return state, (time.thread_time_ns() - began_ns) / 1e9

    def _make(self) -> State | None:
        """Return the state of now; None where there is nothing new to say. Runs in a thread, one at a time."""
        source = self._source
        snapshot, now_ms = source.snapshot_of(self._festival.id), source.clock.monotonic_ms()
        before = self._state
        if snapshot.has_state:
            self._look(snapshot, now_ms)
        elif before is None:
            return None  # the ledger was made again while somebody began to listen
        data = (self._curve[2], self._ranks[2], self._totals)
        ids = tuple(identity(text) for text in data)
        is_alive_due = before is None or now_ms - self._alive_ms >= ALIVE_MS
        if before is not None and before.ids == ids and not is_alive_due:
            return None
        alive = b""
        if is_alive_due:
            self._alive_ms = now_ms
            alive = json.dumps(source.freshness(), separators=(",", ":")).encode()
        return State(ids, data, alive, self._curves.copy())

    def _look(self, snapshot: Snapshot, now_ms: int) -> None:
        """Make anew what has changed and is due."""
        source, festival = self._source, self._festival
        verdict = source.verdicts().get(festival.id)
        seen = (snapshot, source.judgement_of(festival.id), verdict)
        if seen != self._seen:
            document = source.totals(festival, None, None, None)
            screen, audit = screen_document(snapshot, festival), audit_document(verdict, document)
            if names := names_document(source.declared):
                screen["names"] = names
            self._totals = to_json({**document, "screen": screen, "audit": audit})
        if self._curve[0] is not snapshot and now_ms >= self._curve[1]:
            self._curve = (snapshot, now_ms + CURVE_MS, self._make_curve(snapshot))
        if self._ranks[0] is not snapshot and now_ms >= self._ranks[1]:
            began_ns = time.thread_time_ns()
            ranks = to_json(ranks_document(snapshot, festival, source.declared))
            took_ms = (time.thread_time_ns() - began_ns) // 1_000_000
            pause_ms = max(RANKS_MS, took_ms * WORKER_RANKS_SHARE)
            if self._budget is None:
                pause_ms = min(max(RANKS_MS, took_ms * RANKS_SHARE), RANKS_LONGEST_MS)
            self._ranks = (snapshot, now_ms + pause_ms, ranks)
        self._seen = seen

    def _make_curve(self, snapshot: Snapshot) -> bytes:
        """Return the whole curve, and remember it to tell differences from."""
        start_ms = snapshot.as_counted(self._festival).start_ms
        fact = main_of(snapshot.as_counted(self._festival)).fact
        curve = {
            **curve_document(snapshot, self._festival),
            "start_ms": start_ms,
            "step_ms": MINUTE_MS,
            "watermark_ms": snapshot.watermark_ms((fact,)),
        }
        text = to_json({**curve, "from": 0})
        self._curves[identity(text)] = curve
        while len(self._curves) > KNOWN_CURVES:
            self._curves.popitem(last=False)
        return text

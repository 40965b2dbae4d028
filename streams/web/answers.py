"""Answers of the API: JSON with an ETag, compressed for who takes it, not sent again to who has it.

An answer is made once for all who ask for the same while the committed state is the same, in a thread.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from aiohttp import web

from streams.web.channel import identity
from streams.web.shown import to_json
from streams.web.visitors import Busy
from streams.web.weights import listed, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from streams.board.view.committed_view import Snapshot
    from streams.web.shown import Document, Shown
    from streams.web.visitors import Budget

COMPRESSED_BYTES = 1_024
"""Smaller bodies fit into one packet as they are."""
GZIP_LEVEL = 1
"""JSON of numbers gets hardly smaller with more work."""
PIECE_BYTES = 65_536
"""Larger bodies are sent in pieces as the client reads, so that all who are slow share one copy."""
KEPT_ANSWERS = 128
KEPT_BYTES = 32 * 1024 * 1024
MAKERS = 4
"""So many answers are made at a time; beside counting, one: each thread takes its share of the interpreter."""

Key = tuple["Hashable", ...]
"""What is asked: the path and all its parameters, as they were understood."""


@dataclass(frozen=True)
class Answer:
    """A document as it is sent."""

    body: bytes
    content_type: str = "application/json"
    vary: str = "Accept-Encoding"

    @cached_property
    def tag(self) -> str:
        """Return its ETag: a weak one, because the same content may come compressed or not."""
        return f'W/"{identity(self.body)}"'

    @cached_property
    def zipped(self) -> bytes:
        """Return the body compressed, made once; as it is where that is short."""
        return gzip.compress(self.body, GZIP_LEVEL, mtime=0) if self.is_long else self.body

    @property
    def is_long(self) -> bool:
        """Return whether it is worth compressing."""
        return len(self.body) >= COMPRESSED_BYTES

    @property
    def is_zipped(self) -> bool:
        """Return whether its compressed form is made."""
        return "zipped" in vars(self)

    def prepared(self, *, is_zipped: bool) -> Self:
        """Return this, with all made that sending it needs."""
        assert self.tag
        assert not is_zipped or self.zipped
        return self


class SharedAnswers:
    """Answers of the committed state of now. Belongs to one event loop."""

    def __init__(self, source: Shown, budget: Budget | None = None) -> None:
        """Begin with none; making them is spent from `budget`."""
        self._source, self._budget = source, budget
        self._turns = asyncio.Semaphore(MAKERS if budget is None else 1)
        self._snapshot: weakref.ref[Snapshot] | None = None
        self._beside: object = None
        self._answers: OrderedDict[Key, asyncio.Task[Answer]] = OrderedDict()

    async def get(self, key: Key, make: Callable[[], Document], *, is_zipped: bool = False) -> Answer:
        """Return the answer to `key`, which `make` makes in a thread unless somebody asked before.

        With `is_zipped` its compressed form is made there too. Raises what `make` raises, which is not kept, and `Busy`
        where the budget was spent before its turn came.
        """
        self._forget_old()
        answer = await self._shared(key, lambda: Answer(to_json(make())).prepared(is_zipped=is_zipped))
        if is_zipped and not answer.is_zipped:
            await asyncio.to_thread(self._metered, lambda: answer.prepared(is_zipped=True))
        return answer

    async def _shared(self, key: Key, make: Callable[[], Answer]) -> Answer:
        task = self._answers.get(key)
        if task is None:
            task = self._answers[key] = asyncio.create_task(self._make(make))
            task.add_done_callback(lambda done: self._made(key, done))
        else:
            self._answers.move_to_end(key)
        return await asyncio.shield(task)  # whoever leaves does not take it from the others

    async def _make(self, make: Callable[[], Answer]) -> Answer:
        async with self._turns:
            if self._budget is not None and not self._budget.has_for_questions():
                raise Busy
            return await asyncio.to_thread(self._metered, make)

    def _metered(self, make: Callable[[], Answer]) -> Answer:
        began_ns = time.thread_time_ns()
        try:
            return make()
        finally:
            if self._budget is not None:
                self._budget.spend(time.thread_time_ns() - began_ns)

    def _made(self, key: Key, task: asyncio.Task[Answer]) -> None:
        """Forget an answer that failed, and the oldest where there are too many."""
        if (task.cancelled() or task.exception() is not None) and self._answers.get(key) is task:
            del self._answers[key]
        sizes = {
            key: len(task.result().body)
            for key, task in self._answers.items()
            if task.done() and not task.cancelled() and task.exception() is None
        }
        while len(self._answers) > KEPT_ANSWERS or sum(sizes.values()) > KEPT_BYTES:
            oldest, _ = self._answers.popitem(last=False)
            sizes.pop(oldest, None)

    def _forget_old(self) -> None:
        """Forget all answers where the state is another one; the snapshot itself is not held."""
        snapshot, beside = self._source.snapshot(), self._source.judgement()
        if self._snapshot is None or self._snapshot() is not snapshot or self._beside != beside:
            self._snapshot, self._beside = weakref.ref(snapshot), beside
            self._answers.clear()


def respond(request: web.BaseRequest, answer: Answer) -> web.Response:
    """Return the answer, or 304 where the client says by `If-None-Match` that it has it.

    `no-cache` means: keep it, and ask each time whether it is still so.
    """
    headers = {"ETag": answer.tag, "Cache-Control": "no-cache", "Vary": answer.vary}
    known = {part.strip().removeprefix("W/") for part in listed(request, "If-None-Match")}
    if "*" in known or answer.tag.removeprefix("W/") in known:
        return web.Response(status=304, headers=headers)
    body = answer.body
    if answer.is_long and takes_gzip(request):
        body, headers["Content-Encoding"] = answer.zipped, "gzip"
    headers["Content-Type"] = f"{answer.content_type}; charset=utf-8"
    return web.Response(body=io.BytesIO(body) if len(body) > PIECE_BYTES else body, headers=headers)


def takes_gzip(request: web.BaseRequest) -> bool:
    """Return whether the client takes gzip, and likes it no less than the plain body (RFC 9110, 12.5.3)."""
    weights = weights_of(request, "Accept-Encoding")
    gzip_weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip_weight > 0 and gzip_weight >= weights.get("identity", 0.0)

"""Tells what a member is not allowed: a line when it begins, one when it ends, at most one a minute between.

However many partitions wait for it, and however often each tries.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streams.engine.standstill import NOT_ALLOWED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.standstill import Waiting

log = logging.getLogger("festival.worker")

AGAIN_MS = 60_000
SETTLED_MS = 2_000
"""Within so long of each other the partitions of a worker find out: the first line tells of all."""


class Hindrances:
    """Remembers what was told. `look` is called every second."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._told_ms: dict[str, int] = {}
        self._gone_ms: dict[str, int] = {}

    def look(self, waiting: Mapping[int, Waiting], group: str | None, now_ms: int) -> None:
        """Tell what is new, has lasted, or is over.

        `waiting`: why partitions wait; `group`: what the group does not allow, None where it allows everything.
        """
        found: dict[str, list[int]] = {} if group is None else {group: []}
        for number, why in waiting.items():
            if why.reason == NOT_ALLOWED:
                found.setdefault(why.detail, []).append(number)
        for detail, partitions in found.items():
            self._gone_ms.pop(detail, None)
            if now_ms - self._told_ms.get(detail, -AGAIN_MS) >= AGAIN_MS:
                self._told_ms[detail] = now_ms
                log.warning(
                    "not allowed, waiting for it and trying again: %s; `festival check` tells how to grant it",
                    detail,
                    extra={"reason": NOT_ALLOWED, "partitions": sorted(partitions)},
                )
        for detail in self._told_ms.keys() - found.keys():
            if now_ms - self._gone_ms.setdefault(detail, now_ms) >= SETTLED_MS:
                del self._told_ms[detail], self._gone_ms[detail]
                log.info("allowed again: %s", detail)

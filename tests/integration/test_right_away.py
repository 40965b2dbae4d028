"""A right that goes away under load and comes back: nobody ends, nothing is held, and few lines tell it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration import worker_processes as w
from tests.integration.test_rights import Guarded, acl, guarded

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

pytestmark = pytest.mark.kafka

__all__ = ["guarded"]
AWAY_SECONDS = 10.0
LINES = 20
BACK_SECONDS = 5.0
BUSY_SECONDS = 10.0
"""What a machine that runs other tests beside may add."""


class Lost(NamedTuple):
    """A right that goes away."""

    resource: str
    name: str
    operation: str
    said: str


RIGHTS = [
    Lost("TRANSACTIONAL_ID", "festival-", "WRITE", "Write on transactional-id"),
    Lost("TOPIC", "orders.rejected", "WRITE", "Write on topic"),
    Lost("TOPIC", "orders", "READ", "on topic"),
    Lost("TOPIC", "festival.ledger", "READ", "on topic"),
    Lost("GROUP", "festival", "READ", "Read on group"),
]


def allow_all(broker: Guarded) -> None:
    """Allow everything by name: with a rule for a resource, nobody may what no rule allows."""
    rules = [binding(broker, kind, "", "ALL", is_prefix=True) for kind in ("TOPIC", "GROUP", "TRANSACTIONAL_ID")]
    for made in broker.admin.create_acls(rules).values():
        made.result(20)


def take_away(broker: Guarded, lost: Lost) -> None:
    """Deny it, which stands above what is allowed."""
    is_prefix = lost.resource == "TRANSACTIONAL_ID"
    rule = binding(broker, lost.resource, lost.name, lost.operation, is_prefix=is_prefix, permission="DENY")
    for made in broker.admin.create_acls([rule]).values():
        made.result(20)


def binding(
    broker: Guarded, resource: str, name: str, operation: str, *, is_prefix: bool, permission: str = "ALLOW"
) -> object:
    pattern = acl.ResourcePatternType.PREFIXED if is_prefix else acl.ResourcePatternType.LITERAL
    place = (acl.ResourceType[resource], broker.prefix + name, pattern, "User:ANONYMOUS", "*")
    return acl.AclBinding(*place, acl.AclOperation[operation], acl.AclPermissionType[permission])


def allow_again(broker: Guarded) -> None:
    """Remove every rule that denies something."""
    rules = acl.AclBindingFilter(
        acl.ResourceType.ANY, None, acl.ResourcePatternType.ANY, None, None, acl.AclOperation.ANY,
        acl.AclPermissionType.DENY,
    )  # fmt: skip
    for removed in broker.admin.delete_acls([rules]).values():
        removed.result(20)


async def advanced(settings: Settings, beyond: int) -> bool:
    """Return whether a partition is committed beyond so many orders in all."""
    return sum(position.get("orders", 0) for position in (await w.positions(settings)).values()) > beyond


async def counted(settings: Settings) -> int:
    return sum(position.get("orders", 0) for position in (await w.positions(settings)).values())


@pytest.mark.parametrize("lost", [RIGHTS[0], *(pytest.param(right, marks=pytest.mark.long) for right in RIGHTS[1:])])
async def test_a_right_that_is_away_for_ten_seconds_is_waited_for(
    guarded: Guarded, tmp_path: Path, prefix: str, lost: Lost
) -> None:
    guarded.prefix = prefix
    allow_all(guarded)
    settings = await w.prepare(guarded.address, prefix, tmp_path)
    worker, load = w.WorkerProcess(settings, "one"), w.Load(settings)
    with w.ended(worker):
        worker.start()
        await worker.counting(w.PARTITIONS)
        producing = asyncio.create_task(load.run(500, 120))
        await asyncio.sleep(3)
        before = len(worker.log().splitlines())
        take_away(guarded, lost)
        is_restarted = lost.name == "festival.ledger"  # who runs has read it: the next takeover needs it
        if is_restarted:
            worker.kill()
            worker.start()
        await asyncio.sleep(AWAY_SECONDS)
        allow_again(guarded)
        back, stood = time.monotonic(), await counted(settings)
        deadline = back + BACK_SECONDS + BUSY_SECONDS
        while not await advanced(settings, stood):
            assert time.monotonic() < deadline, worker.log()
            await asyncio.sleep(0.1)
        print(f"MEASURED {lost.operation} on {lost.name}: {time.monotonic() - back:.1f} s after its return")  # noqa: T201
        await asyncio.sleep(3)
        load.end()
        await producing
        await w.counted_up(settings)
        await w.assert_exact(settings)
        told = worker.log().splitlines()[before:]
        assert not worker.has_ended()
        assert "Traceback" not in "\n".join(told)
        assert len(told) <= LINES + is_restarted * before, "\n".join(told)
        assert any("not allowed" in line and lost.said in line for line in told), "\n".join(told)
        assert any("allowed again" in line for line in told), "\n".join(told)
        assert worker.stop() == 0

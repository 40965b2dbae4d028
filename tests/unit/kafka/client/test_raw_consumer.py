"""What a look at a consumer finds: what ended it for good, and what may pass."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidSessionTimeoutError,
    KafkaConnectionError,
    KafkaError,
)

from streams.kafka.client.raw_consumer import Membership, RawConsumer

HEARTBEAT_OK, ILLEGAL_GENERATION = 0, 22


def consumer(pending: KafkaError | None = None) -> Any:  # noqa: ANN401 - a stand-in for aiokafka's
    """Return a consumer whose tasks run, and whose coordinator has met an error."""
    running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    noted: list[str] = []
    coordinator = SimpleNamespace(
        _coordination_task=running,
        _pending_exception=pending,
        check_errors=lambda: noted.append("taken note"),
        request_rejoin=lambda: noted.append("join"),
        noted=noted,
    )
    return SimpleNamespace(_closed=False, _coordinator=coordinator, _fetcher=SimpleNamespace(_fetch_task=running))


async def test_a_consumer_that_is_still_connecting_has_nothing_to_look_at() -> None:
    """With a broker that takes a second to answer, the first look is made before it is there."""
    assert RawConsumer(SimpleNamespace(_closed=False, _coordinator=None, _fetcher=None)).check() is None  # type: ignore[arg-type]
    connected = consumer()
    connected._coordinator._coordination_task = None
    assert RawConsumer(connected).check() is None


@pytest.mark.parametrize("error", [GroupAuthorizationFailedError("festival"), KafkaConnectionError("reset")])
async def test_what_may_pass_is_handed_back_and_the_group_is_joined_again(error: KafkaError) -> None:
    raw = RawConsumer(found := consumer(error))
    assert raw.check() is error
    raw.join_again()
    assert found._coordinator.noted == ["taken note", "join"]


async def test_what_does_not_pass_ends_the_worker() -> None:
    with pytest.raises(InvalidSessionTimeoutError):
        RawConsumer(consumer(InvalidSessionTimeoutError())).check()
    ended = consumer()
    ended._fetcher._fetch_task = asyncio.get_running_loop().create_future()
    ended._fetcher._fetch_task.set_exception(ValueError("a defect"))
    with pytest.raises(ValueError, match="a defect"):
        RawConsumer(ended).check()


@pytest.mark.parametrize(("code", "is_in"), [(HEARTBEAT_OK, True), (ILLEGAL_GENERATION, False)])
async def test_a_member_is_in_where_the_group_says_so_now(code: int, *, is_in: bool) -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def answer(request: Any) -> Any:  # noqa: ANN401 - aiokafka's are untyped
        assert request.API_KEY == 12
        return SimpleNamespace(error_code=code)

    coordinator = SimpleNamespace(
        member_id="one", group_id="festival", generation=3, _rejoin_needed_fut=waiting, _send_req=answer
    )
    membership = Membership(SimpleNamespace(_coordinator=coordinator))  # type: ignore[arg-type]
    assert await membership.is_in() is is_in
    waiting.set_result(None)
    assert not await membership.is_in(), "it has to join again: what it has may go to others"

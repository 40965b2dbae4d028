"""What aiokafka's consumer holds and does not give out: fetched bytes, its tasks, its client, its joins.

The batch transport, the log reader and the watch over a worker's name ask here, so that no other folder uses a private
name of aiokafka. The contract tests tests/contract/test_aiokafka_names.py and test_ledger_names.py hold the names.
"""
# ruff: noqa: SLF001 - aiokafka has no public way to any of it

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from aiokafka.errors import ConsumerStoppedError, KafkaError, NoError, for_code
from aiokafka.protocol.group import HeartbeatRequest

from streams.kafka.client.denials import is_denied
from streams.kafka.client.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from streams.engine.batch import RecordBatch

    Join = Callable[[], Awaitable[bool]]
    """Joins the group; returns whether the member is in."""


def client_of(consumer: AIOKafkaConsumer) -> Any:  # noqa: ANN401 - aiokafka's client has no public type
    """Return the client behind a consumer, for requests of one's own."""
    return consumer._client


async def partition_count(consumer: AIOKafkaConsumer, topic: str) -> int:
    """Return the number of partitions of a topic on Kafka, 0 where there is no such topic.

    The public way to learn of a topic is to subscribe.
    """
    await consumer._client.add_topic(topic)
    return len(consumer.partitions_for_topic(topic) or ())


class RawConsumer:
    """One started consumer, from the inside. Its methods are called in the consumer's event loop."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        """Look into a consumer that has been started."""
        self._consumer: Any = consumer
        self._fetcher: Any = consumer._fetcher

    @property
    def is_closed(self) -> bool:
        """Return whether the consumer, or its fetcher, was stopped."""
        return bool(self._consumer._closed or self._fetcher._closed)

    @property
    def is_fetching(self) -> bool:
        """Return whether the task that fetches still runs."""
        return not self._fetcher._fetch_task.done()

    def check(self) -> KafkaError | None:
        """Raise what ended a background task: without them a consumer would stand still in silence.

        The coordinator stands still until somebody takes note of an error, such as a refused session timeout. One that
        may pass, a right that is missing or a broker that is away, is returned: `join_again` takes note of it.
        """
        # A consumer that is still connecting has neither.
        coordinator, fetcher = self._consumer._coordinator, self._consumer._fetcher
        if self._consumer._closed or coordinator is None or fetcher is None:
            return None
        for task in (getattr(coordinator, "_coordination_task", None), fetcher._fetch_task):
            if task is not None and task.done() and not task.cancelled():
                task.result()
        refusal: KafkaError | None = getattr(coordinator, "_pending_exception", None)
        if refusal is None or is_denied(refusal) or refusal.retriable:
            return refusal
        raise refusal

    def join_again(self) -> None:
        """Take note of the error that `check` has returned: the coordinator goes on, and joins afresh."""
        coordinator = self._consumer._coordinator
        with contextlib.suppress(KafkaError):
            coordinator.check_errors()
        coordinator.request_rejoin()

    def polled(self) -> AbstractContextManager[None]:
        """Tell the coordinator that somebody polls while the block runs, or it leaves the group in the end.

        Raises `ConsumerStoppedError`.
        """
        if self.is_closed:
            raise ConsumerStoppedError
        context: AbstractContextManager[None] = self._consumer._subscription.fetch_context()
        return context

    def fetched(self) -> list[TopicPartition]:
        """Return the partitions of which something lies here."""
        return list(self._fetcher._records)

    async def wait(self, timeout_seconds: float) -> bool:
        """Return whether something was fetched, after at most so long; raises what the group cannot get over."""
        waiter = self._fetcher._create_fetch_waiter()
        done, _ = await asyncio.wait([waiter], timeout=timeout_seconds)
        if not done:
            waiter.cancel()
            return False
        waiter.result()
        return True

    def take(self, partition: TopicPartition, topic: str, *, with_headers: bool = False) -> list[RecordBatch]:
        """Return what lies here of a partition, as batches of `topic`; empty where it is not ours any more.

        Raises the error of the fetch, and what `unpack` raises; the position then stays where it was.
        """
        fetched = self._fetcher._records.pop(partition)
        if not hasattr(fetched, "_partition_records"):
            fetched.check_raise()
        if not fetched.check_assignment(partition) or not fetched.has_more():
            return []
        batches = unpack(topic, partition.partition, fetched._partition_records, with_headers=with_headers)
        fetched._update_position()
        return batches

    def wake(self) -> None:
        """Let the next request be sent while what was taken is counted."""
        self._fetcher._notify(self._fetcher._wait_consume_future)

    def wait_on_broker(self, wait_ms: int) -> None:
        """Let the broker wait so long for a full answer, from the next request on."""
        self._fetcher._fetch_max_wait_ms = wait_ms

    def fetch_state(self, partition: TopicPartition) -> tuple[int | None, int | None]:
        """Return position and high watermark as the last fetch left them, None where not known."""
        subscription = self._consumer._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or partition not in assignment.tps:
            return None, None
        state = assignment.state_value(partition)
        return (state.position if state.has_valid_position else None), state.highwater

    def is_assigned(self, partition: TopicPartition) -> bool:
        """Return whether the group has dealt the partition to this member."""
        return bool(self._consumer._subscription.is_assigned(partition))


class Membership:
    """A consumer's place in its group."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        """Look at the group that a started consumer belongs to."""
        self._coordinator: Any = consumer._coordinator

    @property
    def is_known(self) -> bool:
        """Return whether the group still knows this member under an id."""
        return bool(self._coordinator.member_id)

    @property
    def group(self) -> str:
        """Return the name of the group."""
        return str(self._coordinator.group_id)

    def forget(self) -> None:
        """Join as a new member the next time."""
        self._coordinator.reset_generation()

    async def is_in(self) -> bool:
        """Return whether the group says that this member has what it was dealt last. Raises `KafkaError`."""
        coordinator = self._coordinator
        if not self.is_known or coordinator._rejoin_needed_fut.done():
            return False
        asked = HeartbeatRequest(coordinator.group_id, coordinator.generation, coordinator.member_id)
        answer = await coordinator._send_req(asked)
        return for_code(answer.error_code) is NoError

    async def ask(self, request: Any) -> Any:  # noqa: ANN401 - aiokafka's requests are untyped
        """Return the answer of the broker that looks after the group; raises `KafkaError`."""
        return await self._coordinator._send_req(request)

    def guard(self, rejoin: Callable[[Join], Awaitable[bool]]) -> None:
        """Let `rejoin` decide from now on whether the member joins; it is given the join itself."""
        join = self._coordinator._do_rejoin_group

        async def guarded(subscription: object) -> bool:
            return await rejoin(lambda: join(subscription))

        self._coordinator._do_rejoin_group = guarded

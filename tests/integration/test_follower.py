"""What readers see of the ledger was committed, is whole, and comes back after an outage of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.engine.checkpoint import FencedError, OutcomeUnknownError
from streams.engine.clock import SystemClock
from streams.engine.judgement import LogRange
from streams.engine.steps import Step, crash_at
from streams.errors import UnreachableError
from streams.kafka.cluster.topics import create_topics
from streams.kafka.ledger import follower as follower_module
from streams.kafka.ledger.follower import LedgerFollower, read_committed_ledger
from streams.kafka.ledger.recount import Recount
from streams.kafka.ledger.store import KafkaLedgerStore
from streams.settings import Settings
from tests.contract.test_ledger_store import checkpoint, page, page_key, plain, sequence_of
from tests.integration.ledgers import PARTITIONS, count, orders, pages, positions, send, source_ends
from tests.unit.domain import samples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from streams.engine.ledger_view import FollowerDelta

pytestmark = pytest.mark.kafka


OpenStore = Callable[..., KafkaLedgerStore]


@pytest.fixture
async def open_store(settings: Settings) -> AsyncIterator[OpenStore]:
    opened: list[KafkaLedgerStore] = []

    def open_one(**options: Any) -> KafkaLedgerStore:  # noqa: ANN401 - the store's own
        opened.append(KafkaLedgerStore(settings, **options))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def follower(settings: Settings) -> AsyncIterator[LedgerFollower]:
    follower = LedgerFollower(settings)
    yield follower
    await follower.stop()


async def next_delta(follower: LedgerFollower, seconds: float = 20) -> FollowerDelta:
    async with asyncio.timeout(seconds):
        while (delta := follower.drain()) is None:
            await asyncio.sleep(0.02)
    return delta


async def until(follower: LedgerFollower, number: int) -> FollowerDelta:
    """Return all that is handed over up to checkpoint `number` of partition 0: readers see it a moment after it."""
    merged = await next_delta(follower)
    while 0 not in merged.cursors or sequence_of(merged.cursors[0]) != number:
        delta = await next_delta(follower)
        assert not delta.reset
        merged.changed_pages.update(delta.changed_pages)
        merged.cursors.update(delta.cursors)
    return merged


async def test_the_first_hand_over_holds_all_that_was_committed_and_later_ones_what_changed(
    open_store: OpenStore, follower: LedgerFollower
) -> None:
    owner = await open_store().fence(0, "g1")
    for number in range(1, 30):
        await owner.commit(checkpoint(number, pages={f"p{number % 7}": b"%d" % number}))
    assert follower.drain() is None
    follower.start()
    await follower.wait_until_ready()
    first = await until(follower, 29)
    assert (first.generation, first.partitions, first.reset) == ("g1", PARTITIONS, True)
    assert first.changed_pages == {(0, page_key(f"p{n % 7}")): b"%d" % n for n in range(23, 30)}
    assert {partition: sequence_of(cursor) for partition, cursor in first.cursors.items()} == {0: 29}
    await owner.commit(checkpoint(30, pages={"p1": b"new"}))
    second = await next_delta(follower)
    assert (second.reset, second.changed_pages) == (False, {(0, page_key("p1")): b"new"})
    await owner.close()


async def test_a_checkpoint_that_is_not_committed_is_never_seen(
    settings: Settings, open_store: OpenStore, follower: LedgerFollower
) -> None:
    owner = await open_store(at_step=crash_at(Step.AFTER_OFFSETS, nth=2)).fence(0, "g1")
    await owner.commit(checkpoint(1, pages={"a": b"committed"}))
    follower.start()
    assert (await until(follower, 1)).changed_pages == {(0, page_key("a")): b"committed"}
    with pytest.raises(OutcomeUnknownError):
        await owner.commit(checkpoint(2, pages={"a": b"in the air"}))
    # All of it lies on the broker; the next owner's fence ends the transaction, and what it commits is seen.
    successor = await open_store().fence(0, "g1")
    assert (await read_committed_ledger(settings)).changed_pages == {(0, page_key("a")): b"committed"}
    await successor.commit(checkpoint(2, pages={"b": b"after"}))
    assert (await next_delta(follower)).changed_pages == {(0, page_key("b")): b"after"}
    await owner.close()
    await successor.close()


async def test_a_recount_is_not_shown_before_it_is_current_and_then_at_once_and_whole(
    settings: Settings, follower: LedgerFollower
) -> None:
    declarations = samples.declarations()
    await send(settings, orders(0, 500))
    await (await count(settings, declarations)).close()
    follower.start()
    before = await next_delta(follower)

    class Silent:
        """No bar."""

        def advance(self, done: int) -> None:
            """Nothing."""

        def expect(self, total: int) -> None:
            """Nothing."""

    await Recount(settings, declarations, Silent(), SystemClock()).run()
    after = await next_delta(follower)
    assert (before.generation, after.generation, after.reset) == ("g1", "g2", True)
    assert pages(after) == pages(before)
    assert positions(after) == await source_ends(settings, declarations)
    assert follower.generations is not None
    assert follower.generations.previous == "g1"


async def test_a_survey_tells_what_is_readable_and_what_lies_behind_an_open_transaction(
    settings: Settings, follower: LedgerFollower
) -> None:
    with pytest.raises(KafkaConnectionError, match="not connected"):
        await follower.survey(["orders"], {})
    follower.start()
    await follower.wait_until_ready()
    await send(settings, orders(0, 7))
    producer = AIOKafkaProducer(**settings.client_options(), transactional_id=f"{settings.prefix}shop")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(f"{settings.prefix}orders", b"{}", partition=1)
    nothing = LogRange(0, 0, 0)
    found = await follower.survey(["orders", "payments", "none"], {})
    assert (found.counts, found.ledger_partitions) == (
        {"orders": PARTITIONS, "payments": PARTITIONS, "none": 0},
        PARTITIONS,
    )
    assert found.ranges == {
        ("orders", 0): LogRange(0, 4, 4),
        ("orders", 1): LogRange(0, 3, 4),
        ("payments", 0): nothing,
        ("payments", 1): nothing,
    }
    await producer.abort_transaction()
    await producer.stop()


async def test_a_command_says_what_is_missing(kafka: str, prefix: str) -> None:
    with pytest.raises(UnreachableError, match=r"festival\.ledger does not exist: .*festival topics"):
        await read_committed_ledger(Settings(broker=kafka, prefix=prefix))
    with pytest.raises(KafkaConnectionError):
        await read_committed_ledger(Settings(broker=f"127.0.0.1:{any_free_port()}", prefix=prefix))


async def test_a_follower_started_before_the_topics_waits_for_them(
    kafka: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0.1)
    settings = Settings(broker=kafka, prefix=prefix)
    follower = LedgerFollower(settings)
    follower.start()
    await create_topics(settings, PARTITIONS)
    assert (await next_delta(follower)).partitions == PARTITIONS
    await follower.stop()


async def test_a_restore_waits_for_a_transaction_of_another_generation_that_hides_our_checkpoint(
    settings: Settings, open_store: OpenStore
) -> None:
    owner = await open_store().fence(0, "g1")
    beside = AIOKafkaProducer(**settings.client_options(), transactional_id=f"{settings.prefix}festival-g2-0")
    await beside.start()
    await beside.begin_transaction()
    await beside.send_and_wait(f"{settings.prefix}festival.ledger", b"x", key=page_key("a", "g2"), partition=0)
    await owner.commit(checkpoint(1, pages={"a": b"behind the open transaction"}))
    await owner.close()
    successor = await open_store(counts_beside=True).fence(0, "g1")
    restoring = asyncio.create_task(successor.restore())
    done, _ = await asyncio.wait([restoring], timeout=0.5)
    assert not done
    await beside.abort_transaction()
    assert (await restoring).pages[page("a")] == b"behind the open transaction"
    await beside.stop()
    await successor.close()


async def test_ledger_and_follower_come_through_a_killed_broker(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(EmbeddedKafka(tmp_path, port=any_free_port()))
        settings = Settings(broker=broker.address)
        await create_topics(settings, PARTITIONS)
        store, follower = KafkaLedgerStore(settings), LedgerFollower(settings)
        stack.push_async_callback(store.close)
        stack.push_async_callback(follower.stop)
        owner = await store.fence(0, "g1")
        stack.push_async_callback(owner.close)
        await owner.commit(checkpoint(1, pages={"a": b"1"}))
        follower.start()
        assert (await until(follower, 1)).changed_pages == {(0, page_key("a")): b"1"}

        await asyncio.to_thread(broker.kill)
        committing = asyncio.create_task(owner.commit(checkpoint(2, pages={"a": b"2"})))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(broker.start)
        outcome = (await asyncio.gather(committing, return_exceptions=True))[0]
        assert outcome is None or isinstance(outcome, OutcomeUnknownError | FencedError)
        await owner.close()

        successor = await store.fence(0, "g1")
        stack.push_async_callback(successor.close)
        restored = await successor.restore()
        # Told to be committed it is; not told, it is committed whole or not at all.
        number = 2 if restored.pages[page("a")] == b"2" else 1
        assert plain(restored).cursor == checkpoint(number).cursor
        assert number == 2 or outcome is not None
        await successor.commit(checkpoint(3, pages={"a": b"3"}))
        assert (await until(follower, 3)).changed_pages == {(0, page_key("a")): b"3"}
        assert (await follower.survey(["orders"], {})).ranges["orders", 0] == (0, 0, 0)

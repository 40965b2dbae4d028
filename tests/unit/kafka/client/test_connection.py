"""A connection gives up a broker that says nothing, and only that one; what the network does is an error of Kafka's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from streams.kafka.client import connection as connections
from streams.kafka.client.causes import UnreachedError, cause_of
from streams.kafka.client.clients import cannot_reach
from streams.kafka.client.connection import Connection
from streams.kafka.client.internals import install
from streams.kafka.client.throttling import FETCH, OTHER, PRODUCE, Throttling
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VERSIONS_KEY = 18
VERSIONS = ApiVersionResponse_v0(error_code=0, api_versions=[(3, 0, 0), (10, 0, 1), (11, 0, 0), (18, 0, 0)]).encode()
SILENT_SECONDS = 0.2
WRITTEN_SECONDS = connections.SILENT_SECONDS
BROKER_SESSION_SECONDS = 9
"""Kafka's default: so long a broker that stands still keeps its partitions."""


class Broker:
    """Tells its versions; what it answers to anything else, and when, is up to the test."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.is_gone = asyncio.Event()
        self.correlation = 0
        self.port = 0
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while size := await reader.read(4):
                request = await reader.readexactly(struct.unpack(">i", size)[0])
                key, _, self.correlation = struct.unpack(">hhi", request[:8])
                if key == VERSIONS_KEY:
                    self.say(VERSIONS)
                else:
                    self.asked.set()
        finally:
            writer.close()
            self.is_gone.set()

    def say(self, answer: bytes) -> None:
        frame = struct.pack(">i", self.correlation) + answer
        self.raw(struct.pack(">i", len(frame)) + frame)

    def raw(self, content: bytes) -> None:
        assert self.writer is not None
        self.writer.write(content)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Broker, Connection]]:
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    connection = Connection("127.0.0.1", broker.port)
    async with server:
        await connection.connect()
        try:
            yield broker, connection
        finally:
            connection.close()
            await asyncio.wait_for(broker.is_gone.wait(), 10)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", SILENT_SECONDS)
    monkeypatch.setattr(connections, "FIRST_ANSWER_SECONDS", SILENT_SECONDS)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.02)


def test_a_silent_broker_is_given_up_before_its_leaders_are_replaced() -> None:
    assert WRITTEN_SECONDS < BROKER_SESSION_SECONDS


async def test_a_request_to_a_broker_that_says_nothing_is_given_up() -> None:
    async with connected() as (broker, connection):
        asking = asyncio.ensure_future(connection.send(MetadataRequest([])))
        await broker.asked.wait()
        with pytest.raises(KafkaConnectionError) as raised:
            await asyncio.wait_for(asking, 5)
        assert "has said nothing for" in cause_of(raised.value)
        assert not connection.connected()


async def test_an_answer_that_is_on_its_way_is_waited_for_however_slow_it_is() -> None:
    async with connected() as (broker, connection):
        asking = asyncio.ensure_future(connection.send(MetadataRequest([])))
        await broker.asked.wait()
        answer = struct.pack(">i", broker.correlation) + bytes(8)
        for byte in struct.pack(">i", len(answer)) + answer:
            broker.raw(bytes([byte]))
            await asyncio.sleep(SILENT_SECONDS / 4)
        assert (await asyncio.wait_for(asking, 5)).brokers == []


async def test_a_connection_without_a_question_is_kept() -> None:
    async with connected() as (_, connection):
        await asyncio.sleep(3 * SILENT_SECONDS)
        assert connection.connected()


async def test_who_joins_a_group_waits_for_the_others() -> None:
    async with connected() as (broker, connection):
        joining = asyncio.ensure_future(connection.send(JoinGroupRequest("g", 6000, 30000, "", "", "consumer", [])))
        await broker.asked.wait()
        await asyncio.sleep(3 * SILENT_SECONDS)
        assert not joining.done()
        joining.cancel()


async def test_a_write_on_a_connection_that_was_just_reset_is_an_error_of_the_network() -> None:
    """Uvloop raises RuntimeError there."""

    class Reset:
        def write(self, _content: bytes) -> None:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

        def close(self) -> None:
            pass

    async with connected() as (_, connection):
        writer, connection._writer = connection._writer, Reset()
        with pytest.raises(KafkaConnectionError, match="the handler is closed"):
            connection.send(MetadataRequest([]))
        assert not connection.connected()
        writer.close()


async def test_what_a_broker_tells_of_throttling_is_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Throttling()
    monkeypatch.setattr(connections, "throttling", told)
    async with connected() as (broker, connection):
        asking = asyncio.ensure_future(connection.send(FindCoordinatorRequest("g", 0)))
        await broker.asked.wait()
        broker.say(struct.pack(">ihhihi", 1500, 0, -1, 1, 0, 9092))
        assert (await asyncio.wait_for(asking, 5)).throttle_time_ms == 1500
    told.add(0, 250)
    told.add(1, 40)
    assert told.seconds() == {PRODUCE: 0.25, FETCH: 0.04, OTHER: 1.5}


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a connection until the other side has enough of it."""
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def test_a_client_that_reaches_nobody_says_why_of_each_address() -> None:
    install()
    taken: set[asyncio.Task[None]] = set()
    silent = await asyncio.start_server(
        lambda *both: taken.add(asyncio.create_task(say_nothing(*both))), "127.0.0.1", 0
    )
    port, closed = silent.sockets[0].getsockname()[1], closed_port()
    addresses = f"127.0.0.1:{closed},127.0.0.1:{port},no.such.host.invalid:9092"
    client = AIOKafkaClient(bootstrap_servers=addresses)
    with pytest.raises(UnreachedError) as raised:
        await client.bootstrap()
    await client.close()
    silent.close()
    await asyncio.wait_for(asyncio.gather(*taken), 10)
    told = str(cannot_reach(Settings(broker=addresses), raised.value))
    assert "UnreachedError" not in told
    assert f"127.0.0.1:{closed}: nothing listens there (connection refused)" in told
    assert f"127.0.0.1:{port}: no answer (127.0.0.1:{port} has said nothing" in told
    assert "no.such.host.invalid:9092: the name is not known" in told


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "closed by the other side"),
        (OSError(113, "No route to host"), "No route to host"),
        (TimeoutError(), "no answer in time"),
        (KafkaConnectionError("odd"), "odd"),
    ],
)
def test_a_cause_is_told_in_plain_words(error: BaseException, said: str) -> None:
    assert said in cause_of(error)


def test_the_cause_that_matters_may_lie_behind_others() -> None:
    closed = KafkaConnectionError("Connection at h:1 closed")
    closed.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert "connection refused" in cause_of(closed)

"""A client of aiokafka that is closed, or cancelled while it begins, leaves no connection open."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.metadata import MetadataResponse_v0

from streams.kafka.client.internals import install

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

METADATA_KEY, VERSIONS_KEY = 3, 18
VERSIONS = ApiVersionResponse_v0(error_code=0, api_versions=[(3, 0, 0), (18, 0, 0)]).encode()


class Broker:
    """Speaks just enough of the protocol to be a broker; answers to metadata wait for `may_answer`."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer_versions = asyncio.Event()
        self.may_answer_versions.set()
        self.asked = {VERSIONS_KEY: asyncio.Event(), METADATA_KEY: asyncio.Event()}
        self.open = 0
        self.port = 0
        self.is_quiet = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until the client closes it."""
        self.open += 1
        self.is_quiet.clear()
        try:
            while size := await reader.read(4):
                request = await reader.readexactly(struct.unpack(">i", size)[0])
                key, _, correlation = struct.unpack(">hhi", request[:8])
                self.asked[key].set()
                await (self.may_answer_versions if key == VERSIONS_KEY else self.may_answer).wait()
                metadata = MetadataResponse_v0(brokers=[(0, "127.0.0.1", self.port)], topics=[]).encode()
                answer = struct.pack(">i", correlation) + (VERSIONS if key == VERSIONS_KEY else metadata)
                writer.write(struct.pack(">i", len(answer)) + answer)
                await writer.drain()
        finally:
            writer.close()
            self.open -= 1
            if not self.open:
                self.is_quiet.set()


@asynccontextmanager
async def a_broker() -> AsyncIterator[Broker]:
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    async with server:
        yield broker


async def test_a_client_that_is_cancelled_before_its_first_answer_closes_its_connection() -> None:
    install()
    async with a_broker() as broker:
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
        beginning = asyncio.create_task(client.bootstrap())
        await broker.asked[METADATA_KEY].wait()
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        broker.may_answer.set()
        await asyncio.wait_for(broker.is_quiet.wait(), 10)


async def test_a_connection_that_stands_after_the_client_was_closed_is_closed() -> None:
    install()
    async with a_broker() as broker:
        broker.may_answer.set()
        client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
        await client.bootstrap()
        broker.may_answer_versions.clear()
        broker.asked[VERSIONS_KEY].clear()
        connecting = asyncio.create_task(client.ready(0))
        await broker.asked[VERSIONS_KEY].wait()
        await client.close()
        broker.may_answer_versions.set()
        assert not await connecting
        await asyncio.wait_for(broker.is_quiet.wait(), 10)

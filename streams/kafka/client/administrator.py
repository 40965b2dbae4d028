"""The client that describes, makes and grows topics: it asks the next broker where one does not answer.

aiokafka's asks one broker, by chance and once, and expects that a controller is known.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NotControllerError,
    RequestTimedOutError,
)

from streams.kafka.client.requests import MetadataRequest

_untyped: Any = AIOKafkaAdminClient
AWAY = (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError)
CONTROLLER_SECONDS = 20.0
"""A new controller is elected long before."""
RETRY_SECONDS = 0.2


class Administrator(_untyped):  # type: ignore[misc]
    """An `AIOKafkaAdminClient` for a cluster of which brokers may be away."""

    @property
    def nodes(self) -> list[int]:
        """Return the brokers that are known."""
        return [broker.nodeId for broker in self._client.cluster.brokers()]

    async def describe_at(self, node_id: int, topics: list[str]) -> list[dict[str, Any]]:
        """Return what one broker knows of topics. Raises `KafkaError`."""
        answer = await self._client.send(node_id, MetadataRequest(topics))
        found: list[dict[str, Any]] = answer.to_object()["topics"]
        return found

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:  # noqa: ANN401 - aiokafka's are untyped
        """Return the answer of the broker named, or of the first that gives one. Raises `KafkaError`."""
        nodes = [node_id] if node_id is not None else random.sample(self.nodes, len(self.nodes))
        problem: KafkaError = KafkaConnectionError("no broker is known")
        for node in nodes:
            try:
                return await self._client.send(node, request)
            except AWAY as error:
                problem = error
        raise problem

    async def _send_to_controller(self, request: Any) -> Any:  # noqa: ANN401 - aiokafka's are untyped
        """Return the answer of the controller, as soon as one is known and answers. Raises `KafkaError`."""
        problem: KafkaError = KafkaConnectionError("no controller is known")
        clock = asyncio.get_running_loop().time
        limit = clock() + CONTROLLER_SECONDS
        while clock() < limit:
            controller = self._client.cluster.controller
            if controller is not None:
                try:
                    return await self._client.send(controller.nodeId, request)
                except (*AWAY, NotControllerError) as error:
                    problem = error
            await asyncio.sleep(RETRY_SECONDS)
            await self._client.force_metadata_update()
        raise problem

"""Fixtures of the tests with real Kafka."""

from __future__ import annotations

import pytest

from streams.kafka.cluster.topics import create_topics
from streams.settings import Settings
from tests.integration.ledgers import PARTITIONS


@pytest.fixture
async def settings(kafka: str, prefix: str) -> Settings:
    """Return the settings of a prefix of this test's own, with its topics."""
    settings = Settings(broker=kafka, prefix=prefix)
    await create_topics(settings, PARTITIONS)
    return settings

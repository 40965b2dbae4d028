"""The names of the topics, which stand apart from what decides a count."""

from __future__ import annotations

from streams.domain.facts import FACTS
from streams.engine.topic_names import SOURCES, rejected_topic


def test_the_topics_that_are_counted_are_those_of_the_facts() -> None:
    assert tuple(FACTS) == SOURCES


def test_rejected_records_have_a_topic_beside_their_source() -> None:
    assert rejected_topic("orders") == "orders.rejected"

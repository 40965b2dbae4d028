"""Partition p of all topics goes to one worker, whatever numbers of partitions the topics have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from streams.kafka.group.faust_app import build_app
from streams.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from streams.kafka.group.assignor import ColocatingAssignor


class Cluster:
    """What aiokafka knows of the topics."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Return the numbers of a topic, None where it is not there."""
        return set(range(self.counts[topic])) or None


def members(directory: Path, count: int) -> dict[str, ColocatingAssignor]:
    """Return the assignors of so many workers."""
    apps = [build_app(Settings(broker="127.0.0.1:1", name=f"w{number}"), directory) for number in range(count)]
    return {f"w{number}": cast("ColocatingAssignor", app.assignor) for number, app in enumerate(apps)}


def deal(group: dict[str, ColocatingAssignor], cluster: Any) -> dict[str, dict[str, set[int]]]:  # noqa: ANN401 - stands for aiokafka's
    """Let the first member deal, and every one take its part; return topic and numbers by member."""
    asked = {name: member.metadata(set(cluster.counts)) for name, member in group.items()}
    dealt = next(iter(group.values())).assign(cluster, asked)
    for name, member in group.items():
        member.on_assignment(dealt[name])
    return {name: {topic: set(numbers) for topic, numbers in dealt[name].assignment} for name in group}


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_numbers_stay_together_while_one_topic_has_more_than_the_others(tmp_path: Path, workers: int) -> None:
    """Also through what came before: equal numbers, growth, and a topic that is gone."""
    group = members(tmp_path, workers)
    for counts in ({"orders": 3, "payments": 3}, {"orders": 8, "payments": 3}, {"orders": 8, "payments": 8},
                   {"orders": 0, "payments": 8}, {"orders": 8, "payments": 8}):  # fmt: skip
        dealt = deal(group, Cluster(**counts))
        for topic, count in counts.items():
            numbers = [number for member in dealt.values() for number in member.get(topic, ())]
            assert sorted(numbers) == list(range(count))
        for member in dealt.values():
            both = set(range(min(counts.values())))
            assert member.get("orders", set()) & both == member.get("payments", set()) & both


def test_without_any_topic_nobody_gets_anything(tmp_path: Path) -> None:
    assert deal(members(tmp_path, 2), Cluster(orders=0)) == {"w0": {}, "w1": {}}

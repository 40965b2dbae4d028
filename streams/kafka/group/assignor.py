"""Deals partition p of all source topics to one worker, also while the topics have unequal numbers of partitions.

Faust's assignor deals topics of one number of partitions together and others apart: with one topic grown, the
partitions of all would come apart. Used by the leader of the group; its answers are those of Faust's.
"""

from __future__ import annotations

from typing import Any

from streams.kafka.group.members import NamingAssignor


class ColocatingAssignor(NamingAssignor):
    """Faust's assignor, with all topics as one group of as many partitions as the largest topic; members have names."""

    def assign(  # type: ignore[override] # Faust's is no class method either
        self,
        cluster: Any,  # noqa: ANN401
        member_metadata: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - Faust's signature
        """Return the assignment of each member; called by aiokafka in the group's leader."""
        self._cluster = cluster
        return super().assign(cluster, member_metadata)

    @classmethod
    def _get_copartitioned_groups(cls, topics: Any, cluster: Any, subscriptions: Any) -> Any:  # noqa: ANN401
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        there = {topic for topic, count in counts.items() if count}
        return {max(counts.values()): cls._group_co_subscribed(there, subscriptions)} if there else {}

    def _protocol_assignments(self, assignments: Any, *others: Any) -> Any:  # noqa: ANN401
        """Take out what a smaller topic does not have."""
        for assignment in assignments.values():
            for topic, numbers in assignment.actives.items():
                there = self._cluster.partitions_for_topic(topic) or ()
                assignment.actives[topic] = [number for number in numbers if number in there]
        return super()._protocol_assignments(assignments, *others)

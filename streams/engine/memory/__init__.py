"""One in-memory Kafka, for tests and simulations: it keeps the promises of the real one that the counter stands on.

`Kafka` is the broker, `Producer` a client of it, `MemoryLedgerStore` the ledger's store on top, `CellLedger` a ledger
that a test fills by itself. Nothing in it waits,
draws lots or reads a clock. `tests/contract` runs the same cases on it and on a real broker
(docs/decisions/0009-in-memory-kafka.md).
"""

from __future__ import annotations

from streams.engine.memory.cells import CellLedger
from streams.engine.memory.cluster import COMMITTED, UNCOMMITTED, Isolation, Kafka, TopicDescription
from streams.engine.memory.faults import Fate, Faults, Request, Right, at_request
from streams.engine.memory.groups import Assignment
from streams.engine.memory.ledger import MemoryLedgerStore, MemoryPartitionStore, create_topics
from streams.engine.memory.member import Member, Revoked
from streams.engine.memory.producer import Producer
from streams.engine.memory.source import MemorySource

__all__ = [
    "COMMITTED",
    "UNCOMMITTED",
    "Assignment",
    "CellLedger",
    "Fate",
    "Faults",
    "Isolation",
    "Kafka",
    "Member",
    "MemoryLedgerStore",
    "MemoryPartitionStore",
    "MemorySource",
    "Producer",
    "Request",
    "Revoked",
    "Right",
    "TopicDescription",
    "at_request",
    "create_topics",
]

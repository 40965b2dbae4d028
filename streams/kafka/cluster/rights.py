"""What the user of each command must be allowed on a cluster with ACLs: the one list of it.

`festival check` asks the broker for those of a worker, docs/operations.md shows all of them (a test compares), and a
test runs every command but `rehearse` with exactly these.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from streams.engine.topic_names import (
    AUDITS,
    BRIDGE,
    BRIDGE_REJECTED,
    GROUP,
    IMPORTS,
    LEDGER,
    PUBLISHERS,
    SEEN,
    SOURCES,
    TOTALS,
    rejected_topic,
)


class Operation(IntEnum):
    """An operation by its code, which is also its bit in an answer (org.apache.kafka.common.acl.AclOperation)."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

    @property
    def label(self) -> str:
        """Return its name as `kafka-acls.sh` has it, such as DescribeConfigs."""
        return self.name.title().replace("_", "")


READ, WRITE, DESCRIBE, CONFIGS = Operation.READ, Operation.WRITE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS
REJECTED: Final = tuple(map(rejected_topic, SOURCES))
OWN: Final = (LEDGER, SEEN)
TRANSACTIONS: Final = "festival-"
IMPORT_TRANSACTIONS: Final = "festival-import-"
BRIDGES: Final = "festival-bridge-"
"""Begins the groups and the transactional ids of bridges; the name of a map follows."""


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on some resources of one type; Kafka takes Read and Write for Describe as well."""

    resource: Literal["topic", "group", "transactional-id", "foreign-topic"]
    """As `kafka-acls.sh` has them, but for topics that a map names. A transactional id stands for all that begin with
    it, and so does a group that ends in a hyphen."""
    names: tuple[str, ...]
    """Without FESTIVAL_PREFIX."""
    operations: tuple[Operation, ...]


def _topics(names: tuple[str, ...], *operations: Operation) -> Right:
    return Right("topic", names, operations)


_READS_TOTALS = (_topics(SOURCES, DESCRIBE), _topics((LEDGER,), READ))
_SHOWS_VERDICTS = _topics((AUDITS,), READ)
"""Without it a board shows no verdict, and all else."""
_AUDITS = (_topics((*SOURCES, *REJECTED, LEDGER), READ), _topics((AUDITS,), WRITE))
_WORKS = (
    _topics(SOURCES, READ, CONFIGS),
    _topics(REJECTED, WRITE, CONFIGS),
    _topics(OWN, READ, WRITE, CONFIGS),
    Right("group", (GROUP,), (READ,)),
    Right("transactional-id", (TRANSACTIONS,), (WRITE,)),
)
_FOREIGN = Right("foreign-topic", (), (READ,))
_ALL = (*SOURCES, *REJECTED, *OWN, IMPORTS, AUDITS, TOTALS, BRIDGE, BRIDGE_REJECTED)
_SHOWS = (*_READS_TOTALS, _SHOWS_VERDICTS)
RIGHTS: Final[dict[str, tuple[Right, ...]]] = {
    "worker": (*_WORKS, _SHOWS_VERDICTS),
    "board": _SHOWS,
    "board with FESTIVAL_PUBLISH=yes": (
        *_SHOWS,
        _topics((TOTALS,), READ, WRITE),
        Right("group", (PUBLISHERS,), (READ,)),
        Right("transactional-id", (PUBLISHERS,), (WRITE,)),
    ),
    "totals": _READS_TOTALS,
    "festivals": _READS_TOTALS,
    "top": (_topics(SOURCES, DESCRIBE), _topics((LEDGER,), DESCRIBE), Right("group", (GROUP,), (DESCRIBE,))),
    "report": (*_READS_TOTALS, _topics((AUDITS,), READ)),
    "export": _READS_TOTALS,
    "audit": _AUDITS,
    "audit --sealed": (_topics(SOURCES, READ), _topics(OWN, DESCRIBE)),
    "seal": _AUDITS[:1],
    "rejected": (_topics(REJECTED, READ),),
    "recount": (
        _topics(SOURCES, READ, CONFIGS),
        _topics(REJECTED, DESCRIBE, CONFIGS),
        _topics(OWN, READ, WRITE, CONFIGS),
        Right("transactional-id", (TRANSACTIONS,), (WRITE,)),
    ),
    "import": (
        _topics(("orders", "payments"), WRITE, CONFIGS),
        _topics(("parcels", "recycling", *REJECTED, *OWN), DESCRIBE, CONFIGS),
        _topics((IMPORTS,), READ, WRITE, CONFIGS),
        Right("transactional-id", (IMPORT_TRANSACTIONS,), (WRITE,)),
    ),
    "bridge": (
        _FOREIGN,
        _topics(SOURCES, WRITE, CONFIGS),
        _topics((*REJECTED, *OWN), DESCRIBE, CONFIGS),
        _topics((BRIDGE,), READ, WRITE, CONFIGS),
        _topics((BRIDGE_REJECTED,), WRITE, CONFIGS),
        Right("group", (BRIDGES,), (READ,)),
        Right("transactional-id", (BRIDGES,), (WRITE,)),
    ),
    "bridge --check": (_FOREIGN,),
    "audit --bridge": (_FOREIGN, _topics((*SOURCES, BRIDGE, BRIDGE_REJECTED), READ)),
    "rejected --bridge": (_topics((BRIDGE_REJECTED,), READ),),
    "replay": (_topics(SOURCES, WRITE, CONFIGS), _topics((*REJECTED, *OWN), DESCRIBE, CONFIGS)),
    "topics": (
        _topics(_ALL, Operation.CREATE, DESCRIBE, CONFIGS),
        _topics((*OWN, *REJECTED), Operation.ALTER),
    ),
    "rehearse": (
        _topics(SOURCES, READ, WRITE),
        _topics(REJECTED, READ, WRITE),
        _topics((*OWN, AUDITS), READ, WRITE),
        _topics(_ALL, Operation.CREATE, Operation.DELETE, DESCRIBE, CONFIGS),
        Right("group", (GROUP,), (READ,)),
        Right("transactional-id", (TRANSACTIONS,), (WRITE,)),
    ),
}
"""By command. `check` asks for those of a worker and tells what is missing; `broker` and `demo` bring their Kafka."""


def table() -> list[str]:
    """Return the rows of the table in docs/operations.md: command, what on, which operations."""
    return [
        f"| `{command}` | {_shown(right)} | {', '.join(operation.label for operation in right.operations)} |"
        for command, rights in RIGHTS.items()
        for right in rights
    ]


def _shown(right: Right) -> str:
    if right.resource == "foreign-topic":
        return "the topics that the map names, which have no prefix"
    if right.resource == "group" and right.names[0].endswith("-"):
        return f"groups that begin with `{right.names[0]}`"
    if right.resource == "group":
        return ", ".join(f"group `{name}`" for name in right.names)
    if right.resource == "transactional-id":
        return ", ".join(f"transactional ids that begin with `{name}`" for name in right.names)
    left, words = list(right.names), []
    for names, word in ((_ALL, "all topics"), (SOURCES, "the four topics"), (REJECTED, "the four `.rejected` topics")):
        if all(name in left for name in names):
            left = [name for name in left if name not in names]
            words.append(word)
    return ", ".join([*words, *(f"`{name}`" for name in left)])

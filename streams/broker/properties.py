"""What a broker of ours is configured with: alone, or as one of a cluster on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = "127.0.0.1"
LOGGING = """\
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {directory}/kafka.log
appender.file.filePattern = {directory}/kafka.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}} %p %c{{1}} %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = WARN
rootLogger.appenderRef.file.ref = file
"""


class Quorum(NamedTuple):
    """The brokers of a cluster, each its own controller, and which of them one is."""

    cluster_id: str
    """Written when the storage is made."""
    controller_ports: tuple[int, ...]
    """By node, from 1 on; known before the first of them starts."""
    node_id: int

    @property
    def own_port(self) -> int:
        """Return where this one's controller listens."""
        return self.controller_ports[self.node_id - 1]


def server_properties(address: str, quorum: Quorum, directory: Path) -> dict[str, str]:
    """Return the content of server.properties of a broker that clients find at `address`."""
    voters = (f"{number}@{LOOPBACK}:{port}" for number, port in enumerate(quorum.controller_ports, 1))
    controller = f"{LOOPBACK}:{quorum.own_port}"
    return {
        **_PROPERTIES,
        **(_ALONE if len(quorum.controller_ports) == 1 else _TOGETHER),
        "node.id": str(quorum.node_id),
        "controller.quorum.voters": ",".join(voters),
        "listeners": f"CLIENT://{address},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENT://{address}",
        "log.dirs": f"{directory}/logs",
    }


_PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    # A topic that springs up by a typing error has the wrong number of partitions and the wrong clock.
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # Half of what tests of dead workers set; the broker's own default is 6 s.
    "group.min.session.timeout.ms": "2000",
    # The default takes a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": "33554432",
}
_ALONE = {
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # After a kill the controller refuses the new process until the session of the old one has ended: 13 s to come
    # back with the default of 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
_TOGETHER = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}
"""How people run three brokers. A broker's session is Kafka's default, 9 s: so long a dead leader is waited for."""

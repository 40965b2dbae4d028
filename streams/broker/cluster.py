"""Three embedded brokers that are one cluster: for whoever wants to see a broker fail, and for the tests that do.

Call order as of `EmbeddedKafka`. A single broker is stopped, killed and started again through `brokers`; its address
and its data stay. The cluster never outlives its starter.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from streams.broker import address
from streams.broker.distribution import show_nothing
from streams.broker.embedded import (
    DEFAULT_PORT,
    PORTS_TRIED,
    EmbeddedKafka,
    any_free_port,
    is_free,
    new_cluster_id,
)
from streams.broker.properties import Quorum
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from streams.broker.distribution import Show

BROKERS = 3


class EmbeddedCluster:
    """Three brokers on consecutive ports, each also a controller (KRaft): replication 3, `min.insync.replicas` 2."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        announce_in: Path | None = None,
        properties_of: Callable[[int], Mapping[str, str]] = lambda _: {},
        show: Show = show_nothing,
    ) -> None:
        """Prepare a cluster whose data lies in `directory`; nothing is started or written yet.

        `port` is the first of three, None: from 9092 on the first three that are free. `announce_in`: the data
        directory in which other commands look for the addresses. `properties_of` returns what goes over our
        properties, by the broker's port.
        """
        self.directory = directory.absolute()
        self.brokers: tuple[EmbeddedKafka, ...] = ()
        self.controller_ports: tuple[int, ...] = ()
        self._port = port
        self._announce_in = announce_in
        self._properties_of = properties_of
        self._show = show

    @property
    def address(self) -> str:
        """Return HOST:PORT of each broker, with commas between; final once started."""
        return ",".join(broker.address for broker in self.brokers)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start all brokers on the data there is, and return once each answers; raises as `EmbeddedKafka.start`."""
        assert not self.brokers, "already started"
        ports = self._free_ports()
        self.controller_ports = tuple(_distinct_ports(BROKERS, ports))
        cluster_id = self._cluster_id()
        self.brokers = tuple(
            EmbeddedKafka(
                self.directory / str(number),
                port=port,
                properties=self._properties_of(port),
                quorum=Quorum(cluster_id, self.controller_ports, number),
                show=self._show,
            )
            for number, port in enumerate(ports, 1)
        )
        try:
            for broker in self.brokers:
                broker.launch()
            for broker in self.brokers:
                broker.await_answer()
        except BaseException:
            self.stop()
            raise
        if self._announce_in is not None:
            address.announce(self._announce_in, self.address, os.getpid())

    def stop(self) -> None:
        """Stop all brokers; those that do not run are left alone."""
        if self._announce_in is not None:
            address.withdraw(self._announce_in, os.getpid())
        # The last two have no quorum any more and could not even take leave in order.
        for broker in self.brokers[:1]:
            broker.stop()
        for broker in self.brokers[1:]:
            broker.stop(in_order=False)

    def _free_ports(self) -> range:
        """Return the ports of the brokers; raises `UsageError` where one that was named is taken."""
        first = self._port or DEFAULT_PORT
        for begin in range(first, first + (1 if self._port is not None else PORTS_TRIED)):
            ports = range(begin, begin + BROKERS)
            if all(map(is_free, ports)):
                return ports
        raise UsageError(
            f"ports {first} to {first + BROKERS - 1}: one of them is taken; stop what listens there, or choose others "
            "with --broker"
        )

    def _cluster_id(self) -> str:
        """Return the id that stands with the data, a new one where there is none."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "cluster.id"
        if not file.exists():
            new = file.with_suffix(f".{os.getpid()}")
            new.write_text(new_cluster_id() + "\n", encoding="utf-8")
            new.replace(file)
        return file.read_text(encoding="utf-8").strip()


def _distinct_ports(count: int, taken: range) -> set[int]:
    found: set[int] = set()
    while len(found) < count:
        port = any_free_port()
        if port not in taken:
            found.add(port)
    return found

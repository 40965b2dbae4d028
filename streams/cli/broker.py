"""`festival broker`: the embedded Apache Kafka in the foreground."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from streams.broker import address
from streams.broker.cluster import BROKERS, EmbeddedCluster
from streams.broker.embedded import BrokerFailedError, EmbeddedKafka
from streams.broker.properties import LOOPBACK
from streams.cli.options import json_option, settings_options
from streams.cli.progress import progress
from streams.cli.stopping import stop_on_signals
from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

POLL_SECONDS = 0.5


@click.command("broker")
@click.option(
    "--brokers",
    type=click.Choice(["1", str(BROKERS)]),
    default="1",
    help=f"{BROKERS}: a cluster with replication, on consecutive ports; its data lies in the folder kafka-cluster.",
)
@json_option
@settings_options
def command(settings: Settings, brokers: str, *, as_json: bool) -> None:
    """Run one real Apache Kafka on this machine until Ctrl-C or SIGTERM.

    --broker is the address to listen on (loopback; default: port 9092 or the next free one), its data lies in the
    folder kafka of --data. Other commands find it through the file broker.json there. The first start fetches Kafka
    (45 MB).

    With --brokers 3 they are three, with replication factor 3 and min.insync.replicas 2, to try what happens when one
    fails: end a broker's process, and the others go on. They do not run without each other: one that is ended is not
    started again.
    """
    other = address.running(settings.data_dir)
    if other is not None:
        raise UsageError(f"a broker with this data runs already, at {other.address} (process {other.pid})")
    port = _port(settings)
    if brokers == "1":
        _run_one(
            EmbeddedKafka(settings.data_dir / "kafka", port=port, announce_in=settings.data_dir, show=progress),
            as_json=as_json,
        )
    else:
        _run_cluster(
            EmbeddedCluster(
                settings.data_dir / "kafka-cluster", port=port, announce_in=settings.data_dir, show=progress
            ),
            as_json=as_json,
        )


def _run_one(kafka: EmbeddedKafka, *, as_json: bool) -> None:
    # Until it is ready, a signal ends us at once, and the broker with us.
    with kafka, stop_on_signals() as stop:
        _tell(kafka.address, {"pid": kafka.pid}, kafka.directory, as_json=as_json)
        while not stop.is_set():
            if kafka.wait(POLL_SECONDS):
                raise BrokerFailedError(f"Kafka stopped by itself. The end of its log:\n{kafka.log_tail()}")
        kafka.stop()  # here, where a second Ctrl-C cannot interrupt it


def _run_cluster(cluster: EmbeddedCluster, *, as_json: bool) -> None:
    with cluster, stop_on_signals() as stop:
        pids = [broker.pid for broker in cluster.brokers]
        _tell(cluster.address, {"pids": pids}, cluster.directory, as_json=as_json)
        running = list(cluster.brokers)
        while running and not stop.wait(POLL_SECONDS):
            for broker in [broker for broker in running if broker.pid is None]:
                running.remove(broker)
                click.echo(f"the broker at {broker.address} has ended, {len(running)} run on", err=True)
        if not running:
            raise BrokerFailedError("all brokers have ended")
        cluster.stop()


def _tell(address: str, processes: dict[str, object], directory: Path, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"broker": address, **processes, "data": str(directory)}))
    else:
        click.echo(f"Apache Kafka is ready at {address}, data in {directory}; Ctrl-C stops it")


def _port(settings: Settings) -> int | None:
    if settings.broker is None:
        return None
    host, _, port = settings.broker.rpartition(":")
    if host not in {LOOPBACK, "localhost"}:
        raise UsageError(f"--broker {settings.broker}: the embedded Kafka listens on loopback only: {LOOPBACK}:PORT")
    return int(port)

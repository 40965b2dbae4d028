"""`festival broker`: the embedded Apache Kafka in the foreground."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from streams.broker import address
from streams.broker.embedded import LOOPBACK, BrokerFailedError, EmbeddedKafka
from streams.cli.options import json_option, settings_options
from streams.cli.progress import progress
from streams.cli.stopping import stop_on_signals
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.settings import Settings

POLL_SECONDS = 0.5


@click.command("broker")
@json_option
@settings_options
def command(settings: Settings, *, as_json: bool) -> None:
    """Run one real Apache Kafka on this machine until Ctrl-C or SIGTERM.

    --broker is the address to listen on (loopback; default: port 9092 or the next free one), its data lies in the
    folder kafka of --data. Other commands find it through the file broker.json there. The first start fetches Kafka
    (45 MB).
    """
    other = address.running(settings.data_dir)
    if other is not None:
        raise UsageError(f"a broker with this data runs already, at {other.address} (process {other.pid})")
    kafka = EmbeddedKafka(
        settings.data_dir / "kafka", port=_port(settings), announce_in=settings.data_dir, show=progress
    )
    # Until it is ready, a signal ends us at once, and the broker with us.
    with kafka, stop_on_signals() as stop:
        if as_json:
            click.echo(json.dumps({"broker": kafka.address, "pid": kafka.pid, "data": str(kafka.directory)}))
        else:
            click.echo(f"Apache Kafka is ready at {kafka.address}, data in {kafka.directory}; Ctrl-C stops it")
        while not stop.is_set():
            if kafka.wait(POLL_SECONDS):
                raise BrokerFailedError(f"Kafka stopped by itself. The end of its log:\n{kafka.log_tail()}")
        kafka.stop()  # here, where a second Ctrl-C cannot interrupt it


def _port(settings: Settings) -> int | None:
    if settings.broker is None:
        return None
    host, _, port = settings.broker.rpartition(":")
    if host not in {LOOPBACK, "localhost"}:
        raise UsageError(f"--broker {settings.broker}: the embedded Kafka listens on loopback only: {LOOPBACK}:PORT")
    return int(port)

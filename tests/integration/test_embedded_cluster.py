"""Three embedded brokers: what `festival broker --brokers 3` gives to whoever wants to see a broker fail."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from streams.broker import address
from streams.broker.cluster import EmbeddedCluster
from streams.errors import UsageError
from streams.kafka.client.requests import MetadataRequest, ask
from streams.kafka.cluster.topics import create_topics, open_admin
from streams.settings import Settings
from tests.integration.test_embedded import PATIENCE_SECONDS, await_that, is_alive

if TYPE_CHECKING:
    from pathlib import Path


def three_free_ports() -> int:
    """Return a port that is free with the two behind it."""
    for port in range(20_000, 32_000, 3):
        try:
            for number in range(port, port + 3):
                with socket.create_server(("127.0.0.1", number)):
                    pass
        except OSError:
            continue
        return port
    raise AssertionError("no three ports are free")


async def kept(settings: Settings) -> dict[str, Any]:
    """Return the orders as the cluster describes them, once it was made."""
    await create_topics(settings, 2)
    async with open_admin(settings) as admin:
        answer: dict[str, Any] = (await ask(admin, MetadataRequest(["orders"]))).to_object()
    return answer


@pytest.mark.kafka
def test_three_brokers_keep_each_record_three_times_and_two_go_on_without_the_third(tmp_path: Path) -> None:
    environment = os.environ | {"FESTIVAL_DATA_DIR": str(tmp_path)}
    port = three_free_ports()
    command = [sys.executable, "-m", "streams.cli", "broker", "--brokers", "3", "--json"]
    place = ["--broker", f"127.0.0.1:{port}"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *place], env=environment, stdout=pipe, stderr=pipe, text=True) as festival:
        assert festival.stdout is not None
        assert festival.stderr is not None
        ready = msgspec.json.decode(festival.stdout.readline())
        assert ready["broker"] == ",".join(f"127.0.0.1:{number}" for number in range(port, port + 3))
        found = address.running(tmp_path)
        assert found is not None
        assert (found.address, found.pid) == (ready["broker"], festival.pid)
        described = asyncio.run(kept(Settings(broker=ready["broker"])))
        assert len(described["brokers"]) == 3
        assert {len(partition["replicas"]) for partition in described["topics"][0]["partitions"]} == {3}
        os.kill(ready["pids"][1], signal.SIGKILL)
        told = festival.stderr.readline()
        while "has ended" not in told:  # before it stands the progress
            told = festival.stderr.readline()
        assert told == f"the broker at 127.0.0.1:{port + 1} has ended, 2 run on\n"
        festival.send_signal(signal.SIGTERM)
        _, errors = festival.communicate(timeout=PATIENCE_SECONDS)
    assert festival.returncode == 0
    assert "Traceback" not in errors
    await_that(lambda: not any(map(is_alive, ready["pids"])), "the end of all brokers")
    assert address.running(tmp_path) is None


def test_where_one_of_three_ports_is_taken_nothing_starts(tmp_path: Path) -> None:
    port = three_free_ports()
    with socket.create_server(("127.0.0.1", port + 2)):
        cluster = EmbeddedCluster(tmp_path / "kafka", port=port)
        with pytest.raises(UsageError, match=f"ports {port} to {port + 2}: one of them is taken"):
            cluster.start()
    assert not (tmp_path / "kafka").exists()

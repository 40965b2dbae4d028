"""The embedded broker as its users meet it: it starts, keeps its data, gives up in words, and never stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.broker import address
from streams.broker.embedded import BrokerFailedError, EmbeddedKafka, any_free_port
from streams.errors import UsageError
from streams.kafka.cluster.topics import check_topics, create_topics
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.kafka
PATIENCE_SECONDS = 60


def await_that(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds; these tests wait for other processes, so there is no clock to turn."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Return whether the process runs; one that has ended and is not yet reaped does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return bool(shown.stdout.strip()) and not shown.stdout.startswith("Z")


async def send(settings: Settings, value: bytes) -> None:
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        await producer.send_and_wait("orders", value, partition=0)


async def first_value(settings: Settings) -> bytes | None:
    async with AIOKafkaConsumer("orders", **settings.client_options(), auto_offset_reset="earliest") as consumer:
        record = await asyncio.wait_for(consumer.getone(), PATIENCE_SECONDS)
        value: bytes | None = record.value
        return value


def test_an_id_that_begins_with_a_minus_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.broker.embedded.uuid.uuid4", lambda: uuid.UUID(bytes=b"\xf8" + bytes(15)))
    with EmbeddedKafka(tmp_path, port=any_free_port()):
        assert "cluster.id=-A" in (tmp_path / "logs" / "meta.properties").read_text("utf-8")


def test_acknowledged_records_survive_a_stop_and_a_kill_of_the_broker(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kafka", port=any_free_port(), announce_in=tmp_path) as broker:
        settings = Settings(broker=broker.address)
        asyncio.run(create_topics(settings, 2))
        asyncio.run(send(settings, b"kept"))
        started_at = broker.address
        broker.kill()
        assert address.running(tmp_path) is None
        broker.start()
        assert broker.address == started_at
        assert asyncio.run(first_value(settings)) == b"kept"
    assert broker.pid is None
    with EmbeddedKafka(tmp_path / "kafka", port=any_free_port()) as broker:
        settings = Settings(broker=broker.address)
        assert asyncio.run(check_topics(settings)) == 2
        assert asyncio.run(first_value(settings)) == b"kept"


def test_a_taken_port_is_refused_if_explicit_and_given_way_if_not_and_a_taken_directory_is_refused(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is taken"):
            EmbeddedKafka(tmp_path / "explicit", port=port).start()
        by_default = EmbeddedKafka(tmp_path / "default")
        by_default._port = port
        with by_default:
            assert by_default.address != f"127.0.0.1:{port}"
            assert by_default.pid is not None
            second = EmbeddedKafka(tmp_path / "default", port=any_free_port())
            with pytest.raises(UsageError, match="in use by another broker"):
                second.start()
            assert second.pid is None


def test_a_broker_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path, port=any_free_port(), properties={"log.segment.bytes": "no number"})
    with pytest.raises(BrokerFailedError, match=r"(?s)log\.segment\.bytes"):
        broker.start()
    assert broker.pid is None


STARTER = """
import sys, time
from pathlib import Path
from streams.broker.embedded import EmbeddedKafka, any_free_port
broker = EmbeddedKafka(Path(sys.argv[1]), port=any_free_port())
broker.start()
print(broker.pid, flush=True)
time.sleep(600)
"""


def test_the_broker_dies_with_its_starter_even_when_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER, tmp_path], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert is_alive(pid)
        starter.kill()
    await_that(lambda: not is_alive(pid), "the end of the orphaned broker")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_festival_broker_says_where_it_listens_and_leaves_quietly(tmp_path: Path, end: signal.Signals) -> None:
    environment = os.environ | {"FESTIVAL_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "streams.cli", "broker", "--json", "--broker", f"127.0.0.1:{any_free_port()}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as festival:
        assert festival.stdout is not None
        ready = msgspec.json.decode(festival.stdout.readline())
        found = address.running(tmp_path)
        assert found is not None
        assert (found.address, found.pid) == (ready["broker"], ready["pid"])
        topics = subprocess.run([*command[:3], "topics"], env=environment, capture_output=True, text=True, check=False)
        assert (topics.returncode, "orders: 4 partitions, created" in topics.stdout) == (0, True), topics.stderr
        again = subprocess.run([*command[:3], "broker"], env=environment, capture_output=True, text=True, check=False)
        assert again.returncode == 2
        assert ready["broker"] in again.stderr
        festival.send_signal(end)
        _, errors = festival.communicate(timeout=PATIENCE_SECONDS)
    assert festival.returncode == 0
    assert "Traceback" not in errors
    assert not is_alive(ready["pid"])
    assert address.running(tmp_path) is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_broker_that_asks_for_a_password_lets_us_in_with_the_right_one_only(tmp_path: Path, mechanism: str) -> None:
    properties, format_options = sasl(mechanism, "festival", "a secret")
    with EmbeddedKafka(
        tmp_path / "kafka", port=any_free_port(), properties=properties, format_options=format_options
    ) as broker:
        environ = {
            "FESTIVAL_BROKER": broker.address,
            "FESTIVAL_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "FESTIVAL_SECURITY_MECHANISM": mechanism,
            "FESTIVAL_SECURITY_USER": "festival",
            "FESTIVAL_SECURITY_PASSWORD": "a secret",
        }
        settings = load_settings(environ=environ)
        assert asyncio.run(create_topics(settings, 1)).partitions == 1
        asyncio.run(send(settings, b"let in"))
        assert asyncio.run(first_value(settings)) == b"let in"
        command = [sys.executable, "-m", "streams.cli", "topics"]
        wrong = os.environ | environ | {"FESTIVAL_SECURITY_PASSWORD": "another secret"}
        refused = subprocess.run(command, env=wrong, capture_output=True, text=True, check=False)
        assert refused.returncode == 3, refused.stderr
        assert "another secret" not in refused.stdout + refused.stderr


def sasl(mechanism: str, user: str, password: str) -> tuple[dict[str, str], list[str]]:
    """Return the properties and format options of a broker with one user, which it is itself too."""
    kind, users = "scram.ScramLoginModule", ""
    format_options = ["--add-scram", f"{mechanism}=[name={user},password={password}]"]
    if mechanism == "PLAIN":
        kind, users, format_options = "plain.PlainLoginModule", f' user_{user}="{password}"', []
    login = f'org.apache.kafka.common.security.{kind} required username="{user}" password="{password}"{users};'
    properties = {
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": mechanism,
        "sasl.mechanism.inter.broker.protocol": mechanism,
        f"listener.name.client.{mechanism.lower()}.sasl.jaas.config": login,
    }
    return properties, format_options

"""A broker that takes connections and never answers: every command ends, in time and with one sentence."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from streams.kafka.client import clients
from streams.kafka.cluster.topics import check_topics
from streams.kafka.ledger.follower import read_committed_ledger
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMANDS = ("check", "topics", "recount", "totals", "audit", "rejected", "replay", "rehearse", "import")
SENTENCE = "is it running, is that its address as seen from here, and do FESTIVAL_SECURITY_* fit it?"
ENDED_SECONDS = 60
"""Nine Python processes start at once here, which takes a busy machine longer than their wait."""


@pytest.fixture
def silent() -> Iterator[str]:
    """Give the address of a listener that takes every connection and says nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    stack.enter_context(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_every_command_ends_with_3_and_one_sentence(silent: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.ndjson"
    rows.write_text('{"order_id": "o1"}\n', encoding="utf-8")
    environ = {**os.environ, "FESTIVAL_BROKER": silent, "FESTIVAL_DATA_DIR": str(tmp_path)}
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "streams.cli", name, *([str(rows)] if name == "import" else [])],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in COMMANDS
    }
    try:
        for name, process in running.items():
            told, _ = process.communicate(timeout=ENDED_SECONDS)
            assert process.returncode == 3, (name, told)
            assert told.count(f"Kafka at {silent} cannot be reached ({silent}: no answer") == 1, (name, told)
            assert told.count(SENTENCE) == 1, (name, told)
            assert "('" not in told, (name, told)
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def test_a_worker_that_waits_for_its_broker_can_be_stopped(silent: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streams.cli", "worker", "--name", "one", "--broker", silent, "--web-port", "0"]
    with subprocess.Popen([*command, "--data", str(tmp_path)], stderr=subprocess.PIPE, text=True) as worker:
        try:
            lock = tmp_path / "workers" / "one" / "lock"
            while not (lock.exists() and lock.read_text(encoding="utf-8")):
                assert worker.poll() is None
                time.sleep(0.05)
            time.sleep(1)  # it has begun to wait
            worker.terminate()
            assert worker.wait(20) == 0
        finally:
            worker.kill()


async def test_a_command_waits_a_bounded_time(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clients.REACH_SECONDS < 15
    monkeypatch.setattr(clients, "REACH_SECONDS", 0.5)
    for ask in (check_topics, read_committed_ledger):
        began = time.monotonic()
        with pytest.raises(clients.BrokerAwayError, match=r"cannot be reached \(.*no answer.*\): is it running"):
            await ask(Settings(broker=silent))
        assert time.monotonic() - began < 5


async def test_a_worker_and_a_board_wait_a_minute_at_their_start(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clients.START_SECONDS == 60
    monkeypatch.setattr(clients, "REACH_SECONDS", 0.3)
    monkeypatch.setattr(clients, "START_SECONDS", 1.5)
    monkeypatch.setattr(clients, "RETRY_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(clients.BrokerAwayError):
        await clients.await_broker(Settings(broker=silent))
    assert 1 < time.monotonic() - began < 5

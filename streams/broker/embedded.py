"""The embedded Apache Kafka: one real broker on this machine, for the demo, the tests, and `festival broker`.

Call order: `start`, then any number of `kill` and `start`, at the end `stop`; or use it as a context manager. All of
them block, from a moment (`kill`) to half a minute (the first `start`). The broker never outlives its starter. Three of
them make a cluster: `streams.broker.cluster`, which calls `launch` and `await_answer` in place of `start`.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Self

from streams.broker import address
from streams.broker.distribution import cache_directory, find_java, kafka_jars, show_nothing
from streams.broker.properties import LOGGING, LOOPBACK, Quorum, server_properties
from streams.errors import FestivalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from streams.broker.distribution import Show


DEFAULT_PORT = 9092
PORTS_TRIED = 100
HEAP_MB = 512
CLUSTER_HEAP_MB = 320
"""Three of them share a machine."""
START_SECONDS = 120
"""Ready takes 4 to 6 s on an idle machine with 2 cores, more after a kill (recovery) or with busy cores."""
STOP_SECONDS = 20
RELEASE_SECONDS = 5
"""How long the directory may still be held by a broker that is just dying with its starter."""
TAIL_LINES = 15
POLL_SECONDS = 0.1

LAUNCH = 'read -r go && exec "$@"'
"""Runs the JVM once it is told to: nothing starts if the starter dies before it has set its watch."""
WATCH = 'read -r end; kill -9 "$0"'
"""Waits for the end of its input, which comes with the death of the starter, however it dies."""


class BrokerFailedError(FestivalError):
    """The broker did not start, or stopped by itself; the text ends with the tail of its log."""

    exit_status = 3


class EmbeddedKafka:
    """One broker that is also its own controller (KRaft), on loopback."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        announce_in: Path | None = None,
        properties: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
        show: Show = show_nothing,
        quorum: Quorum | None = None,
    ) -> None:
        """Prepare a broker whose data lies in `directory`; nothing is started or written yet.

        `port`: where to listen, None for 9092 or the next free one. `announce_in`: the data directory in which other
        commands look for the address. `properties` go over ours, `format_options` to `kafka-storage format`.
        `quorum`: the cluster it belongs to and its place there; None: it is alone.
        """
        self.directory = directory.absolute()
        self._is_port_explicit = port is not None
        self._port = port or DEFAULT_PORT
        self._quorum = quorum
        self._controller_port = quorum.own_port if quorum is not None else None
        self._announce_in = announce_in
        self._properties = dict(properties or {})
        self._format_options = list(format_options)
        self._show = show
        self._is_placed = False
        """Whether its ports are chosen for good."""
        self._lock: int | None = None
        self._broker: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return HOST:PORT; final once started, a restart keeps it."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Return the process id of the JVM, None while it does not run."""
        return self._broker.pid if self._broker is not None and self._broker.poll() is None else None

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
        """Start the broker on the data there is, and return once it answers.

        Raises `UsageError` for a port or directory that is taken, `BrokerFailedError` when it does not come up,
        `UnreachableError` when Kafka itself cannot be fetched.
        """
        assert self.pid is None, "already started"
        try:
            self.launch()
            self.await_answer()
        except BaseException:
            self.kill()
            self._release()
            raise

    def launch(self) -> None:
        """Start the broker and do not wait for it; raises as `start` does."""
        class_path = f"{kafka_jars(cache_directory(), self._show)}/*"
        java = find_java()
        self._acquire()
        self._choose_ports()
        self._write_files()
        # Compiled for a short life: takes 1.0 s of CPU and not 1.8.
        self._format([str(java), "-XX:TieredStopAtLevel=1", "-cp", class_path])
        self._launch(self._command(java, class_path))

    def await_answer(self) -> None:
        """Return once the launched broker answers; raises `BrokerFailedError`."""
        self._await_answer()
        if self._announce_in is not None:
            assert self._broker is not None
            address.announce(self._announce_in, self.address, self._broker.pid)

    def stop(self, *, in_order: bool = True) -> None:
        """Stop the broker, in order: what it holds in memory is written. Harmless when it does not run."""
        if in_order and self._broker is not None and self._broker.poll() is None:
            self._broker.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._broker.wait(STOP_SECONDS)
        self.kill()
        self._release()

    def kill(self) -> None:
        """Kill the broker as `kill -9` does; `start` starts it again where it was."""
        if self._broker is not None and self._broker.poll() is None:
            self._broker.kill()
        self._reap()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the broker ends by itself, at most `seconds`; return whether it did."""
        assert self._broker is not None, "not started"
        try:
            self._broker.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log_tail(self) -> str:
        """Return the last lines the broker wrote."""
        lines: list[str] = []
        for name in ("kafka.log", "kafka.out"):
            path = self.directory / name
            if path.is_file():
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(lines)

    def _acquire(self) -> None:
        """Take the directory; the JVM inherits the lock, so it is held as long as anything writes there."""
        if self._lock is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + RELEASE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(lock)
                    raise UsageError(
                        f"{self.directory} is in use by another broker. Use that one, stop it, or choose another "
                        "directory with --data DIR."
                    ) from None
                time.sleep(POLL_SECONDS)
        self._lock = lock

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _choose_ports(self) -> None:
        if self._is_placed:
            return  # a restart: clients know the address
        ports = range(self._port, self._port + (1 if self._is_port_explicit else PORTS_TRIED))
        free = next((port for port in ports if is_free(port)), None)
        if free is None:
            raise UsageError(f"port {self._port} is taken: stop what listens there, or choose another with --broker")
        self._port = free
        self._controller_port = self._controller_port or any_free_port()
        self._is_port_explicit = self._is_placed = True

    def _write_files(self) -> None:
        assert self._controller_port is not None
        quorum = self._quorum or Quorum("", (self._controller_port,), 1)
        properties = server_properties(self.address, quorum, self.directory)
        lines = (f"{key}={value}\n" for key, value in (properties | self._properties).items())
        config = self.directory / "server.properties"
        config.write_text("".join(lines), encoding="utf-8")
        config.chmod(0o600)  # `properties` may hold passwords
        logging = LOGGING.format(directory=self.directory)
        (self.directory / "log4j2.properties").write_text(logging, encoding="utf-8")
        # The libraries Java unpacks (zstd, lz4, snappy) are left there by a kill.
        shutil.rmtree(self.directory / "unpacked", ignore_errors=True)
        (self.directory / "unpacked").mkdir()

    def _format(self, java: list[str]) -> None:
        """Format new storage; a mark says it was done, as a kill may have come in between."""
        mark = self.directory / "formatted"
        if mark.exists():
            return
        shutil.rmtree(self.directory / "logs", ignore_errors=True)
        cluster = self._quorum.cluster_id if self._quorum is not None else new_cluster_id()
        config = str(self.directory / "server.properties")
        # Behind an equals sign, as one id in 64 begins with a minus.
        chosen = ["format", f"--cluster-id={cluster}", "-c", config, *self._format_options]
        command = [*java, "kafka.tools.StorageTool", *chosen]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise BrokerFailedError(f"the storage of Kafka could not be made:\n{done.stdout}{done.stderr}".rstrip())
        mark.touch()

    def _command(self, java: Path, class_path: str) -> list[str]:
        return [
            str(java),
            f"-Xmx{HEAP_MB if self._quorum is None else CLUSTER_HEAP_MB}m",
            "-XX:-UsePerfData",
            # The JVM's second compiler takes a quarter of a core for minutes and makes a broker, which moves bytes, no
            # cheaper: without it two workers beside it on two cores count 1.2 x as fast.
            "-XX:TieredStopAtLevel=1",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={self.directory}/unpacked",
            f"-Dlog4j2.configurationFile={self.directory}/log4j2.properties",
            "-cp",
            class_path,
            "kafka.Kafka",
            f"{self.directory}/server.properties",
        ]

    def _launch(self, command: list[str]) -> None:
        """Run the JVM in a session of its own (Ctrl-C is for us, we stop it in order), with somebody watching us."""
        assert self._lock is not None
        with (self.directory / "kafka.out").open("wb") as output:
            self._broker = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", LAUNCH, "kafka", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(self._lock,),
                start_new_session=True,
            )
        self._watch = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", WATCH, str(self._broker.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        assert self._broker.stdin is not None
        self._broker.stdin.write(b"go\n")
        self._broker.stdin.close()

    def _await_answer(self) -> None:
        assert self._broker is not None
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self._port):
            if self._broker.poll() is not None:
                raise BrokerFailedError(f"Kafka stopped while starting. The end of its log:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerFailedError(
                    f"Kafka did not answer within {START_SECONDS} s. The end of its log:\n{self.log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    def _reap(self) -> None:
        """Take leave of a broker that has ended, or is about to; the watch goes first, as its number may be reused."""
        if self._watch is not None:
            self._watch.kill()
            self._watch.wait()
            assert self._watch.stdin is not None
            self._watch.stdin.close()
            self._watch = None
        if self._broker is not None:
            pid = self._broker.pid
            self._broker.wait()
            self._broker = None
            if self._announce_in is not None:
                address.withdraw(self._announce_in, pid)


def new_cluster_id() -> str:
    """Return the id of a cluster to be."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def is_free(port: int) -> bool:
    """Return whether a broker can listen on a port of the loopback interface."""
    with socket.socket() as probe:
        # As the broker itself does: a port whose old connections are still fading out is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def any_free_port() -> int:
    """Return a port of the loopback interface nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    """Return whether a broker answers ApiVersions (version 0), the one request it takes without credentials."""
    api_versions, version, correlation, no_client = 18, 0, 1, -1
    request = struct.pack(">hhih", api_versions, version, correlation, no_client)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(10)
    except OSError:
        return False
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (correlation, 0)  # noqa: PLR2004 - the header

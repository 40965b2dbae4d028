"""Workers as processes of a night: the same `festival worker` that an operator starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.broker.embedded import WATCH
from streams.errors import FestivalError
from streams.web.ports import listen, url_of

if TYPE_CHECKING:
    from pathlib import Path

    from streams.settings import Settings

STOP_SECONDS = 12
"""A worker stops in about two; it ends itself after eight."""
LOG_TAIL_LINES = 15


class WorkerDiedError(FestivalError):
    """A worker that was started here ended by itself; the text ends with the tail of its log."""

    exit_status = 3


@dataclass
class _Child:
    name: str
    url: str
    log: Path
    process: subprocess.Popen[bytes]
    watch: subprocess.Popen[bytes]


class Workers:
    """Some workers on this machine, from `start` to `stop`; they end with us, however we end."""

    def __init__(self, settings: Settings, directory: Path, count: int) -> None:
        """Prepare; their data and logs go into `directory`."""
        self._settings = settings
        self._directory = directory
        self._count = count
        self._children: list[_Child] = []

    @property
    def urls(self) -> list[str]:
        """Return where they serve HTTP."""
        return [child.url for child in self._children]

    def start(self) -> None:
        """Start them; returns at once."""
        host, port = self._settings.web_host, self._settings.web_port
        with contextlib.ExitStack() as stack:
            # Held until all are known: each worker needs a port of its own.
            listeners = [stack.enter_context(listen(host, port, is_explicit=False)) for _ in range(self._count)]
            places = [(listener.getsockname()[1], url_of(listener, self._settings.web_path)) for listener in listeners]
        for number, (free_port, url) in enumerate(places, 1):
            self._children.append(self._start(f"worker-{number}", free_port, url))

    def check(self) -> None:
        """Raise `WorkerDiedError` if one has ended."""
        for child in self._children:
            if child.process.poll() is not None:
                lines = child.log.read_text("utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
                raise WorkerDiedError(
                    f"{child.name} ended with status {child.process.returncode}. The end of its log:\n"
                    + "\n".join(lines)
                )

    def stop(self) -> None:
        """Stop them in order, and return once they are gone. May be called twice."""
        children, self._children = self._children, []
        for child in children:
            child.process.terminate()
        for child in children:
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            child.watch.kill()
            child.watch.wait()
            assert child.watch.stdin is not None
            child.watch.stdin.close()

    def _start(self, name: str, port: int, url: str) -> _Child:
        settings = self._settings
        command = [sys.executable, "-m", "streams.cli", "worker", "--name", name, "--web-port", str(port)]
        command += ["--broker", settings.bootstrap_servers, "--prefix", settings.prefix, "--data", str(self._directory)]
        if settings.festivals_dir is not None:
            command += ["--festivals", str(settings.festivals_dir)]
        if settings.declarations is not None:
            command += ["--declarations", str(settings.declarations)]
        log = self._directory / f"{name}.log"
        with log.open("wb") as output:
            # A session of its own: Ctrl-C is for us, we stop it in order.
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # We read their metrics ourselves: nobody is asked who it is.
                env={**os.environ, "FESTIVAL_WEB_HOST": settings.web_host, "FESTIVAL_WEB_CONFIG": ""},
            )
        watch = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", WATCH, str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        return _Child(name, url, log, process, watch)

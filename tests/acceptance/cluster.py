"""Real workers and replays as processes, and what is committed: the stage of the fault tests.

Everything is started with the commands an operator has. What is waited for is a condition, with a deadline; an
expired one fails with the ends of all logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from aiokafka.errors import KafkaError

from streams.audit.procedure import run_audit
from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView, Snapshot
from streams.engine.judgement import epochs_of, judge
from streams.engine.topic_names import SOURCES
from streams.festivals import load_festivals
from streams.kafka.cluster.topics import create_topics
from streams.kafka.ledger.follower import LedgerFollower
from streams.settings import Settings
from streams.truth.tally import DIMENSIONS, compare, read_tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from streams.engine.judgement import Sources
    from streams.truth.tally import Tally

FESTIVAL = "singles-day-2019"
POLL_SECONDS = 0.1
DEADLINE_SECONDS = 90.0
SESSION_MS = 3_000
"""Half the default, so that a dead worker's partitions move on sooner."""


class Cluster:
    """Workers on one prefix of one broker. An asynchronous context: leaving it ends every process."""

    def __init__(self, broker: str, prefix: str, directory: Path, partitions: int = 4) -> None:
        """Start nothing yet; logs and data go to `directory`."""
        self.settings = Settings(broker=broker, prefix=prefix)
        self.directory = directory
        self.partitions = partitions
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._follower = LedgerFollower(self.settings)
        self._view = CommittedView()
        self._sources: Sources | None = None

    async def __aenter__(self) -> Self:
        """Create the topics and follow the ledger."""
        await create_topics(self.settings, self.partitions)
        self._follower.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process that still runs."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        await self._follower.stop()
        if error is not None:
            print(self.logs())  # noqa: T201 - shown by pytest with the failure

    # -- processes ---------------------------------------------------------------------------------------------

    def start_worker(self, name: str, *, web_port: int = 0, **environment: str) -> None:
        """Start a worker; one of that name must not run. Port 0 takes any."""
        self._start(name, ["worker", "--name", name, "--web-port", str(web_port)], environment)

    def start_faust(self, name: str, app: str, *options: str, **environment: str) -> None:
        """Start a worker as Faust's users do; `app` is `streams.faust` or a module in `directory`."""
        program = ("faust", "-A", app, "worker")
        self._start(name, options, {"FESTIVAL_NAME": name, **environment}, program)

    def start_board(self, name: str, **environment: str) -> None:
        """Start a board on any port."""
        self._start(name, ["board", "--web-port", "0"], environment)

    def start_replay(self, name: str, *arguments: str) -> None:
        """Start a replay that writes its tally when it ends."""
        self._start(name, ["replay", "--tally", str(self._tally_file(name)), *arguments])

    def _start(
        self,
        name: str,
        arguments: Sequence[str],
        environment: dict[str, str] | None = None,
        program: Sequence[str] = ("streams.cli",),
    ) -> None:
        assert name not in self._processes or self._processes[name].poll() is not None, f"{name} runs already"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FESTIVAL_")}
        own = {
            "FESTIVAL_BROKER": self.settings.bootstrap_servers,
            "FESTIVAL_PREFIX": self.settings.prefix,
            "FESTIVAL_DATA_DIR": str(self.directory / "data"),
            "FESTIVAL_SESSION_TIMEOUT_MS": str(SESSION_MS),
        }
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", *program, *arguments],
                cwd=self.directory,
                env=inherited | own | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process that runs."""
        assert self.is_running(name), f"{name} does not run"
        self._processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """End a process as `kill -9` does."""
        self.send(name, signal.SIGKILL)
        self._processes[name].wait()

    def is_running(self, name: str) -> bool:
        """Return whether a process runs (a stopped one counts as running)."""
        return self._processes[name].poll() is None

    def pid(self, name: str) -> int:
        """Return the number of a process."""
        return self._processes[name].pid

    async def ended(self, name: str) -> int:
        """Return the exit status of a process once it has ended."""
        await self.until(lambda: not self.is_running(name), f"{name} ends")
        return self._processes[name].returncode

    def log(self, name: str) -> str:
        """Return everything a process has written."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(f"--- {name}\n{self.log(name)[-3_000:]}" for name in self._processes)

    # -- what is committed -------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what is committed, as any reader sees it."""
        if (delta := self._follower.drain()) is not None:
            self._view.feed(delta)
        return self._view.snapshot()

    def counted_records(self) -> int:
        """Return how many records of all topics the committed cursors cover."""
        return sum(offset for offsets in self.snapshot().positions().values() for offset in offsets.values())

    async def until(self, is_so: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
        """Return once `is_so`; fails after `seconds`."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.logs()}"
            await asyncio.sleep(POLL_SECONDS)

    async def until_counted(self, records: int) -> None:
        """Return once the committed cursors cover that many records."""
        await self.until(lambda: self.counted_records() >= records, f"{records} records counted")

    async def until_caught_up(self) -> None:
        """Return once everything on the topics is counted and committed."""
        await self.until(lambda: self.snapshot().is_complete, "every partition has a cursor")
        self._sources = None
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._sources is None or judge(self._sources, self.snapshot().cursors).lag_records:
            assert time.monotonic() < deadline, (
                f"lag is left: {self._sources}, {self.snapshot().positions()}\n{self.logs()}"
            )
            with contextlib.suppress(KafkaError):
                self._sources = await self._follower.survey(SOURCES, epochs_of(self.snapshot().cursors))
            await asyncio.sleep(POLL_SECONDS)

    async def differences_from_audit(self) -> list[str]:
        """Return what the audit finds; none: every cell, outcome and rejected record is exact."""
        result = await run_audit(self.settings)
        assert result.records > 0
        return [json.dumps([d.measure, d.where, d.ledger, d.recount]) for d in result.differences[:20]]

    def differences_from_tally(self, name: str) -> list[str]:
        """Return what differs between the committed totals, by every dimension, and the tally of replay `name`."""
        return self.differences_from(read_tally(self._tally_file(name)))

    def differences_from(self, tally: Tally) -> list[str]:
        """Return what differs between the committed totals, by every dimension, and a tally."""
        festival = load_festivals()[FESTIVAL]
        documents = [totals_document(self.snapshot(), festival, by=dimension) for dimension in DIMENSIONS]
        return [difference for document in documents for difference in compare(tally, document)]

    def totals(self, by: str | None = None) -> dict[str, Any]:
        """Return the committed totals, with the rows of a dimension if one is given."""
        return totals_document(self.snapshot(), load_festivals()[FESTIVAL], by=by)

    def _tally_file(self, name: str) -> Path:
        return self.directory / f"{name}.tally.json"

"""A simulated festival day: a seed draws the world, the processes, and the faults; the checker judges after every step.

`Day(seed).run()` is the same on any machine, to the byte. `off` names faults of the list that are left out, so that a
failure can be shrunk to those that it needs.
"""

from __future__ import annotations

import hashlib
import itertools
from functools import partial
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

from streams.domain.declarations import FingerprintError
from streams.engine import bounds
from streams.engine.judgement import epochs_of, judge_partition
from streams.engine.lifecycle import State
from streams.engine.memory import MemoryLedgerStore
from streams.engine.memory.errors import KafkaFaultError
from streams.engine.memory.ledger import COMPACTION_LAG_MS
from streams.engine.topic_names import LEDGER, SEEN
from tests.simulation.audits import Audit, judge
from tests.simulation.bridged import RIGHTS, Bridged, is_bridged
from tests.simulation.checker import Checker
from tests.simulation.events import POISON
from tests.simulation.faults import LOSES_ALL, Fault, Faults, Trouble, drawn
from tests.simulation.hands import KilledError
from tests.simulation.oracle import PartitionOracle
from tests.simulation.process import Process
from tests.simulation.readers import Reader
from tests.simulation.second import Second
from tests.simulation.shown import Shown
from tests.simulation.source import survey
from tests.simulation.subject import COUNTED, FESTIVAL, declared
from tests.simulation.world import RULES, World

if TYPE_CHECKING:
    from collections.abc import Collection

    from streams.engine.steps import Step
    from tests.simulation.recounter import Recounter
    from tests.simulation.world import Place

STEPS = 320
PARTITIONS = 3
ACTS = (1, 2, 2, 3)
"""What shops do in one step."""
RUSH = 40
"""Records of a rush."""
NAMES = ("one", "two", "three")
BEFORE_MS = 20_000
"""The day begins so long before the festival does."""
SLICE_MS = 1_500
PAUSES_MS = (5, 60, 250, 900, 4_000, 45_000)
PAUSE_WEIGHTS = (30, 30, 30, 15, 4, 2)
REJECTED_LIMITS_BYTES = (100, bounds.PENDING_REJECTED_LIMIT_BYTES, bounds.PENDING_REJECTED_LIMIT_BYTES)
RESTART_MS = 5_000
LAST_RESTART_MS = 30_000
"""At the end of the day: a process that ended because all that it has is held would take its note back."""
SETTLE_SLICES = 400
SETTLE_MS = 500
LAST_MS = 6_000
"""Control records of the last commit come within so long."""
LAST_TRIES = 5
CLOCKS_OFF_MS = (-3_600_000, 3_600_000, 0)
"""What the clocks of readers' machines are ahead of the broker's, one after the other."""


class Scene(World):
    """The world with only what shops do by themselves; everything else is a fault of the list."""

    def __init__(self, seed: int) -> None:
        self.checker: Checker | None = None
        super().__init__(seed, topics=COUNTED[seed % len(COUNTED)], partitions=PARTITIONS, floor=self._floor)
        self.kafka.tick(RULES.start_ms - BEFORE_MS)
        for name in (LEDGER, SEEN):
            # As `festival topics` sets it: readers rely on it.
            self.kafka.topics[name].min_compaction_lag_ms = COMPACTION_LAG_MS
        self._steps = [
            (self._send, 30),
            (self._rush, 3),
            (self._resend, 10),
            (self._send_poison, 6),
            (self._send_in_transaction, 14),
            (self._end_transaction, 10),
        ]

    def shop(self) -> str:
        """Let one shop do something; returns what."""
        acts, weights = zip(*self._steps, strict=True)
        done: str = self.random.choices(acts, weights)[0]()
        return done

    def _rush(self) -> str:
        """Send many records at once."""
        return self._sends(RUSH)

    def outgrow(self, place: Place, position: int) -> str:
        """Send so much to a log at once, good and bad, that it is longer than it was counted; returns what."""
        self.kafka.log(*place).append(list(POISON), None, None, self.kafka.record_time_ms)
        return self._sends_to(place, position - self.kafka.log(*place).end + RUSH)

    def take_shop_over(self) -> str:
        """Start the process of a shop anew; returns which."""
        return self._take_shop_over()

    def grow(self, topic: str) -> None:
        """Note that a topic has one partition more."""
        place = topic, self.counts[topic]
        self.counts[topic] += 1
        self.oracles[place] = PartitionOracle(topic, RULES)
        self._archived[place] = self._ends[place] = 0

    def archive(self) -> None:
        """Show the oracles what has become visible."""
        self._archive()

    def _floor(self, place: Place) -> int:
        return 0 if self.checker is None else self.checker.floor(place)


class Day:
    """One day. `trace` is what happened, a line each."""

    def __init__(self, seed: int, off: Collection[int] = ()) -> None:
        self.seed = seed
        self.trace: list[str] = []
        self.world = Scene(seed)
        self.kafka, self.topics = self.world.kafka, self.world.topics
        self.bridged = Bridged(seed, self.kafka, PARTITIONS) if is_bridged(seed, self.topics) else None
        self.names = NAMES if self.bridged is None else (*NAMES, *self.bridged.names)
        self.declarations = declared(self.topics)
        self.checker = self.world.checker = Checker(self.world)
        self.draw = Random(f"{seed}/processes")  # noqa: S311 - a simulation
        self.plan = [fault for fault in drawn(seed, STEPS) if fault.number not in off]
        if self.bridged is not None:  # a bridge goes on sending, whatever was lost of what it sent
            self.plan = [fault for fault in self.plan if fault.kind not in LOSES_ALL]
            self.world.rights += RIGHTS
        self.faults = Faults(self)
        self.processes: dict[str, Process] = {}
        self.zombies: list[Process] = []
        """Processes in whose name another one was started."""
        self.starts_ms: dict[str, int] = dict.fromkeys(NAMES[: 1 + self.draw.randrange(3)], 0)
        """When processes that do not run are to start."""
        self.starts_ms |= dict.fromkeys(self.names[len(NAMES) :], 0)
        self.at_step: dict[str, Trouble] = {}
        """What the processes will meet, by their names."""
        self.readers: list[Shown] = []
        self._clocks = itertools.cycle(CLOCKS_OFF_MS)
        self.recounter: Recounter | None = None
        self._restart_ms = RESTART_MS
        self._depth = 0

    def run(self) -> None:
        """Live the day to its end; raises `AssertionError` where anything is wrong."""
        with patch.object(bounds, "PENDING_REJECTED_LIMIT_BYTES", self.draw.choice(REJECTED_LIMITS_BYTES)):
            self._run()

    def _run(self) -> None:
        faults: dict[int, list[Fault]] = {}
        for fault in self.plan:
            faults.setdefault(fault.step, []).append(fault)
        for step in range(STEPS):
            for fault in faults.get(step, ()):
                self.tell(f"fault {fault.number}: {self.faults.happen(fault)}")
                self.look()
            self._step()
        self._settle()

    def digest(self) -> str:
        """Return a hash of all that lies in the logs, and of all that happened."""
        found = hashlib.sha256("\n".join(self.trace).encode())
        for topic in self.kafka.topics.values():
            for log in topic.logs:
                found.update(repr((log.offsets, log.values, log.times_ms, bytes(log.kinds))).encode())
        return found.hexdigest()

    def tell(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{(self.kafka.now_ms - FESTIVAL.start_ms) / 1000:9.3f} s  {'  ' * self._depth}{text}")

    def look(self) -> None:
        """Judge what is committed."""
        self.world.archive()
        self.checker.look()
        if self.bridged is not None:
            self.bridged.look()

    def pass_time(self, elapsed_ms: int, *, sized_ms: int = SLICE_MS) -> None:
        """Let time pass for everybody, in slices."""
        end_ms = self.kafka.now_ms + elapsed_ms
        while self.kafka.now_ms < end_ms:
            self.kafka.tick(min(end_ms, self.kafka.now_ms + sized_ms))
            self.faults.tick()
            self.look()
            self.turns()

    def turns(self) -> None:
        """Let every process, and some readers, have a turn, in a drawn order."""
        for name in [name for name, at_ms in self.starts_ms.items() if at_ms <= self.kafka.now_ms]:
            self._start(name)
        self.zombies = [process for process in self.zombies if not process.is_over]
        running = [*self.processes.values(), *self.zombies]
        self.draw.shuffle(running)
        for process in running:
            self._turn(process)
        if self.recounter is not None:
            self.recounter.turn()
            self.look()
            if self.recounter.is_over:
                self.tell("the recount is over")
                if self.draw.random() < 0.5:
                    self.tell(self.faults.expel(self.draw))
                self.recounter = None
        if not self.readers and not self.kafka.faults.is_away:
            self.open_reader()
        for reader in self.readers:
            if self.draw.random() < 0.3:
                reader.turn()

    def declare(self, second_ms: int) -> None:
        """Have a second festival in the files of whoever begins from now on."""
        self.declarations = declared(self.topics, second_ms)
        self.checker.second = Second(self.world, second_ms)

    def kill(self, process: Process, restart_ms: int = RESTART_MS) -> None:
        """End a process at once; what it had sent may still reach the broker."""
        process.is_over = True
        self.processes.pop(process.name, None)
        self.starts_ms[process.name] = self.kafka.now_ms + restart_ms
        for requested in process.wire():
            if self.draw.random() < 0.3:
                self.faults.late.append((self.kafka.now_ms + 200, process, requested))

    def _turn(self, process: Process) -> None:
        try:
            process.turn()
        except KilledError:
            self.tell(f"{process.name} is dead")
            self.kill(process)
        self.look()
        if process.is_over and self.processes.get(process.name) is process:
            del self.processes[process.name]
            self.starts_ms[process.name] = self.kafka.now_ms + self._restart_ms

    def _start(self, name: str) -> None:
        try:
            at_step = partial(self._at_step, name)
            if self.bridged is not None and name in self.bridged.names:
                process: Process = self.bridged.started(name, self.draw, at_step, self.tell)
            else:
                process = Process(
                    name, self.declarations, kafka=self.kafka, draw=self.draw, at_step=at_step, tell=self.tell
                )
        except (KafkaFaultError, FingerprintError):
            return
        del self.starts_ms[name]
        self.processes[name] = process
        self.tell(f"{name} starts")

    def open_reader(self) -> None:
        """Open a reader, where the broker is there."""
        try:
            reader = Reader(self.kafka, self.draw, next(self._clocks))
            self.readers.append(Shown(reader, self.checker, self.topics))
        except KafkaFaultError:
            return

    def audit(self) -> None:
        """Judge what an audit would read now."""
        planned = Audit(self.kafka, self.draw).planned()
        if planned is not None:
            judge(planned, self.checker, self.world)

    def _at_step(self, name: str, step: Step) -> None:
        """Let what was drawn happen in the middle of a commit."""
        trouble, process = self.at_step.get(name), self.processes.get(name)
        if trouble is None or process is None or trouble.step is not step:
            return
        if trouble.is_last and not any(t.state is State.LEAVING for t in process.crew.tenures.values()):
            return
        del self.at_step[name]
        what, elapsed_ms = trouble.what, trouble.elapsed_ms
        self.tell(f"{name} at {step} of a commit: {what}")
        if what == "dies":
            raise KilledError
        if what == "stops":
            self._depth += 1
            self.pass_time(elapsed_ms)
            self._depth -= 1
        else:
            raise ConnectionError(f"{what} at {step}")

    def _step(self) -> None:
        if not self.kafka.faults.is_away and self.draw.random() < 0.8:
            for _ in range(self.draw.choice(ACTS)):
                self.tell(self.world.shop())
            if self.bridged is not None:
                self.tell(self.bridged.shop())
            self.look()
        self.pass_time(self.draw.choices(PAUSES_MS, PAUSE_WEIGHTS)[0])

    def _settle(self) -> None:
        """End every fault; then everything that was sent has to be counted, and shown."""
        self.faults.end()
        self.at_step.clear()
        self._restart_ms = LAST_RESTART_MS
        self.world.settle()
        self.tell("every fault is over")
        for _ in range(LAST_TRIES):
            self._wait()
            self.pass_time(LAST_MS)
            if self._is_settled():  # a recount's switch, too, is only seen with its control record
                break
        self._wait()
        self.faults.check_counted()
        self.checker.check_known(set(range(self.world.partitions)) - self.faults.lost.keys())
        expected, found = self.checker.expected_rejected(), self.checker.known_rejected()
        assert found == expected, (
            f"not set aside: {sorted(expected - found)}; more than known: {sorted(found - expected)}"
        )
        if self.bridged is not None:
            self.bridged.finish()
        self.audit()
        for reader in self.readers:
            reader.finish(lost=self.faults.lost)

    def _wait(self) -> None:
        """Let time pass until everything is counted, but not for ever."""
        for _ in range(SETTLE_SLICES):
            if self._is_settled():
                return
            self.pass_time(SETTLE_MS, sized_ms=SETTLE_MS)

    def _is_settled(self) -> bool:
        if self.bridged is not None and not self.bridged.is_settled():
            return False
        return self.recounter is None and all(
            self.checker.is_counted(number) or (number in self.faults.lost and self._is_held(number))
            for number in range(self.world.partitions)
        )

    def _is_held(self, number: int) -> bool:
        """Return whether a partition is held for good: by a note, or by what everybody sees who looks at the topics."""
        if (number, self.checker.generation) in self.checker.noted:
            return True
        cursor = MemoryLedgerStore(kafka=self.kafka).committed(number, self.checker.generation).cursor
        if cursor is None:
            return False
        sources = survey(self.kafka, self.topics, number, epochs_of({number: cursor}))
        return judge_partition(number, sources, cursor) is not None

"""What goes wrong on a simulated day: a list drawn from the seed, each entry of which can be left out.

Every fault draws its details from a generator of its own, so that leaving one out changes no other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from streams.engine.memory import Fate, MemoryLedgerStore, Request
from streams.engine.memory.errors import DamagedError, KafkaFaultError, OutOfRangeError
from streams.engine.steps import Step, nothing_at
from streams.engine.topic_names import BRIDGE, GROUP, LEDGER, SEEN, SOURCES
from tests.simulation import bridged, damages
from tests.simulation.oracle import AHEAD_MS
from tests.simulation.recounter import Recounter
from tests.simulation.subject import FESTIVAL
from tests.simulation.world import MARGIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.day import Day
    from tests.simulation.hands import Hands, Requested
    from tests.simulation.process import Process
    from tests.simulation.world import Place

KINDS = {
    "kill": 6,
    "stop": 6,
    "replace": 3,
    "close": 3,
    "join": 4,
    "commit": 16,
    "answer": 12,
    "away": 3,
    "right": 3,
    "fence": 4,
    "hole": 5,
    "again": 4,
    "fetch": 3,
    "compact": 8,
    "retention": 4,
    "elect": 1,
    "clock": 2,
    "shop": 2,
    "markers": 2,
    "offsets": 2,
    "expel": 2,
    "shake": 4,
    "reader": 3,
    "audit": 3,
    "recount": 6,
    "declare": 2,
    "grow": 1,
    "delete": 1,
    "damage": 1,
    "tail": 2,
    "remade": 1,
    "page": 2,
    "behind": 2,
    "mirror": 1,
}
"""How often each kind is drawn, against the others. Each of those in `ONCE` comes at most once a day."""
ONCE = frozenset({"recount", "declare", "grow", "delete", "damage", "tail", "remade", "page", "behind", "mirror"})
LOSES_ALL = frozenset({"tail", "remade"})
OLDER = frozenset({"behind", "mirror"})
"""After these the ledger says less than what was set aside: a recount would set some of it aside again."""
APART = {
    **dict.fromkeys(LOSES_ALL, frozenset({"grow", *OLDER})),
    **dict.fromkeys(OLDER, frozenset({"grow", "recount", "declare", *LOSES_ALL})),
    **dict.fromkeys(("recount", "declare"), OLDER),
    "grow": LOSES_ALL | OLDER,
}
"""Kinds that no day has together: a topic that is made again has as many partitions as it had."""
FEWEST, MOST = 24, 60
EVEN = 0.5
ASKED = (
    *[Request.END_TRANSACTION] * 4,
    *(request for request in Request if request not in {Request.LEAVE, Request.COMMIT_OFFSETS, Request.FETCH_OFFSETS}),
)
"""Requests that come to no good end."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry: what happens, and before which step."""

    number: int
    step: int
    kind: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a process meets at a step of a commit."""

    step: Step
    what: str
    elapsed_ms: int
    """How long it stops, where it does."""
    is_last: bool = False
    """Only in a commit before a partition goes."""


def drawn(seed: int, steps: int) -> list[Fault]:
    """Return the faults of a day, in order."""
    draw = Random(f"{seed}/faults")  # noqa: S311 - a simulation
    kinds: list[str] = []
    for kind in draw.choices(list(KINDS), list(KINDS.values()), k=draw.randint(FEWEST, MOST)):
        if (kind not in ONCE or kind not in kinds) and APART.get(kind, frozenset()).isdisjoint(kinds):
            kinds.append(kind)
    places = sorted((draw.randrange(steps), kind) for kind in kinds)
    return [Fault(number, step, kind) for number, (step, kind) in enumerate(places)]


class Faults:
    """Lets the faults of one day happen."""

    def __init__(self, day: Day) -> None:
        self._day, self._kafka = day, day.kafka
        self._over: list[tuple[int, str, Callable[[], object]]] = []
        """What ends by itself: when, what, and how."""
        self._fates: list[tuple[Request, Fate]] = []
        self.late: list[tuple[int, Hands, Requested]] = []
        """Requests of dead processes that are still on the wire."""
        self.lost: Counter[int] = Counter()
        """Partitions of which records were lost: they have to be held."""
        self.happened: Counter[str] = Counter()
        self._is_recounted = False
        self._kafka.faults.on_request = self._fate

    def happen(self, fault: Fault) -> str:
        """Let a fault happen; returns what it was."""
        self.happened[fault.kind] += 1
        draw = Random(f"{self._day.seed}/fault/{fault.number}")  # noqa: S311 - a simulation
        act: Callable[[Random], str] = getattr(self, f"_{fault.kind}")
        try:
            return act(draw)
        except KafkaFaultError as error:
            return f"{fault.kind} comes to nothing: {error}"

    def tick(self) -> None:
        """End what ends now, and let late requests reach the broker."""
        now_ms = self._kafka.now_ms
        for at_ms, what, end in list(self._over):
            if at_ms <= now_ms:
                self._over = [entry for entry in self._over if entry[2] is not end]
                end()
                self._day.tell(what)
        due, self.late = [e for e in self.late if e[0] <= now_ms], [e for e in self.late if e[0] > now_ms]
        for _, process, requested in due:
            self._day.tell(f"a request of {process.name}, which is dead, arrives")
            # What is to happen in the middle of a commit happens to the process that has the name now.
            trouble = self._day.at_step.pop(process.name, None)
            process.perform(requested)
            if trouble is not None:
                self._day.at_step[process.name] = trouble

    def end(self) -> None:
        """End every fault that lasts."""
        for _, _, end in self._over:
            end()
        self._over.clear()
        self._fates.clear()

    def check_counted(self) -> None:
        """Assert that all that was sent is counted, or its partition held for what was lost."""
        world, checker = self._day.world, self._day.checker
        for number in range(world.partitions):
            if number in self.lost and not checker.is_counted(number):
                continue
            for topic in world.topics:
                position, end = checker.position((topic, number)), world.end((topic, number))
                where = f"{topic}/{number} of {checker.generation}"
                assert position == end, f"{where} is counted up to {position}, and its log ends at {end}"

    def _fate(self, request: Request, name: str) -> Fate:
        """Return what becomes of a request of a worker or a reader; those of shops go well."""
        if not self._fates or name.startswith("shop") or (request is Request.PRODUCE and name in self._day.topics):
            return Fate.ANSWERED
        place = next((i for i, (wanted, _) in enumerate(self._fates) if wanted is request), None)
        return Fate.ANSWERED if place is None else self._fates.pop(place)[1]

    def _for(self, elapsed_ms: int, what: str, end: Callable[[], object]) -> None:
        self._over.append((self._kafka.now_ms + elapsed_ms, what, end))

    def _any(self, draw: Random) -> Process | None:
        running = list(self._day.processes.values())
        if self._day.bridged is not None and draw.random() < EVEN:
            running = [process for process in running if process.name in self._day.bridged.names] or running
        return draw.choice(running) if running else None

    def _worker(self, draw: Random) -> Process | None:
        bridges = self._day.bridged.names if self._day.bridged is not None else ()
        running = [process for process in self._day.processes.values() if process.name not in bridges]
        return draw.choice(running) if running else None

    def _number(self, draw: Random) -> int:
        return draw.randrange(self._day.world.partitions)

    def _place(self, draw: Random) -> Place:
        return draw.choice(self._day.topics), self._number(draw)

    # --- processes

    def _kill(self, draw: Random) -> str:
        process = self._any(draw)
        if process is None:
            return "nobody is there to be killed"
        self._day.kill(process, draw.choice((0, 300, 3_000, 20_000)))
        return f"{process.name} is killed"

    def _stop(self, draw: Random) -> str:
        process = self._any(draw)
        if process is None:
            return "nobody is there to be stopped"
        elapsed_ms = draw.choice((500, 3_000, 8_000, 30_000))
        process.stopped_until_ms = self._kafka.now_ms + elapsed_ms
        return f"{process.name} is stopped for {elapsed_ms} ms"

    def _replace(self, draw: Random) -> str:
        """Start a process of the same name while the old one is stopped, as an orchestrator that lost sight of it."""
        process = self._any(draw)
        if process is None:
            return "nobody is there to be replaced"
        process.stopped_until_ms = self._kafka.now_ms + draw.choice((0, 2_000, 15_000))
        del self._day.processes[process.name]
        self._day.zombies.append(process)
        self._day.starts_ms[process.name] = self._kafka.now_ms
        return f"{process.name} is started a second time"

    def _close(self, draw: Random) -> str:
        return self._close_one(self._any(draw))

    def _close_one(self, process: Process | None) -> str:
        if process is None or process.is_closing or process.is_still:
            return "nobody is there to end"
        process.close()
        return f"{process.name} is told to end"

    def _join(self, draw: Random) -> str:
        name = draw.choice(self._day.names)
        if name in self._day.processes or name in self._day.starts_ms:
            return f"{name} is there already"
        self._day.starts_ms[name] = self._kafka.now_ms
        return f"{name} is started as well"

    def _commit(self, draw: Random) -> str:
        process = self._any(draw)
        if process is None:
            return "nobody commits"
        step, what = draw.choice(list(Step)), draw.choice(("dies", "stops", "stops", "loses its connection"))
        self._day.at_step[process.name] = Trouble(step, what, draw.choice((300, 4_000, 12_000, 25_000)))
        return f"{process.name} will meet at {step}: {what}"

    def _expel(self, draw: Random) -> str:
        return self.expel(draw)

    def expel(self, draw: Random) -> str:
        """Put a member out of the group; returns what was done."""
        groups = (GROUP,) if self._day.bridged is None else (GROUP, bridged.GROUP)
        members = [(group, member) for group in groups for member in sorted(self._kafka.groups.members(group))]
        if not members:
            return "nobody is there to be put out of the group"
        self._kafka.groups.leave(*draw.choice(members), self._kafka.now_ms)
        return "somebody is put out of the group"

    def _shake(self, draw: Random) -> str:
        """Let the group deal anew, and last checkpoints fail meanwhile."""
        for name in self._day.processes:
            if draw.random() < 0.6:
                step, what = draw.choice(list(Step)), draw.choice(("dies", "stops", "loses its connection"))
                self._day.at_step[name] = Trouble(step, what, draw.choice((300, 4_000, 12_000)), is_last=True)
        if draw.random() < 0.5:
            self._fates.append((Request.END_TRANSACTION, draw.choice((Fate.UNANSWERED, Fate.UNREACHED))))
        return f"last checkpoints will fail, and {self.expel(draw)}"

    # --- the broker, as its clients meet it

    def _answer(self, draw: Random) -> str:
        request = draw.choice(ASKED)
        fate = draw.choice((Fate.UNANSWERED, Fate.UNANSWERED, Fate.UNREACHED))
        self._fates.append((request, fate))
        return f"the next {request} will be {fate.value}"

    def _away(self, draw: Random) -> str:
        elapsed_ms = draw.choice((200, 2_000, 9_000, 40_000))
        self._kafka.faults.is_away = True
        self._for(elapsed_ms, "the broker is back", lambda: setattr(self._kafka.faults, "is_away", False))
        return f"the broker is away for {elapsed_ms} ms"

    def _right(self, draw: Random) -> str:
        right = draw.choice(self._day.world.rights)
        elapsed_ms = draw.choice((400, 3_000, 12_000))
        self._kafka.faults.denied.add(right)
        self._for(
            elapsed_ms, f"the right to {' '.join(right)} is back", lambda: self._kafka.faults.denied.discard(right)
        )
        return f"the right to {' '.join(right)} is gone for {elapsed_ms} ms"

    def _fence(self, draw: Random) -> str:
        if self._day.bridged is not None and draw.random() < EVEN:
            return self._day.bridged.fence(draw)
        number = self._number(draw)
        MemoryLedgerStore(nothing_at, self._kafka).fence_now(number, self._day.checker.generation)
        return f"somebody fences partition {number}"

    def _hole(self, draw: Random) -> str:
        process = self._any(draw)
        if process is None:
            return "nobody fetches"
        process.source.loses_next = True
        return f"{process.name} will lose a batch that it has fetched"

    def _again(self, draw: Random) -> str:
        process = self._any(draw)
        if process is None:
            return "nobody fetches"
        process.source.repeats_next = True
        return f"{process.name} will be given a batch twice"

    def _fetch(self, draw: Random) -> str:
        process = self._any(draw)
        if process is None:
            return "nobody fetches"
        kind: type[KafkaFaultError] = draw.choice((OutOfRangeError, DamagedError))
        process.source.breaks_next = kind
        return f"{process.name} will have a fetch fail with {kind.__name__}"

    def _offsets(self, draw: Random) -> str:
        place, at = self._place(draw), draw.choice((0, 10, 10_000))
        if self._day.bridged is not None and draw.random() < EVEN:
            self._kafka.commit_offsets(bridged.GROUP, {(bridged.FOREIGN, 0): at})
            return f"a tool sets the offset of the bridge's group to {at}"
        self._kafka.commit_offsets(GROUP, {place: at})
        return f"a tool sets the group's offset of {place[0]}/{place[1]} to {at}"

    def _markers(self, draw: Random) -> str:
        self._kafka.coordinator.marker_delay_ms = draw.choice((0, 3, 200, 1_500))
        return f"control records come after {self._kafka.coordinator.marker_delay_ms} ms"

    # --- the cluster

    def _compact(self, draw: Random) -> str:
        number = draw.randrange(len(self._kafka.topics[LEDGER].logs))
        told = []
        for topic in (LEDGER, SEEN):
            log = self._kafka.log(topic, number)
            below = draw.choice((log.end, draw.randint(log.beginning, log.end)))
            self._kafka.compact(topic, number, below=below)
            told.append(f"{topic} below {below}")
        if self._day.bridged is not None:
            self._kafka.compact(BRIDGE, 0)
        return f"partition {number} is compacted: {', '.join(told)}"

    def _retention(self, draw: Random) -> str:
        place = self._place(draw)
        below = draw.randint(0, self._day.checker.floor(place))
        self._kafka.log(*place).delete_below(below)
        return f"records below {place[0]}/{place[1]}/{below} are deleted"

    def _elect(self, draw: Random) -> str:
        place = self._place(draw)
        self._kafka.log(*place).elect()
        return f"{place[0]}/{place[1]} has a new leader"

    def _clock(self, draw: Random) -> str:
        before_ms, self._kafka.skew_ms = self._kafka.skew_ms, draw.choice((0, -1, -900, -70_000))
        if self._kafka.skew_ms < before_ms:
            for shown in self._day.readers:
                shown.reader.is_steady = False
        return f"the broker's clock is off by {self._kafka.skew_ms} ms"

    def _shop(self, _draw: Random) -> str:
        return self._day.world.take_shop_over()

    def _grow(self, draw: Random) -> str:
        """Let every topic have one partition more, one part of the topics after the other, in a drawn order."""
        count, first = self._day.world.partitions + 1, draw.choice(self._day.topics)
        own = [LEDGER, SEEN, *(f"{topic}.rejected" for topic in SOURCES)]
        parts = [own, [first], [topic for topic in SOURCES if topic != first]]
        draw.shuffle(parts)
        elapsed_ms = 0
        for part in parts:
            self._for(elapsed_ms, f"{part[0]} grows", partial(self._add, part, count))
            elapsed_ms += draw.choice((0, 1_000, 3_000, 9_000))
        return f"topics will have {count} partitions, {parts[0][0]} first"

    def _add(self, topics: list[str], count: int) -> None:
        for topic in topics:
            self._kafka.add_partitions(topic, count)
            if topic in self._day.topics:
                self._day.world.grow(topic)

    def _recount(self, draw: Random) -> str:
        if self._is_recounted:
            return "nobody recounts twice"
        self._is_recounted = True
        self._day.recounter = Recounter(lambda: self._day.declarations, self._kafka, draw, self._day.tell)
        if draw.random() < 0.5:
            elapsed_ms = draw.choice((300, 2_000, 6_000))
            self._for(elapsed_ms, "the recount was killed, if it was not over", self._kill_recount)
        return "a recount begins"

    def _recount_after(self, draw: Random) -> None:
        """Let an operator recount what is held, in a while."""
        if draw.random() < EVEN:
            self._for(draw.choice((9_000, 25_000)), "an operator recounts", lambda: self._recount(draw))

    def _declare(self, draw: Random) -> str:
        """Give every process that is started from now on the file of another festival, and start one of them anew."""
        ahead_ms = draw.choice((-60_000, 60_000, AHEAD_MS + 2_000, AHEAD_MS + 20_000, AHEAD_MS + 90_000, -20_000))
        # Not before the day: what counts in the second festival alone is counted for the day's checker, too.
        second_ms = max((self._kafka.now_ms + ahead_ms) // 1000 * 1000, FESTIVAL.start_ms)
        worker = self._worker(draw)
        if worker is None or worker.is_closing or worker.is_still:
            return "nobody is there to be started with another file"
        self._day.declare(second_ms)
        return f"a festival that begins in {ahead_ms} ms is declared, and {self._close_one(worker)}"

    def _kill_recount(self) -> None:
        """Kill the recount, and have it begun again; half of what it had sent still reaches the broker."""
        recounter = self._day.recounter
        if recounter is None:
            return
        hands, wire = recounter.hands, recounter.begin_again()
        if hands is not None:
            self.late += [(self._kafka.now_ms + 200, hands, requested) for requested in wire[::2]]

    # --- readers, and what must not happen

    def _reader(self, draw: Random) -> str:
        readers = self._day.readers
        if readers and draw.random() < 0.5:
            del readers[draw.randrange(len(readers))]
            return "a reader ends"
        self._day.open_reader()
        return "a reader is opened"

    def _audit(self, _draw: Random) -> str:
        self._day.audit()
        return "somebody audits"

    def _delete(self, draw: Random) -> str:
        place = self._place(draw)
        log = self._kafka.log(*place)
        log.delete_below(log.stable_offset)
        self.lost[place[1]] += 1
        return f"records below {place[0]}/{place[1]}/{log.beginning} are deleted, counted or not"

    def _damage(self, draw: Random) -> str:
        place = self._place(draw)
        log = self._kafka.log(*place)
        log.damaged.add(log.end)
        self.lost[place[1]] += 1
        return f"what comes next at {place[0]}/{place[1]}/{log.end} cannot be read"

    def _tail(self, draw: Random) -> str:
        """Lose the end of a log, counted records with it, as an unclean election does."""
        place = self._place(draw)
        log, position = self._kafka.log(*place), self._day.checker.position(place) or 0
        end = draw.randint(max(0, position - 3 * MARGIN), max(0, position - MARGIN))
        for transaction in reversed(log.ended):
            # Whole transactions only: one whose control record is lost would stay open for ever.
            if transaction.spans[0][0] < end <= transaction.marker_offset:
                end = transaction.spans[0][0]
        if end <= log.beginning or place in self._day.world.before:
            return "no tail is there to be lost"
        self._day.world.lose_tail(place, end)
        self.lost[place[1]] += 1
        self._recount_after(draw)
        told = f"{place[0]}/{place[1]}, which is counted to {position}, ends at {end}"
        if draw.random() < EVEN:
            return told
        return f"{told}; {self._day.world.outgrow(place, position)}"

    # --- the ledger itself

    def _page(self, draw: Random) -> str:
        """Lose a page of the ledger; whoever takes the partition over next has to see it."""
        number = self._number(draw)
        if not damages.lose_page(self._kafka.log(LEDGER, number), self._day.checker.generation, draw):
            return f"the ledger of partition {number} has no page to lose"
        self.lost[number] += 1
        return f"a page of partition {number} is lost; {self._end_owner(number)}"

    def _behind(self, draw: Random) -> str:
        """Lose the newest checkpoint of the ledger, so that its seen ids are ahead of it."""
        number = self._number(draw)
        log, seen = self._kafka.log(LEDGER, number), self._kafka.log(SEEN, number)
        if not damages.lose_checkpoint(log, seen, self._day.checker.generation):
            return f"the ledger of partition {number} has no checkpoint to lose"
        self.lost[number] += 1
        self._day.checker.reads_again(number)
        self._day.readers.clear()
        return f"the newest checkpoint of partition {number} is lost; {self._end_owner(number)}"

    def _mirror(self, draw: Random) -> str:
        """Let a copy of the ledger as it is now take its place in a while."""
        copy, elapsed_ms = damages.Copy(self._kafka), draw.choice((1_000, 5_000, 20_000))
        if not copy.is_begun(self._day.checker.generation):
            return "nobody would tell a copy of the ledger from one that was never begun"
        self._for(elapsed_ms, "a copy of the ledger takes its place", partial(self._take_place, copy))
        return f"the ledger is copied, and the copy takes its place in {elapsed_ms} ms"

    def _take_place(self, copy: damages.Copy) -> None:
        copy.take_its_place(self._kafka)
        for number in range(self._day.world.partitions):
            self.lost[number] += 1
            self._day.checker.reads_again(number)
        self._day.readers.clear()

    def _end_owner(self, number: int) -> str:
        """Kill whoever counts a partition, so that somebody takes it over."""
        owners = [process for process in self._day.processes.values() if number in process.crew.tenures]
        for process in owners:
            self._day.kill(process, 300)
        return f"{', '.join(process.name for process in owners) or 'nobody'} is killed"

    def _remade(self, draw: Random) -> str:
        """Delete a topic all of whose partitions are counted for a while, and make it again."""
        world, topic = self._day.world, draw.choice(self._day.topics)
        positions = {n: self._day.checker.position((topic, n)) or 0 for n in range(world.partitions)}
        if min(positions.values()) <= MARGIN or any((topic, n) in world.before for n in positions):
            return f"{topic} is left as it is"
        elapsed_ms = draw.choice((0, 0, 1_500, 6_000))
        world.lose_topic(topic)
        self.lost.update(dict.fromkeys(positions, 1))
        self._recount_after(draw)
        made = partial(self._kafka.create_topic, topic, world.partitions)
        if elapsed_ms:
            self._for(elapsed_ms, f"{topic} is made again", made)
        else:
            made()
        return f"{topic} is deleted, and made again in {elapsed_ms} ms"

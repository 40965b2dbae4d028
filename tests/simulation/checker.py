"""Judges after every step what lies on the ledger and what is shown, against the oracle.

It reads the logs of the in-memory Kafka itself, record by record as they become visible, and shares no code with the
counter but the decoding of a page's bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.domain.pages import HIGH_SHIFT, decode_page
from streams.engine.topic_names import LEDGER
from tests.simulation.subject import KEYED, SECOND, by_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.engine.memory.log import LogRecord, PartitionLog
    from tests.simulation.oracle import PartitionOracle
    from tests.simulation.second import Second
    from tests.simulation.world import Place, World

SLOTS = 300
Cells = dict[tuple[int, str], list[int]]
"""Measures by second of the festival and currency."""
Pages = dict[tuple[str, int], bytes]
"""Record values by rollup and page number."""


@dataclass
class Tally:
    """One topic of a partition in one generation, as committed so far, and as it should be."""

    started: int
    log: PartitionOracle
    """That of the log that is counted."""
    oracle: PartitionOracle
    """The same, or one of this count alone, which has to be told of new records: where it begins later."""
    position: int
    taken: int = 0
    """Records of the oracle that lie below the position."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """What they come to."""
    sums: Counter[str] = field(default_factory=Counter)
    """What they add up to, by currency and measure."""
    cells: dict[int, Cells] = field(default_factory=dict)
    """By page number, none without a sum."""
    keyed: dict[int, Counter[str]] = field(default_factory=dict)
    """Sums of the pages by the other field, by page number."""

    @property
    def is_own(self) -> bool:
        """Return whether the oracle is this count's alone."""
        return self.oracle is not self.log


@dataclass
class Committed:
    """One partition in one generation."""

    tallies: dict[str, Tally]
    sequence: int = 0
    shown: dict[int, dict[str, tuple[int, Counter[str]]]] = field(default_factory=dict)
    """Position and sums of each topic after each committed checkpoint, by its sequence."""


class Checker:
    """Call `look` after every step. All methods raise `AssertionError`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._read: dict[PartitionLog, tuple[int, int]] = {}
        """End of each log when it was last read, and up to where it was."""
        self._pending: dict[tuple[int, str], Pages] = {}
        self._second_pages: dict[tuple[int, str], Pages] = {}
        """Those of the second festival."""
        self._documents: dict[tuple[int, str], bytes] = {}
        """Fingerprints whose cursor has not come yet."""
        self.second: Second | None = None
        self.counts: dict[tuple[int, str], Committed] = {}
        self.generation = "g1"
        self.counted_from: dict[str, dict[str, int]] = {}
        """Where the current generation may begin later than the one before, by topic and partition."""
        self.shown = {"g1"}
        """Generations that were current at some time."""
        self.following: str | None = None
        """The generation that a recount is counting."""
        self.rejected: Counter[tuple[str, int, int]] = Counter()
        """Topic, partition and offset of the records that were set aside, as far as it is visible; in logs that lost
        their tail or were made again an offset may have been used twice."""
        self.noted: set[tuple[int, str]] = set()
        """Partitions with a note that no cursor has overruled."""
        self.behind: set[int] = set()
        """Partitions whose ledger lost checkpoints that were committed."""
        self.checkpoints = 0

    def reads_again(self, number: int) -> None:
        """Take note that the ledger of a partition is older than what was committed: what lies there is known."""
        log = self._world.kafka.log(LEDGER, number)
        self._read[log] = log.end, log.end
        self.behind.add(number)

    def look(self) -> None:
        """Judge what has become visible."""
        topics = self._world.kafka.topics
        for log in topics[LEDGER].logs:
            for record in self._new(log):
                self._take(log.partition, record)
        for topic in self._world.topics:
            for log in topics[f"{topic}.rejected"].logs:
                for record in self._new(log):
                    self._take_rejected(topic, log.partition, record)

    def floor(self, place: Place) -> int:
        """Return the position up to which nobody has to read a source partition again."""
        generations = [g for g in (self.generation, self.following) if g is not None]
        return min(self._position(place, generation) or 0 for generation in generations)

    def position(self, place: Place) -> int | None:
        """Return the committed position of the current generation."""
        return self._position(place, self.generation)

    def _position(self, place: Place, generation: str) -> int | None:
        count = self.counts.get((place[1], generation))
        return None if count is None else count.tallies[place[0]].position

    def is_lost(self, topic: str) -> bool:
        """Return whether a log of a topic lost what was counted."""
        return any(place[0] == topic for place in self._world.before)

    def end(self, place: Place) -> int:
        """Return where the records of a source partition end that can be read."""
        return self._world.end(place)

    def is_counted(self, number: int) -> bool:
        """Return whether all topics of a partition are counted to their ends."""
        return all(self.position((topic, number)) == self.end((topic, number)) for topic in self._world.topics)

    def expected_rejected(self) -> Counter[tuple[str, int, int]]:
        """Return which records should have been set aside by now."""
        found = {
            (topic, number, offset, self._is_gone((topic, number), tally, offset))
            for (number, generation), count in self.counts.items()
            if generation in self.shown and number not in self.behind
            for topic, tally in count.tallies.items()
            for offset in tally.log.rejected_offsets(tally.position)
            if offset >= tally.started
        }
        return Counter(place[:3] for place in found)

    def known_rejected(self) -> Counter[tuple[str, int, int]]:
        """Return which records were set aside, but of partitions of which nobody can tell how far they were counted."""
        return Counter({place: copies for place, copies in self.rejected.items() if place[1] not in self.behind})

    def _is_gone(self, place: Place, tally: Tally, offset: int) -> bool:
        """Return whether a record that was counted is gone, and another one may stand at its offset."""
        lost = self._world.before.get(place)
        return lost is not None and tally.log is lost.oracle and offset >= lost.from_offset

    def _new(self, log: PartitionLog) -> Iterable[LogRecord]:
        """Return what has become visible since the last call."""
        end, start = self._read.get(log, (0, 0))
        if log.end == end:
            return ()  # what becomes visible does so by a record
        stable = log.stable_offset
        self._read[log] = log.end, max(start, stable)
        return log.records(start=start) if stable > start else ()

    def _take(self, number: int, record: LogRecord) -> None:
        assert record.key is not None
        key = json.loads(record.key)
        if record.value is None:
            return
        if key == ["generations"]:
            control = json.loads(record.value)
            self._judge_beginnings(control)
            self.generation, self.counted_from = control["current"], control["counted_from"]
            self.shown.add(self.generation)
            self.following = (control.get("next") or {}).get("id")
            return
        generation, kind = key[:2]
        where = number, generation
        if kind == "page" and key[2] == SECOND:
            self._second_pages.setdefault(where, {})[key[3], key[4]] = record.value
        elif kind == "page":
            self._pending.setdefault((number, generation), {})[key[3], key[4]] = record.value
        elif kind == "cursor":
            self._commit(number, generation, json.loads(record.value))
        elif kind == "held":
            self.noted.add((number, generation))
        else:
            assert kind == "fingerprint", key
            self._documents[where] = record.value

    def _judge_beginnings(self, control: Mapping[str, Any]) -> None:
        """Judge a generation that becomes current: what it leaves out of the one before is told, and stays told."""
        made, told = control["current"], control["counted_from"]
        for topic, places in self.counted_from.items():
            assert places.keys() <= told.get(topic, {}).keys(), f"{told} forgets what was lost: {self.counted_from}"
        for (number, generation), count in self.counts.items():
            following = self.counts.get((number, made))
            if generation != self.generation or following is None:
                continue
            for topic, tally in count.tallies.items():
                later = following.tallies[topic]
                is_whole = later.started <= tally.started and later.log is tally.log
                is_told = told.get(topic, {}).get(str(number)) == later.started
                where = f"{topic}/{number}: {made} begins at {later.started}, {generation} at {tally.started}"
                assert is_whole or is_told, f"{where}, in the same log: {later.log is tally.log}; told is {told}"

    def _commit(self, number: int, generation: str, cursor: Mapping[str, Any]) -> None:
        """Judge one committed checkpoint."""
        self.checkpoints += 1
        self.noted.discard((number, generation))
        where = f"partition {number}, {generation}, checkpoint {cursor['sequence']}"
        count = self.counts.get((number, generation))
        if count is None:
            tallies = {topic: self._begun(topic, number, cursor) for topic in cursor["started"]}
            count = self.counts[number, generation] = Committed(tallies)
        if number in self.behind:
            # Only who had it in memory may commit once more, before it looks; what that says nobody can judge.
            assert cursor["sequence"] > count.sequence, f"{where} follows {count.sequence}: an older ledger is believed"
            count.sequence = cursor["sequence"]
            return
        assert cursor["sequence"] == count.sequence + 1, f"{where} follows {count.sequence}: two write, or one was lost"
        count.sequence = cursor["sequence"]
        pages = self._pending.pop((number, generation), {})
        for topic, tally in count.tallies.items():
            self._judge(f"{where}, {topic}", topic, number, tally, cursor, pages)
        self._judge_second((number, generation), count)
        count.shown[count.sequence] = {t: (tally.position, Counter(tally.sums)) for t, tally in count.tallies.items()}

    def _judge_second(self, where: tuple[int, str], count: Committed) -> None:
        """Judge what a checkpoint has of the festival that was declared amid the day."""
        pages, document = self._second_pages.pop(where, {}), self._documents.pop(where, None)
        if self.second is None:
            assert not pages, "nobody has declared a second festival"
            return
        self.second.write(where, pages, document)
        for topic, tally in count.tallies.items():
            if not tally.is_own and (topic, where[0]) not in self._world.before and count.sequence % 3 == 0:
                self.second.judge(where, topic, tally.position)

    def check_known(self, numbers: Iterable[int]) -> None:
        """Assert that these partitions, which nothing holds, know the second festival where it was declared."""
        for number in numbers:
            if self.second is not None and (number, self.generation) in self.counts:
                known = self.second.knows((number, self.generation))
                assert known, f"partition {number} does not know the second festival"

    def _begun(self, topic: str, number: int, cursor: Mapping[str, Any]) -> Tally:
        log, started = self._log((topic, number), cursor), cursor["started"][topic]
        return Tally(started, log, _since(log, started), started)

    def _log(self, place: Place, cursor: Mapping[str, Any]) -> PartitionOracle:
        """Return the oracle of the log that a cursor is of."""
        lost = self._world.before.get(place)
        return lost.oracle if lost is not None and lost.is_counted(place[0], cursor) else self._world.oracles[place]

    def _follow(self, where: str, place: Place, tally: Tally, cursor: Mapping[str, Any]) -> None:
        """Judge whether it is the log that was counted before, or goes on behind what is the same in both."""
        log = self._log(place, cursor)
        if log is tally.log:
            return
        lost = self._world.before[place]
        is_the_same = lost.since_epoch is not None and tally.position <= lost.from_offset
        assert is_the_same, f"{where}: counts on in another log than it had counted up to {tally.position}"
        tally.log, tally.oracle = log, _since(log, tally.started)

    def _known_end(self, place: Place, tally: Tally) -> int:
        lost = self._world.before.get(place)
        return lost.known_end if lost is not None and tally.log is lost.oracle else self._world.known_end(place)

    def _judge(  # noqa: PLR0917 - a checkpoint's parts
        self, where: str, topic: str, number: int, tally: Tally, cursor: Mapping[str, Any], pages: Pages
    ) -> None:
        position, started = cursor["positions"][topic], cursor["started"][topic]
        assert position >= tally.position, f"{where}: position {position} goes back behind {tally.position}"
        assert started == tally.started, f"{where}: started at {started}, before at {tally.started}"
        self._follow(where, (topic, number), tally, cursor)
        known = self._known_end((topic, number), tally)
        assert position <= known, f"{where}: position {position} is beyond what can be read, {known}"
        tally.position = position
        changed = self._advance(tally)
        self._compare_cells(where, topic, tally, pages, changed)
        self._compare_totals(where, topic, tally, cursor, pages)

    @staticmethod
    def _advance(tally: Tally) -> set[int]:
        """Count the oracle's records up to the position; returns the pages that have to have changed."""
        oracle, shared = tally.oracle, tally.log
        if tally.is_own:
            last = oracle.offsets[-1] if oracle.offsets else tally.started - 1
            for record in shared.behind(0 if not oracle.offsets else shared.offsets.index(last) + 1):
                if record[0] > last:
                    oracle.take(*record)
        changed, measures = set(), oracle.kind.measures
        while tally.taken < len(oracle.offsets) and oracle.offsets[tally.taken] < tally.position:
            cell, sums = oracle.cells[tally.taken], oracle.sums[tally.taken]
            for outcome in oracle.outcomes[tally.taken]:
                tally.outcomes[outcome] += 1
            tally.taken += 1
            if cell is None:
                continue
            changed.add(cell[0] // SLOTS)
            totals = tally.cells.setdefault(cell[0] // SLOTS, {}).setdefault(cell, [0] * len(measures))
            for row, value in enumerate(sums):
                if value:
                    totals[row] += value
                    tally.sums[f"{cell[1]}.{measures[row]}"] += value
        return changed

    @staticmethod
    def _compare_cells(where: str, topic: str, tally: Tally, pages: Pages, changed: set[int]) -> None:
        """Compare every cell of the pages by second that were written."""
        name, measures = by_second(topic), tally.oracle.kind.measures
        written = {page for rollup, page in pages if rollup == name}
        assert changed <= written, f"{where}: pages {sorted(changed - written)} are missing"
        for number in sorted(written):
            found: Cells = {}
            page = decode_page(pages[name, number])
            low, high = page.cells(), page.high_cells()
            rows, columns = low.nonzero() if high is None else (low | high).nonzero()
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                total = int(low[row, column]) + (0 if high is None else int(high[row, column]) << HIGH_SHIFT)
                cell = number * SLOTS + column % SLOTS, _currency(page.groups[column // SLOTS])
                found.setdefault(cell, [0] * len(measures))[row] = total
            expected = {cell: sums for cell, sums in tally.cells.get(number, {}).items() if any(sums)}
            assert found == expected, (
                f"{where}, page {number}, position {tally.position}: {difference(found, expected)}"
            )

    @staticmethod
    def _compare_totals(where: str, topic: str, tally: Tally, cursor: Mapping[str, Any], pages: Pages) -> None:
        """Compare the outcomes of the cursor, and the sums of the pages by the other field."""
        found = Counter(cursor["outcomes"].get(topic, {}))
        found.update({f"rejected.{reason}": n for reason, n in cursor["rejected"].get(topic, {}).items()})
        assert found == tally.outcomes, f"{where}, position {tally.position}: {difference(found, tally.outcomes)}"
        for (rollup, number), value in pages.items():
            if rollup == KEYED[topic]:
                tally.keyed[number] = sums_of(value, tally.oracle.kind.measures, has_currency=topic in MONEYED)
        sums: Counter[str] = Counter()
        for added in tally.keyed.values():
            sums.update(added)
        assert +sums == +tally.sums, f"{where}, position {tally.position}: {difference(+sums, +tally.sums)}"

    def _take_rejected(self, topic: str, number: int, record: LogRecord) -> None:
        headers = dict(record.headers)
        offset = int(headers["source_offset"])
        found = headers["source_topic"].decode(), int(headers["source_partition"])
        assert found == (topic, number), (found, topic, number)
        where = f"the record at {topic}/{number}/{offset}"
        self.rejected[topic, number, offset] += 1
        lost, bad = self._world.before.get((topic, number)), 0
        if lost is not None:
            bad += lost.oracle.is_rejected(offset)
        if lost is None or offset >= lost.from_offset:
            bad += self._world.oracles[topic, number].is_rejected(offset)
        assert bad, f"{where} is set aside, and is valid"
        assert self.rejected[topic, number, offset] <= bad, f"{where} is set aside twice"


def _since(log: PartitionOracle, started: int) -> PartitionOracle:
    """Return the oracle of a count of a log that began there."""
    return log.since(started) if log.offsets and log.offsets[0] < started else log


MONEYED = frozenset({"orders", "payments"})
"""Topics whose sums are told apart by currency."""


def _currency(group: tuple[str, ...]) -> str:
    """Return the currency of a group by second; without one the group is empty."""
    return group[-1] if group else ""


def sums_of(value: bytes, measures: tuple[str, ...], *, has_currency: bool) -> Counter[str]:
    """Return the sums of a page, all its windows together, as the oracle names them."""
    page, found = decode_page(value), Counter[str]()
    low, high = page.cells(), page.high_cells()
    rows, columns = low.nonzero() if high is None else (low | high).nonzero()
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        group = page.groups[column // page.slots]
        total = int(low[row, column]) + (0 if high is None else int(high[row, column]) << HIGH_SHIFT)
        found[f"{group[-1] if has_currency else ''}.{measures[row]}"] += total
    return found


def difference(found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> str:
    """Say where two differ."""
    different = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    told = [f"{name} is {found.get(name)}, should be {expected.get(name)}" for name in sorted(different)[:4]]
    return "; ".join(told) + (f"; and {len(different) - 4} more" if len(different) > 4 else "")

"""The life of one partition number with one owner, as a value: signals in, effects out.

A tenure begins with an assignment and ends when the partition goes. It owns the ledger in memory
(`PartitionProcessor`) and decides when to fence, restore, count, commit, wait, hold and leave. It does none of it: a
driver performs the effects and hands the answers back (`streams.kafka.group.driver`; the simulation has one too). All
states, signals and transitions stand in `streams.engine.lifecycle`; a pair that is not there is asserted not to come.

Any checkpoint that fails means that the ledger in memory may be ahead of the committed one or behind it. It is
thrown away, never mended (docs/decisions/0003-takeover.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx
from streams.engine import signals as sig
from streams.engine.checkpoint import OutcomeUnknownError, UnreadableError
from streams.engine.cutting import Cutting
from streams.engine.holding import COUNTED_RIGHT, Holding, Looks
from streams.engine.judgement import Counted, Verdict, judge_partition, judge_topics, verdict
from streams.engine.lifecycle import COUNTS, TABLE, State
from streams.engine.processing import HoleError, StallError
from streams.engine.reading import Reading
from streams.engine.status import HeldReason
from streams.engine.trouble import ENDED_BY_BROKER, Trouble, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.domain.pages import Cursor
    from streams.engine.holding import Signal
    from streams.engine.processing import Processor
    from streams.engine.terms import Terms


class Tenure:
    """One partition number, from its first assignment until it is dismissed.

    `on` takes one signal at a time and returns what is to be done, in order. `now_ms` is monotonic. It never blocks
    and raises nothing but `AssertionError`: for a pair of state and signal that is not in the table.
    """

    def __init__(self, partition: int, terms: Terms, takeover: int = 0) -> None:
        """Begin idle; `takeover` is a number that no takeover of the partition before had."""
        self.partition = partition
        self.state = State.IDLE
        self.processor: Processor | None = None
        """The ledger while it is trusted; None before the restore and after a failure."""
        self.takeover = takeover  # answers to an older one come too late
        self.wake_at_ms: int | None = None  # when to send `Woken`; None: not before the next signal
        self._terms = terms
        self._request = self._began_ms = 0
        self._trouble = Trouble()
        self._is_fresh = self._is_revoked = False
        self._cursor: Cursor | None = None  # what the restore found; told once the partition is placed, if it is fresh
        self.cutting = Cutting()
        self._due_ms: int | None = None  # when the next checkpoint is due, or a wait ends
        self._verdict: Verdict | None = None  # why it is going to be held, once the last checkpoint is made
        self._holding: Holding | None = None
        self._lacking: tuple[str, ...] = ()  # topics whose partition was dealt to somebody else, or is not there
        self._reading = Reading()
        self._looks = Looks()

    def on(self, signal: sig.Signal, now_ms: int) -> Sequence[fx.Effect]:
        """Return what `signal` makes necessary."""
        if isinstance(signal, sig.Answer) and signal.takeover != self.takeover:
            return ()  # it was given up meanwhile
        if isinstance(signal, sig.Woken) and (self.wake_at_ms is None or now_ms < self.wake_at_ms):
            return ()
        transition = TABLE[self.state].get(type(signal))
        assert transition is not None, f"{signal} cannot come while {self.state}"
        act: Callable[[sig.Signal, int], Sequence[fx.Effect]] = getattr(self, f"_on_{transition.act}")
        found = act(signal, now_ms)
        assert self.state in transition.ends, f"{signal} must not end {self.state}"
        retry_at_ms = self._reading.retry_at_ms if self.state in COUNTS else None
        self.wake_at_ms = min((ms for ms in (self._due_ms, retry_at_ms) if ms is not None), default=None)
        return found

    def _on_stay(self, _signal: sig.Signal, _now_ms: int) -> Sequence[fx.Effect]:
        return ()

    def _on_take(self, signal: sig.Assigned, now_ms: int) -> Sequence[fx.Effect]:
        self._is_revoked, self._verdict, self._holding = False, None, None
        self._lacking = tuple(topic for topic in self._terms.topics if topic not in signal.topics)
        if self.processor is not None and not self._lacking:
            return self._on_place()
        given_up = self._discard() if self.processor is not None else ()
        return [*given_up, *self._on_begin(None, now_ms)]

    def _on_begin(self, _signal: sig.Woken | None, now_ms: int) -> Sequence[fx.Effect]:
        self.takeover += 1
        self.state, self._due_ms, self._began_ms = State.SURVEYING, None, now_ms
        said = fx.Say("partition assigned, taking it over", is_known=self._trouble.is_known)
        return [fx.TellTaking(), said, self._ask(self._terms.topics)]

    def _on_survey(self, signal: sig.Surveyed, now_ms: int) -> Sequence[fx.Effect]:
        if (found := judge_topics(self.partition, signal.sources)) is not None:
            return self._hold(found, now_ms)
        if self._lacking and judge_partition(self.partition, signal.sources) is None:
            # Perhaps it was dealt before the topics were as they are now; then it will be dealt anew.
            self._due_ms = now_ms + bounds.COLOCATED_MS
            return ()
        self.state, self._due_ms = State.FENCING, None
        return [fx.Fence(self.takeover, self._terms.generation)]

    def _on_lack(self, _signal: sig.Woken, now_ms: int) -> Sequence[fx.Effect]:
        what = f"partition {self.partition} of {', '.join(self._lacking)} is not on this worker"
        return self._hold(verdict(HeldReason.NOT_COLOCATED, self._lacking[0], what), now_ms)

    def _on_restore(self, _signal: sig.Fenced, _now_ms: int) -> Sequence[fx.Effect]:
        self.state = State.RESTORING
        said = fx.Say("partition fenced", {"generation": self._terms.generation}, is_known=self._trouble.is_known)
        return [said, fx.Restore(self.takeover)]

    def _on_read_back(self, signal: sig.ReadBack, now_ms: int) -> Sequence[fx.Effect]:
        self._cursor = signal.restored.cursor
        try:
            self.processor, self._is_fresh = self._terms.processor(self.partition, signal.restored), True
        except UnreadableError as error:
            return self._hold(verdict(HeldReason.LEDGER_UNREADABLE, None, str(error)), now_ms)
        except Exception as error:  # noqa: BLE001 - a fault in the program, or a fingerprint that differs: fail-stop
            return self._on_end(sig.Broken(error), now_ms)
        return self._on_place()

    def _on_place(self, _signal: sig.Woken | None = None, _now_ms: int = 0) -> Sequence[fx.Effect]:
        """Look at the logs before anything is counted on from where the ledger ends."""
        self.state, self._due_ms = State.PLACING, None
        return [self._ask(self._terms.topics)]

    def _ask(self, topics: Sequence[str]) -> fx.Effect:
        self._request += 1
        epochs = {} if self.processor is None else dict(self.processor.epochs)
        return fx.Survey(self.takeover, self._request, topics, {t: e for t, e in epochs.items() if t in topics})

    def _on_start(self, signal: sig.Surveyed, now_ms: int) -> Sequence[fx.Effect]:
        """Go on where the ledger ends, and at the beginning of logs never read, where each log is the one it was."""
        if signal.request != self._request:
            return ()
        processor = self._trusted
        found = judge_partition(self.partition, signal.sources, processor)
        if self._looks.must_look_again(found):
            self._due_ms = now_ms + bounds.LOOK_MS
            return ()
        if found is not None:
            return self._hold(found, now_ms)
        if processor.identity is None:
            processor.belongs_to(signal.sources.identity)
        for topic in self._terms.topics:
            if topic not in processor.positions:
                processor.start_at(topic, signal.sources.ranges[topic, self.partition].beginning)
        self._reading = Reading(signal.sources.leaders(self.partition))
        self.cutting = Cutting()
        positions = {topic: processor.positions[topic] for topic in self._terms.topics}
        told = (
            [fx.TellTaken(self._cursor, positions, now_ms - self._began_ms, self._trouble.is_known)]
            if self._is_fresh
            else []
        )
        self._is_fresh = False
        return [*told, fx.Release(self.takeover, positions), fx.TellCounting(), *self._cut_or_count(now_ms)]

    def _on_apply(self, signal: sig.Delivered, now_ms: int) -> Sequence[fx.Effect]:
        processor, batch = self._trusted, signal.batch
        if self._reading.must_wait(batch, processor):
            return [self._ask(self._reading.unlooked)] if self._reading.begins_wait(batch) else ()
        try:
            processor.apply(batch)
        except HoleError as hole:
            return self._rewind(hole.topic, hole.expected, hole.found)
        except StallError as stall:
            self._reading.retry(stall.topic, now_ms + stall.pause_ms)
            return [fx.HoldBack(), *([fx.TellWaiting(stall.reason, stall.detail)] if stall.reason else [])]
        except Exception as error:  # noqa: BLE001 - nothing of the batch may be committed
            return self._on_end(sig.Broken(error), now_ms)
        self._reading.is_whole(batch.topic)
        if len(batch):
            self.cutting.take(batch, signal.age_ms)
        if processor.pending_rejected_bytes > bounds.PENDING_REJECTED_LIMIT_BYTES and self.state is State.COUNTING:
            return [fx.TellBatch(len(batch)), *self._cut_or_count(now_ms)]
        return [fx.TellBatch(len(batch))]

    def _rewind(self, topic: str, position: int, found: int) -> Sequence[fx.Effect]:
        """Read a topic again from the ledger's position, once for all batches that were under way beyond it."""
        if not self._reading.begins_rewind(topic):
            return ()
        text = "records between position and batch were not delivered: reading them again"
        said = fx.Say(text, {"topic": topic, "position": position, "found": found}, is_warning=True)
        return [said, fx.Release(self.takeover, {topic: position})]

    def _on_released(self, signal: sig.Released, _now_ms: int) -> Sequence[fx.Effect]:
        self._reading.is_released(signal.topics)
        return ()

    def _on_look(self, signal: sig.Looked, now_ms: int) -> Sequence[fx.Effect]:
        """Compare fetch position and ledger: a hole at the tail shows in no batch."""
        processor = self._trusted
        found: list[fx.Effect] = [fx.TellGoesOn()] if self._reading.may_read_again(now_ms) else []
        for topic, (fetched, is_under_way) in signal.fetched.items():
            position = processor.positions[topic]
            if self._reading.has_hole(topic, position, fetched, is_under_way=is_under_way):
                found += self._rewind(topic, position, fetched)
        return found

    def _on_fetch_failed(self, signal: sig.FetchFailed, now_ms: int) -> Sequence[fx.Effect]:
        """Find out why: hold the partition where its position is outside the log, else read again in a moment."""
        topic, position = signal.topic, self._trusted.positions[signal.topic]
        told = self._reading.failed(signal, position, now_ms)
        if signal.is_outside:
            return [*told, self._ask(self._reading.unlooked)]
        if not self._reading.is_damaged(topic):
            return told
        what = f"{topic}[{self.partition}] at offset {position}: {signal.detail}"
        return [*told, *self._stop_for(verdict(HeldReason.LOG_UNREADABLE, topic, what), now_ms)]

    def _on_examine(self, signal: sig.Surveyed, now_ms: int) -> Sequence[fx.Effect]:
        """Hold the partition where a log lost its position, or what is counted; else read it again."""
        if signal.request != self._request:
            return ()  # a newer look is under way, at all that this one was to see
        found = judge_partition(self.partition, signal.sources, self._trusted)
        found = self._reading.looked(found, signal.sources.leaders(self.partition), now_ms)
        return () if found is None else self._stop_for(found, now_ms)

    def _on_unseen(self, signal: sig.Unseen, now_ms: int) -> Sequence[fx.Effect]:
        """Look again in a moment."""
        return self._reading.unseen(signal, now_ms) if signal.request == self._request else ()

    def _on_compare(self, signal: sig.Compared, now_ms: int) -> Sequence[fx.Effect]:
        """Hold the partition where its ledger does not belong to the logs, seen twice in a row."""
        found = self._looks.believed(judge_partition(self.partition, signal.sources, signal.counted))
        return () if found is None else self._stop_for(found, now_ms)

    def _stop_for(self, found: Verdict, now_ms: int) -> Sequence[fx.Effect]:
        """Be held; what was counted since the last checkpoint is committed where it can only be right."""
        if found.reason not in COUNTED_RIGHT:
            return self._hold(found, now_ms)
        self._verdict = found
        return self._leave(now_ms)

    def _on_wake(self, _signal: sig.Woken, now_ms: int) -> Sequence[fx.Effect]:
        """Read again what failed a moment ago; make the checkpoint that is due."""
        positions = self._trusted.positions
        found: list[fx.Effect] = [
            fx.Release(self.takeover, {topic: positions[topic]}) for topic in self._reading.take_retries(now_ms)
        ]
        if self.state is not State.COUNTING or self._due_ms is None or now_ms < self._due_ms:
            return found
        if self.cutting.skips_pause():
            self._due_ms = now_ms + self._terms.pause_ms()
            return found
        return [*found, *self._cut_or_count(now_ms)]

    def _cut_or_count(self, now_ms: int) -> Sequence[fx.Effect]:
        """Commit what changed; count on where nothing did."""
        found = self._cut(now_ms)
        if found is None:
            self.state, self._due_ms = State.COUNTING, now_ms + self._terms.pause_ms()
            return ()
        if self.state is not State.ENDED:
            self.state, self._due_ms = State.CUTTING, None
        return found

    def _cut(self, now_ms: int) -> Sequence[fx.Effect] | None:
        """Return the commit of what changed, None where nothing did; ends the tenure where counting fails."""
        try:
            checkpoint = self.cutting.cut(self._trusted, now_ms, is_last=self.state is State.LEAVING)
        except Exception as error:  # noqa: BLE001 - records waited to be counted, and that failed
            return self._on_end(sig.Broken(error), now_ms)
        return None if checkpoint is None else [fx.Commit(self.takeover, checkpoint)]

    def _on_committed(self, _signal: sig.Committed, now_ms: int) -> Sequence[fx.Effect]:
        told = self._durable(now_ms)
        if self._trusted.pending_rejected_bytes > bounds.PENDING_REJECTED_LIMIT_BYTES:
            return [*told, *self._cut_or_count(now_ms)]
        self.state, self._due_ms = State.COUNTING, now_ms + self._terms.pause_ms()
        return told

    def _durable(self, now_ms: int) -> Sequence[fx.Effect]:
        return [*self.cutting.durable(now_ms), *self._trouble.past(self.cutting.positions)]

    def _on_revoke(self, _signal: sig.Revoked, now_ms: int) -> Sequence[fx.Effect]:
        """Make the last checkpoint; the ledger is kept if it was committed."""
        self._is_revoked = True
        found = self._leave(now_ms) if self.state is not State.LEAVING else ()
        if self.state is State.LEAVING:
            self._due_ms = now_ms + bounds.FINAL_MS
        return found

    def _leave(self, now_ms: int) -> Sequence[fx.Effect]:
        is_under_way = self.state is State.CUTTING
        self.state, self._due_ms = State.LEAVING, None
        return () if is_under_way else self._finish(now_ms)

    def _finish(self, now_ms: int) -> Sequence[fx.Effect]:
        """Commit the rest; once there is none, leave."""
        found = self._cut(now_ms)
        if found is not None:
            return found
        if self._verdict is not None and not self._is_revoked:
            return self._hold(self._verdict, now_ms)
        self.state, self._due_ms = State.IDLE, None
        return ()

    def _on_last_committed(self, _signal: sig.Committed, now_ms: int) -> Sequence[fx.Effect]:
        # Once more: what was counted while the commit was under way.
        return [*self._durable(now_ms), *self._finish(now_ms)]

    def _on_break_off(self, _signal: sig.Revoked | sig.Woken, _now_ms: int) -> Sequence[fx.Effect]:
        """Leave at once, whatever is under way: a takeover, a wait, or a last checkpoint that takes too long."""
        return self._discard(State.IDLE)

    def _on_refused(self, signal: sig.Refused, now_ms: int) -> Sequence[fx.Effect]:
        if self._terms.gives_way:
            said = fx.Say("partition handed over", {"generation": self._terms.generation})
            return [said, *self._discard(State.ENDED)]
        if signal.is_dealt:
            return self._fail(ENDED_BY_BROKER, signal.detail, now_ms, self._trouble.begins(self.processor))
        wait_ms = int(self._terms.session_timeout_ms * bounds.FENCED_SESSIONS)
        return self._fail("fenced by a newer owner", signal.detail, now_ms, wait_ms)

    def _on_failed(self, signal: sig.Failed, now_ms: int) -> Sequence[fx.Effect]:
        wait_ms = self._trouble.begins(self.processor, is_told=signal.is_denied)
        if self._trouble.attempts == self._terms.tries:
            return self._on_end(sig.Broken(OutcomeUnknownError(signal.detail)), now_ms)
        return [*self._fail(sig.AWAY, signal.detail, now_ms, wait_ms), waiting(signal)]

    def _fail(self, what: str, detail: str, now_ms: int, wait_ms: int) -> Sequence[fx.Effect]:
        """Throw away the ledger in memory, and take over afresh in a moment if the partition is still ours."""
        told: list[fx.Effect] = []
        if self.state in (State.COUNTING, State.CUTTING, State.LEAVING):
            told.append(fx.TellFailed())  # else it was a takeover
        said = fx.Say(f"partition given up, {what}: {detail}", is_warning=True, is_known=self._trouble.is_known)
        told += [said, *self._discard()]
        if self._is_revoked:
            self.state = State.IDLE
            return told
        self.state, self._due_ms = State.WAITING, now_ms + wait_ms
        return [*told, fx.TellTaking()]

    def _on_unreadable(self, signal: sig.Unreadable, now_ms: int) -> Sequence[fx.Effect]:
        return self._hold(verdict(HeldReason.LEDGER_UNREADABLE, None, signal.detail), now_ms)

    def _hold(self, found: Verdict, now_ms: int) -> Sequence[fx.Effect]:
        """Stand still; what others cannot see for themselves is written to the ledger."""
        basis = self.processor or self._cursor
        self._holding = Holding(self.partition, self._terms.generation, found, basis, now_ms)
        self.state = State.HELD
        told = fx.TellHeld(found)
        if self.is_at_rest:
            return [*self._discard(), told]
        self.processor = self._due_ms = None
        return [fx.HoldBack(), told, self._holding.note(self.takeover, now_ms)]

    def _on_stand(self, signal: Signal, now_ms: int) -> Sequence[fx.Effect]:
        assert self._holding is not None
        found = self._holding.on(signal, self.takeover, now_ms)
        self._due_ms = self._holding.due_ms
        return found

    def _on_let_go(self, _signal: sig.Revoked, _now_ms: int) -> Sequence[fx.Effect]:
        self.state = State.IDLE
        return ()

    def _on_dismiss(self, _signal: sig.Dismissed, _now_ms: int) -> Sequence[fx.Effect]:
        return [*self._discard(State.ENDED), *self._trouble.ends()]

    def _on_end(self, signal: sig.Broken, _now_ms: int) -> Sequence[fx.Effect]:
        return [*self._discard(State.ENDED), fx.Stop(signal.error)]

    def _discard(self, state: State | None = None) -> Sequence[fx.Effect]:
        """Drop the ledger in memory and the right to write; what is still delivered is not wanted."""
        given_up = fx.GiveUp(self.takeover)
        self.state = state or self.state
        self.processor = self._due_ms = None
        self.takeover += 1
        return [given_up]

    @property
    def held(self) -> Verdict | None:
        """Return why the partition stands still, None where it does not."""
        return self._holding.verdict if self.state is State.HELD and self._holding is not None else None

    @property
    def is_at_rest(self) -> bool:
        """Return whether it is held and everybody can know why: the process may end then."""
        return self._holding is not None and self._holding.is_at_rest

    @property
    def counted(self) -> Counted | None:
        """Return what is to be compared with the logs every few seconds, None where nothing is."""
        if self._holding is not None:
            return self._holding.basis
        return Counted.of(self._trusted) if self.state in COUNTS else None

    @property
    def _trusted(self) -> Processor:
        assert self.processor is not None, self.state
        return self.processor

"""The checkpoints of one partition since its ledger was placed: cut one after another, told once they are durable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.engine import bounds
from streams.engine import effects as fx

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.engine.batch import RecordBatch
    from streams.engine.checkpoint import Checkpoint
    from streams.engine.processing import Processor


class Cutting:
    """At most one checkpoint is under way."""

    def __init__(self) -> None:
        """Nothing is under way."""
        self._under_way: Checkpoint | None = None
        self._pauses = 0
        self._behind_ms = 0
        """How old the newest record was that was taken in this pause; 0 without one."""
        self._cut_ms = 0
        self._group_due_ms = 0
        self.positions: Mapping[str, int] = {}
        """Those of the newest durable checkpoint."""
        self._taken: list[tuple[int, int]] = []
        """Record time and number of records taken since the last cut, sampled."""
        self._span: list[tuple[int, int]] = []
        """The same of the checkpoint under way."""

    def take(self, batch: RecordBatch, age_ms: int) -> None:
        """Note when the records of a batch reached Kafka, and how old the newest is."""
        self._behind_ms = age_ms
        self._taken += batch.sampled_times(bounds.DELAY_SAMPLES)

    def skips_pause(self) -> bool:
        """Return whether nothing is cut in the pause that is over: who is far behind cuts only after several."""
        self._pauses += 1
        # Without a batch in this pause nothing is left to catch up with.
        behind_ms, self._behind_ms = self._behind_ms, 0
        return behind_ms >= bounds.CATCH_UP_MS and self._pauses < bounds.CATCH_UP_PAUSES

    def cut(self, processor: Processor, now_ms: int, *, is_last: bool) -> Checkpoint | None:
        """Return what changed since the last cut, None where nothing did; raises `CountingError`."""
        assert self._under_way is None, self._under_way
        self._pauses = 0
        tells_group = is_last or now_ms >= self._group_due_ms
        checkpoint = self._under_way = processor.cut(tells_group=tells_group)
        if checkpoint is not None:
            self._cut_ms = now_ms
            self._span, self._taken = self._taken, []
            if tells_group:
                self._group_due_ms = now_ms + bounds.GROUP_OFFSETS_MS
        return checkpoint

    def waited_ms(self, now_ms: int) -> int:
        """Return for how long a checkpoint has been under way, 0 where none is."""
        return 0 if self._under_way is None else now_ms - self._cut_ms

    def durable(self, now_ms: int) -> list[fx.Effect]:
        """Note that the checkpoint under way is committed; return what is told of it."""
        checkpoint, self._under_way = self._under_way, None
        assert checkpoint is not None
        elapsed_ms = now_ms - self._cut_ms
        self.positions = checkpoint.cursor.positions
        told: list[fx.Effect] = [fx.TellCheckpoint(checkpoint, elapsed_ms, tuple(self._span))]
        if elapsed_ms > bounds.SLOW_CHECKPOINT_MS:
            size = {"pages": len(checkpoint.pages), "rejected": len(checkpoint.rejected)}
            told.append(fx.Say("checkpoint was slow", {**size, "seconds": elapsed_ms / 1000}, is_warning=True))
        return told

"""How long a tenure waits, how often it tries, how much it keeps: each bound with its reason."""

FINAL_MS = 5_000
"""Longest wait for the checkpoint before a partition goes: the group waits for it, the work would only be redone."""
SLOW_CHECKPOINT_MS = 2_000
PENDING_REJECTED_LIMIT_BYTES = 8_000_000
"""Rejected records wait in memory for their checkpoint; more than this force one."""
RETRY_MS = 500
"""Before the second takeover after a failure, then twice as long each time; the first one begins at once."""
RETRY_LIMIT_MS = 2_000
"""A takeover that fails costs a question or two; whatever was missing is there again for at most so long."""
DENIED_MS = 3_000
"""A topic that may be read again is one that refused nothing for so long: it may have no records."""
FAULTS_LIMIT = 3
"""Fetches of damaged bytes in a row before the log itself is taken as damaged."""
GROUP_OFFSETS_MS = 5_000
"""Between two checkpoints that carry the group's offsets, which cost as much as everything else in one."""
CATCH_UP_MS = 10_000
CATCH_UP_PAUSES = 4
"""A partition further behind than `CATCH_UP_MS` commits only after this many pauses.

Nobody waits for its half second, and a page that many batches touch is written once: a seventh of a catch-up's CPU.
"""
FENCED_SESSIONS = 1.5
"""Session timeouts to wait after a fence: if the group had dealt the partition anew, it would have told us by then."""
DELAY_SAMPLES = 8
"""Record times looked at per batch for the delay: a batch of a catch-up spans minutes."""
COLOCATED_MS = 5_000
"""A topic that is growing just now is dealt anew within so long."""
LOOK_MS = 2_000
"""Between two looks at a log whose tail seems to be lost: an election is over by then."""
NOTE_MS = 5_000
"""Between two tries to write a note."""
CHECKPOINTS_PER_SECOND = 32
"""More would take more CPU than counting: in a worker with more than 16 partitions each waits longer."""

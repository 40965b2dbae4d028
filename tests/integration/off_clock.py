"""The program on a machine whose clock is off: `python -m tests.integration.off_clock MILLISECONDS worker …`."""

from __future__ import annotations

import sys

from streams.cli.main import run
from streams.engine.clock import SystemClock

if __name__ == "__main__":
    right = SystemClock.now_ms
    off_ms = int(sys.argv[1])
    SystemClock.now_ms = lambda self: right(self) + off_ms  # type: ignore[method-assign]
    sys.exit(run(sys.argv[2:]))

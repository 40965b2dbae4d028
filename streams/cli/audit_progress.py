"""The progress of an audit: one bar after the other."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from streams.audit.procedure import READING
from streams.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.audit.procedure import Report
    from streams.cli.progress import Bar


@contextmanager
def audit_progress() -> Iterator[Report]:
    """Give what an audit reports to, and show it."""
    with ExitStack() as stack:
        bars: dict[str, Bar] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                # One bar on a terminal at a time: the one before has come to its end.
                stack.close()
                unit = "records" if what == READING else "rollups"
                bars[what] = stack.enter_context(progress(what, total=total, unit=unit))
            bars[what].advance(done)

        yield report

"""The page `docs/metrics.md`, written from the catalogue of metrics."""

from __future__ import annotations

import sys

from streams.metrics import LEDGER, PROCESS, WORKER

_INTRODUCTION = """# Metrics

Written by `python -m streams.metrics_page > docs/metrics.md` from the catalogue in `streams/metrics.py`.

Money is in minor units (fen, cents) of the currency, times are seconds since the Unix epoch. Totals are gauges read
from the committed ledger: they survive restarts and rebalances, and never fall within one generation of the ledger,
except that a label value which grows out of `__other__` takes its count with it.

A process that has not read a committed state yet has no `festival_*` series: absent, never zero. A festival that
the ledger does not count has `festival_complete`, which is 0, its start and its end, and nothing else.
"""
_SECTIONS = (
    (
        "From the committed ledger",
        "The same on every worker and board: read with `max without (instance, pod)`.",
        LEDGER,
    ),
    ("From each worker, about itself", "Counters begin at zero with the process.", WORKER),
    ("From every process with `/metrics`", "About the page itself.", PROCESS),
)


def markdown() -> str:
    """Return the page `docs/metrics.md`."""
    parts = [_INTRODUCTION]
    for title, sentence, entries in _SECTIONS:
        rows = [
            f"| `{entry.name}` | {entry.kind} | {', '.join(f'`{label}`' for label in entry.labels)} | {entry.help} |"
            for entry in entries
        ]
        table = "\n".join(["| name | type | labels | meaning |", "|---|---|---|---|", *rows])
        parts.append(f"## {title}\n\n{sentence}\n\n{table}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(markdown())

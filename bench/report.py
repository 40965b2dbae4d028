"""The table."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import psutil

from bench.measures import Run, median, median_run, spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOOP, LOOPS = "do-it-yourself loop", "two such loops"
FAUST = "plain Faust, tumbling table"
ONE, TWO = "one worker", "two workers"


def table(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return the contenders as rows of Markdown; ratios are of events per CPU second to the loop and to plain Faust."""
    header = ("", "events", "per CPU second", "(all rounds)", "per second", "peak MB", "× loop", "× plain Faust")
    rows = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    loop = median_run(runs[LOOP]).events_per_cpu_second
    faust = median_run(runs[FAUST]).events_per_cpu_second
    for name, found in runs.items():
        run = median_run(found)
        rate = run.events_per_cpu_second
        wall = median([r.events_per_second for r in found])
        cells = (name, f"{run.events:,}", f"{rate:,.0f}", spread(found), f"{wall:,.0f}", f"{run.peak_rss_mb:,.0f}")
        rows.append("| " + " | ".join((*cells, f"{rate / loop:.3f}", f"{rate / faust:.0f}")) + " |")
    return rows


def write(page: Path, lines: Sequence[str], part: str = "measured") -> None:
    """Put the lines between the markers of one part of a Markdown page."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    assert found, (page, part)
    assert found_end, (page, part)
    page.write_text(before + begin + "\n\n".join(["", "\n".join(lines), ""]) + end + after, "utf-8")


def machine() -> str:
    """Return what the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    info = os.popen("grep -m1 'model name' /proc/cpuinfo 2>/dev/null").read()  # noqa: S605, S607 - a fixed command
    cpu = info.partition(":")[2].strip() or cpu
    memory = psutil.virtual_memory().total / 2**30
    load = f"load average at the end {os.getloadavg()[1]:.1f} (the benchmark's own is about 2)"
    system = f"Python {platform.python_version()}, {platform.system()}"
    return f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, {system}, {load}"


def live_rows(found: Mapping[str, Any], per_second: int) -> list[str]:
    """Return the measures of the steady load."""
    kills = ", ".join(f"{seconds:.1f}" for seconds in found["recoveries"])
    return [
        f"| delay from Kafka to a committed total at {per_second:,} orders/s, p50 | {found['delay_p50']:.2f} s |",
        f"| the same, p99 (of {found['records']:,} records) | {found['delay_p99']:.2f} s |",
        f"| all partitions counting again after SIGKILL and restart | {kills} s |",
    ]


def memory_row(runs: Sequence[Run]) -> str:
    """Return how memory grows with the events."""
    run = median_run(runs)
    memory = f"{run.half_rss_mb:.0f} and {run.peak_rss_mb:.0f} MB"
    return f"| memory of one worker at half of the events, and at its peak | {memory} |"

"""The table of the worker and its rivals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measures import median
from bench.rivals.contenders import WORKER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.rivals.course import Course

PART = "rivals"
"""The part of the Markdown page."""
HEADER = (
    "",
    "per CPU second",
    "(all rounds)",
    "× worker",
    "second half",
    "× worker",
    "per second",
    "CPU s before the first",
    "peak MB",
)


def table(courses: Mapping[str, Sequence[Course]]) -> list[str]:
    """Return the contenders as rows of Markdown: medians of their rounds, ratios of these to the worker's."""
    rows = ["| " + " | ".join(HEADER) + " |", "|---" + "|---:" * (len(HEADER) - 1) + "|"]
    ours, ours_warm = (_whole(courses[WORKER]), _warm(courses[WORKER]))
    for name, found in courses.items():
        rates = [course.per_cpu_second for course in found]
        cells = (
            name,
            f"{_whole(found):,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            f"{_whole(found) / ours:.2f}",
            f"{_warm(found):,.0f}",
            f"{_warm(found) / ours_warm:.2f}",
            f"{median([course.per_second for course in found]):,.0f}",
            f"{median([course.start_cpu_seconds for course in found]):.1f}",
            f"{median([course.peak_rss_mb for course in found]):,.0f}",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _whole(courses: Sequence[Course]) -> float:
    return median([course.per_cpu_second for course in courses])


def _warm(courses: Sequence[Course]) -> float:
    return median([course.warm_per_cpu_second for course in courses])

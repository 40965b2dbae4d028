"""The day in a report: its curves, milestones and peaks, and the last edition beside it."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from msgspec import UNSET

from streams.board.answers.transit import share
from streams.handover import drawing
from streams.handover.drawing import Axis, Mark
from streams.handover.sections import Drawing, Figure, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.board.answers.values import Pace, PeakWindow, Story
    from streams.handover.findings import Findings
    from streams.handover.sections import Writer

MINUTE_MS = 60_000
_MINUTES_PER_HOUR = 60
_HOURS_TOLD = 24
_SHARES_OF_DAY = (1, 6, 12, 18, 24)
"""Twenty-fourths of the festival at whose end it is compared with the last edition."""


def sections(findings: Findings, writer: Writer) -> Iterator[Section]:
    """Yield the sections of the day, those that have something to say."""
    story = findings.totals.story
    assert story is not UNSET, "a report has the story"
    yield _curves(findings, writer, story)
    if story.milestones and "orders" in findings.festival.facts:
        yield _milestones(findings, writer, story)
    if story.peak.second.orders:
        yield _peaks(findings, writer, story)
    if story.pace is not None and findings.totals.home.gross is not UNSET:
        yield _comparison(findings, writer, story.pace)


def told_minutes(findings: Findings) -> int:
    """Return how many minutes of the day are told: those that have ended, all of them after it."""
    elapsed_ms = min(findings.told_ms, findings.festival.end_ms) - findings.festival.start_ms
    return max(0, elapsed_ms // MINUTE_MS)


def _curves(findings: Findings, writer: Writer, story: Story) -> Section:
    festival, main = findings.festival, findings.main
    minutes = (festival.end_ms - festival.start_ms) // MINUTE_MS
    amount = writer.home if main.is_money else writer.tongue.short
    axis = Axis(minutes, lambda minute: writer.tongue.hour(festival.start_ms + minute * MINUTE_MS), amount)
    told = told_minutes(findings)
    running = list(accumulate(findings.values_by_minute[:told]))
    previous = findings.previous_by_minute if main.measure == "gross" else ()
    marks = [
        Mark((one.time_ms - festival.start_ms) / MINUTE_MS, one.minor, writer.home(one.minor))
        for one in story.milestones
        if one.time_ms is not None and main.measure == "gross"
    ]
    what = writer.words[f"main_{main.measure}"]
    title = writer.say("running_total", what=what)
    end = amount(running[-1] if running else 0)
    other = (
        ""
        if not previous or story.pace is None
        else writer.say("vs_value", name=writer.called(story.pace.previous), value=writer.home(previous[-1]))
    )
    label = writer.say("chart_label", what=title, value=end, other=other).strip()
    legend = [("line", writer.called(festival.name))]
    if previous and story.pace is not None:
        legend.append(("last", writer.called(story.pace.previous)))
    first = Drawing(
        title,
        drawing.running(running, previous, marks, axis, title=label),
        _hours(findings, writer, running, what),
        legend if len(legend) > 1 else (),
    )
    return Section("day", writer.words["day"], drawings=[first, _pace(findings, writer, axis)])


def _pace(findings: Findings, writer: Writer, axis: Axis) -> Drawing:
    """Return the drawing of the count in each minute."""
    counts = list(findings.counts_by_minute[: told_minutes(findings)])
    what = writer.words[f"count_{findings.main.count}"]
    title = writer.say("per_minute", what=what)
    mark = None
    if counts and (most := max(counts)):
        minute = counts.index(most)
        at = writer.tongue.hour(findings.festival.start_ms + minute * MINUTE_MS)
        mark = Mark(minute + 0.5, most, f"{writer.tongue.whole(most)} · {at}")
    label = f"{title}. {mark.label if mark else ''}".strip()
    plain = Axis(axis.minutes, axis.clock, writer.tongue.short)
    hourly = list(accumulate(counts))
    return Drawing(
        f"{title} ({writer.words['root_scale']})",
        drawing.per_minute(counts, mark, plain, title=label),
        _hours(findings, writer, hourly, what, is_count=True),
    )


def _hours(findings: Findings, writer: Writer, running: Sequence[int], what: str, *, is_count: bool = False) -> Table:
    """Return the curve in so many rows that one can read it, at the ends of whole hours."""
    hours = -(-len(running) // _MINUTES_PER_HOUR)
    step = max(1, -(-hours // _HOURS_TOLD)) * _MINUTES_PER_HOUR
    amount = writer.exact_home if findings.main.is_money and not is_count else writer.tongue.whole
    rows = []
    for minute in range(step, len(running) + step, step):
        last = min(minute, len(running))
        at = writer.tongue.clock(findings.festival.start_ms + last * MINUTE_MS)
        rows.append((at, amount(running[last - 1])))
    return Table((writer.words["at"], what), rows)


def _milestones(findings: Findings, writer: Writer, story: Story) -> Section:
    rows = []
    for one in story.milestones:
        time = writer.words["not_reached"] if one.time_ms is None else writer.tongue.clock(one.time_ms)
        elapsed = "–" if one.time_ms is None else writer.tongue.elapsed(one.time_ms - findings.festival.start_ms)
        rows.append((writer.home(one.minor), time, elapsed))
    head = (writer.words["milestone"], writer.words["time"], writer.words["after"])
    return Section("milestones", writer.words["milestones"], tables=[Table(head, rows)])


def _peaks(findings: Findings, writer: Writer, story: Story) -> Section:
    def figure(key: str, window: PeakWindow) -> Figure:
        value = writer.say("peak_orders", orders=writer.tongue.whole(window.orders))
        return Figure(writer.words[key], value, writer.tongue.clock(window.start_ms))

    figures = [figure("peak_second", story.peak.second), figure("peak_minute", story.peak.minute)]
    hour = findings.peak_hour
    orders = writer.say("peak_orders", orders=writer.tongue.whole(hour.orders))
    figures.append(Figure(writer.words["peak_hour"], orders, writer.tongue.clock(hour.start_ms)))
    return Section("peaks", writer.words["peaks"], figures=figures)


def _comparison(findings: Findings, writer: Writer, pace: Pace) -> Section:
    festival, previous = findings.festival, findings.previous_by_minute
    running = list(accumulate(findings.values_by_minute))
    told = told_minutes(findings)
    section = Section("comparison", writer.say("comparison", name=writer.called(pace.previous)))
    places = dict.fromkeys(len(running) * part // 24 for part in _SHARES_OF_DAY)
    rows = []
    for minute in places:
        if not 0 < minute <= told:
            continue
        last = previous[minute - 1] if previous else pace.previous_total_minor
        if not previous and minute < len(running):
            continue
        growth = share(running[minute - 1] - last, last)
        at = writer.tongue.clock(festival.start_ms + minute * MINUTE_MS)
        difference = writer.home(running[minute - 1] - last)
        told_growth = writer.tongue.percent(growth, is_signed=True)
        rows.append((at, writer.home(running[minute - 1]), writer.home(last), difference, told_growth))
    head = tuple(writer.words[key] for key in ("at", "this", "last", "difference", "growth_head"))
    section.tables = [Table(head, rows)] if rows else []
    if pace.passed_ms is not None:
        section.notes.append(writer.say("passed", time=writer.tongue.clock(pace.passed_ms)))
    if not previous:
        section.notes.append(writer.words["curve_unknown"])
    return section

"""The curves of a report as SVG: they stand in the document, need no script, and say in words what they show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 1000, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 96, 24, 26, 34
POINTS = 720
"""A line has so many at most: more than that no reader can tell apart."""
_TICKS_Y = 4
_TICKS_X = 9
_STEPS_HOURS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 96, 168)
_LABEL_ROOM = 150
_EDGE_ROOM = 150
_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class Axis:
    """How a drawing is labelled."""

    minutes: int
    """Length of the day."""
    clock: Callable[[int], str]
    """Minute → its time, as a label."""
    amount: Callable[[int], str]
    """Value → its label."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A point on a line that is told."""

    minute: float
    value: int
    label: str


class _Frame:
    """Places values on the paper."""

    def __init__(self, axis: Axis, most: int, *, is_root: bool) -> None:
        self.axis = axis
        self.is_root = is_root
        self.ticks = _round_ticks(most)
        self.most = max(self.ticks[-1], most, 1)

    def x(self, minute: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * minute / self.axis.minutes

    def y(self, value: int) -> float:
        ratio = max(value, 0) / self.most
        ratio = math.sqrt(ratio) if self.is_root else ratio
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * ratio

    def grid(self) -> str:
        lines = []
        for tick in self.ticks:
            y = self.y(tick)
            label = escape(self.axis.amount(tick))
            lines.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>')
            lines.append(f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        hours = self.axis.minutes / _MINUTES_PER_HOUR
        step = next((step for step in _STEPS_HOURS if hours / step <= _TICKS_X), _STEPS_HOURS[-1])
        for hour in range(0, math.floor(hours) + 1, step):
            x = self.x(hour * _MINUTES_PER_HOUR)
            label = escape(self.axis.clock(hour * _MINUTES_PER_HOUR))
            lines.append(f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{label}</text>')
            lines.append(f'<line class="tick" x1="{x:.1f}" y1="{HEIGHT - _BOTTOM}" x2="{x:.1f}" y2="{HEIGHT - 28}"/>')
        return "".join(lines)

    def mark(self, mark: Mark, *, is_labelled: bool, is_beside: bool = False) -> str:
        x, y = self.x(mark.minute), self.y(mark.value)
        dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        if not is_labelled:
            return dot
        if is_beside:
            is_left = x < WIDTH - _EDGE_ROOM
            at, height, anchor = (x + 10, y + 4, "start") if is_left else (x - 10, y + 4, "end")
        elif x < _LEFT + _EDGE_ROOM:
            at, height, anchor = x + 10, y + 17, "start"  # at the beginning the line is steep: below it is room
        else:
            at, height, anchor = x - 6, y - 9, "end"
        return (
            f'{dot}<text class="told" x="{at:.1f}" y="{height:.1f}" text-anchor="{anchor}">{escape(mark.label)}</text>'
        )


def _round_ticks(most: int) -> list[int]:
    """Return 0 and some round values, the last at least `most`; for whole numbers no step is below 1."""
    rough = max(most, 1) / _TICKS_Y
    power = 10 ** max(math.floor(math.log10(rough)), 0)
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor * _TICKS_Y >= most)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def running(values: Sequence[int], previous: Sequence[int], marks: Sequence[Mark], axis: Axis, *, title: str) -> Markup:
    """Return the running total (at the end of each minute), with the last edition's behind it."""
    frame = _Frame(axis, max([*values, *previous], default=0), is_root=False)
    parts = [frame.grid()]
    if previous:
        parts.append(f'<path class="last" d="{_path(frame, _thinned(previous))}"/>')
    line = _thinned(values)
    if line:
        area = _path(frame, line) + f"L{frame.x(line[-1][0]):.1f},{frame.y(0):.1f}L{frame.x(0):.1f},{frame.y(0):.1f}Z"
        parts += [f'<path class="area" d="{area}"/>', f'<path class="line" d="{_path(frame, line)}"/>']
    parts.append('<g class="marks">')
    free = -math.inf
    for mark in marks:
        is_labelled = frame.x(mark.minute) >= free
        parts.append(frame.mark(mark, is_labelled=is_labelled))
        free = frame.x(mark.minute) + _LABEL_ROOM if is_labelled else free
    parts.append("</g>")
    return _svg(parts, title)


def per_minute(values: Sequence[int], peak: Mark | None, axis: Axis, *, title: str) -> Markup:
    """Return the values of each minute, high ones bent down by the square root; the peak is told."""
    frame = _Frame(axis, max(values, default=0), is_root=True)
    step = max(1, -(-len(values) // POINTS))
    # The largest of those that share a point: no peak is thinned away.
    told = [(start + step / 2, max(values[start : start + step])) for start in range(0, len(values), step)]
    parts = [frame.grid()]
    if told:
        base = frame.y(0)
        line = "".join(f"L{frame.x(minute):.1f},{frame.y(value):.1f}" for minute, value in told)
        begin, end = frame.x(told[0][0]), frame.x(told[-1][0])
        parts.append(f'<path class="area" d="M{begin:.1f},{base:.1f}{line}L{end:.1f},{base:.1f}Z"/>')
        parts.append(f'<path class="line thin" d="M{line[1:]}"/>')
    if peak is not None:
        parts.append(f'<g class="marks">{frame.mark(peak, is_labelled=True, is_beside=True)}</g>')
    return _svg(parts, title)


def _thinned(values: Sequence[int]) -> list[tuple[int, int]]:
    """Return (minute, running total) from the start on, the last one always with them."""
    step = max(1, -(-len(values) // POINTS))
    minutes = [*range(step, len(values) + 1, step)]
    if values and (not minutes or minutes[-1] != len(values)):
        minutes.append(len(values))
    first = [1] if values and minutes[0] != 1 else []
    return [(0, 0), *((minute, values[minute - 1]) for minute in (*first, *minutes))] if values else []


def _path(frame: _Frame, points: Sequence[tuple[int, int]]) -> str:
    if not points:
        points = [(0, 0)]
    return "M" + "L".join(f"{frame.x(minute):.1f},{frame.y(value):.1f}" for minute, value in points)


def _svg(parts: Sequence[str], title: str) -> Markup:
    inner = "".join(parts)
    return Markup(  # noqa: S704 - made of numbers and escaped labels
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{inner}</svg>'
    )

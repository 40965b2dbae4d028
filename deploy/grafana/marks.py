"""What happened, drawn into the curves: milestones, recounts, rebalances."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard

from deploy.grafana import health, lag, live
from deploy.grafana.panels import AMBER, DATASOURCE, GREEN

_NOW = 'festival="$festival"'
_STEP = "15s"
"""How finely is asked: three scrapes."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """A line in every curve of a dashboard."""

    name: str
    expr: str
    color: str
    title: str
    """Text of a line, with labels in double braces."""
    is_instant: bool = False
    """Whether the value is the time of the line, in milliseconds; else it stands wherever the value is not 0."""


MILESTONES = Annotation(
    "Milestones",
    f"festival_milestone:milestone_timestamp_seconds:min{{{_NOW}}} * 1000",
    GREEN,
    "{{milestone}} passed",
    is_instant=True,
)
RECOUNTS = Annotation(
    "Recounts",
    # A generation that was not there a minute ago, where another one was: the first of all is no recount.
    f"max by (ledger) (festival_ledger_info{{{_NOW}}})"
    f" unless max by (ledger) (festival_ledger_info{{{_NOW}}} offset 1m)"
    f" and on () (count(count by (ledger) (last_over_time(festival_ledger_info{{{_NOW}}}[10m]))) > 1)",
    AMBER,
    "recounted: ledger {{ledger}}",
)
REBALANCES = Annotation(
    "Rebalances",
    "sum(changes(streams_rebalances_total[1m])) > 0",
    AMBER,
    "rebalance of the workers",
)
ANNOTATIONS = {live.UID: (MILESTONES, RECOUNTS), health.UID: (REBALANCES,), lag.UID: (REBALANCES,)}
"""By dashboard."""


def of(uid: str) -> list[dashboard.AnnotationQuery]:
    """Return the annotations of a dashboard, ready for it."""
    return [_built(annotation) for annotation in ANNOTATIONS[uid]]


def _built(annotation: Annotation) -> dashboard.AnnotationQuery:
    built = (
        dashboard.AnnotationQuery()
        .name(annotation.name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(annotation.color)
        .expr(annotation.expr)
        .step(_STEP)
        .title_format(annotation.title)
    )
    return built.use_value_for_time(True) if annotation.is_instant else built

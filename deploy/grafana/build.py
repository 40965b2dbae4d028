"""Write the dashboards as JSON: `python -m deploy.grafana.build`. A test compares what is committed with it.

Needs the development environment (grafana-foundation-sdk); Grafana itself reads only the JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
)

from deploy.grafana import health, lag, live, marks
from deploy.grafana.panels import DATASOURCE

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

DASHBOARDS = Path(__file__).parent / "dashboards"
TAG = "festival"


def _frame(title: str, uid: str, description: str, since: str) -> dashboard.Dashboard:
    """Return a dashboard without panels; all of them have the datasource variable and know each other."""
    others = (
        dashboard.DashboardLink("Festival")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=False)
        .keep_time(keep_time=True)
        .include_vars(include_vars=True)
    )
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("5s")
        .time(since, "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(others)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data Source").type("prometheus"))
    )


def dashboards() -> dict[str, str]:
    """Return the JSON of every dashboard by file name."""
    built = [
        (live.UID, _live()),
        (health.UID, _frame(health.TITLE, health.UID, "What the workers do and whether they are well.", "now-1h")),
        (lag.UID, _frame(lag.TITLE, lag.UID, "What waits on Kafka, and for how long.", "now-1h")),
    ]
    panels = {live.UID: live.panels(), health.UID: health.panels(), lag.UID: lag.panels()}
    return {f"{uid}.json": _json(frame, uid, panels[uid]) for uid, frame in built}


def _live() -> dashboard.Dashboard:
    return (
        _frame(live.TITLE, live.UID, "The festival on one screen: totals, pace, parts, freshness.", "now-6h")
        .with_variable(
            dashboard.QueryVariable("festival")
            .label("Festival")
            .datasource(DATASOURCE)
            .query("label_values(festival_orders, festival)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
        .with_variable(
            dashboard.CustomVariable("minor_units")
            .label("Minor units")
            .description("Minor units in one unit of the home currency: 100 fen, cents; 1 for yen; 1000 for dinars.")
            .values("100,1,1000")
            .current(VariableOption(selected=True, text="100", value="100"))
        )
    )


def _json(frame: dashboard.Dashboard, uid: str, panels: list[Builder[Any]]) -> str:
    for panel in panels:
        frame = frame.with_panel(panel)
    for annotation in marks.of(uid):
        frame = frame.annotation(annotation)
    document = json.loads(json.dumps(frame.build(), cls=JSONEncoder))
    for place in (document, *document["panels"]):
        for link in place.get("links", ()):
            del link["placement"]  # the builder's default hides links in a menu
    for annotation in document["annotations"]["list"]:
        del annotation["placement"]  # and what can be switched off
    return json.dumps(document, sort_keys=True, indent=2) + "\n"


def main() -> None:
    """Write the files."""
    for name, text in dashboards().items():
        (DASHBOARDS / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{DASHBOARDS / name}\n")


if __name__ == "__main__":
    main()

"""The kinds of panels on our dashboards: each has a title, a description, a unit, queries, and links to runbooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.prometheus.build import RUNBOOKS

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""A variable and never a fixed id: the committed files then work in every Grafana."""
GRID_WIDTH = 24
GREEN, AMBER, RED = "green", "orange", "red"


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """What a panel shows, apart from how."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    runbooks: tuple[str, ...]
    """Names of the alerts that this panel helps with; never empty."""
    width: int
    height: int
    limits: tuple[tuple[float, str], ...] = ()
    """From which value on which colour; below the first it is green."""
    words: dict[str, str] = field(default_factory=dict)
    """Values that are shown as words."""
    decimals: int | None = None
    maximum: float | None = None
    is_stacked: bool = False
    right: tuple[str, ...] = ()
    """Legends of the lines that have their axis on the right, as they are larger by far."""


def stat_panel(panel: Panel) -> Builder[Any]:
    """Return one large number; large enough for a wall."""
    built = _fill(stat.Panel(), panel, is_instant=True)
    return (  # type: ignore[no-any-return]
        built.color_mode(models.BigValueColorMode.BACKGROUND if panel.limits else models.BigValueColorMode.VALUE)
        .graph_mode(models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines_panel(panel: Panel) -> Builder[Any]:
    """Return lines over time."""
    built = _fill(timeseries.Panel(), panel, is_instant=False)
    built = (
        built.line_width(2)
        .fill_opacity(15 if panel.is_stacked else 5)
        .show_points(models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .show_legend(show_legend=True)
            .display_mode(models.LegendDisplayMode.LIST)
            .placement(models.LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING))
    )
    if panel.is_stacked:
        built = built.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))
    for legend in panel.right:
        built = built.override_by_name(legend, [DynamicConfigValue(id_val="custom.axisPlacement", value="right")])
    return built.min(0)  # type: ignore[no-any-return]


def bars_panel(panel: Panel) -> Builder[Any]:
    """Return a bar for each series, of now."""
    return (  # type: ignore[no-any-return]
        _fill(bargauge.Panel(), panel, is_instant=True)
        .orientation(models.VizOrientation.HORIZONTAL)
        .display_mode(models.BarGaugeDisplayMode.GRADIENT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .min(0)
    )


def table_panel(panel: Panel, hidden: tuple[str, ...], names: dict[str, str], units: dict[str, str]) -> Builder[Any]:
    """Return a table of now: without the `hidden` labels, columns named by `names`, with units by column name."""
    built = _fill(table.Panel(), panel, is_instant=True, is_table=True)
    built = built.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": dict.fromkeys(hidden, True), "renameByName": names},
        )
    )
    for column, unit in units.items():
        built = built.override_by_name(column, [DynamicConfigValue(id_val="unit", value=unit)])
    return built  # type: ignore[no-any-return]


def matrix_panel(panel: Panel, label: str) -> Builder[Any]:
    """Return a table of now: a row for each value of the label, a column for each query, the largest first."""
    built = _fill(table.Panel(), panel, is_instant=True, is_table=True)
    columns = {f"Value #{_ref(number)}": query.legend for number, query in enumerate(panel.queries)}
    names = {label: label.capitalize(), **columns}
    first = common.TableSortByFieldState().display_name(panel.queries[0].legend).desc(desc=True)
    return (  # type: ignore[no-any-return]
        built.with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": names})
        )
        .sort_by([first])
    )


def placed(rows: list[list[tuple[Panel, Any]]]) -> list[Builder[Any]]:
    """Return the panels of the rows, each row below the one before, with ids from 1."""
    built: list[Builder[Any]] = []
    y = 0
    for row in rows:
        assert sum(panel.width for panel, _ in row) == GRID_WIDTH, [panel.title for panel, _ in row]
        x = 0
        for panel, made in row:
            built.append(made.id(len(built) + 1).grid_pos(GridPos(h=panel.height, w=panel.width, x=x, y=y)))
            x += panel.width
        y += max(panel.height for panel, _ in row)
    return built


def _fill(built: Any, panel: Panel, *, is_instant: bool, is_table: bool = False) -> Any:  # noqa: ANN401 - SDK builders
    built = built.title(panel.title).description(panel.description).unit(panel.unit).datasource(DATASOURCE)
    built = built.links([_runbook(alert) for alert in panel.runbooks])
    for number, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery()
            .expr(query.expr)
            .ref_id(_ref(number))
            .datasource(DATASOURCE)
            .legend_format(query.legend or "__auto")
        )
        target = target.instant() if is_instant else target.range()
        if is_table:
            target = target.format(PromQueryFormat.TABLE)
        built = built.with_target(target)
    if panel.decimals is not None:
        built = built.decimals(panel.decimals)
    if panel.maximum is not None:
        built = built.max(panel.maximum)
    if panel.words:
        options = {value: ValueMappingResult(text=text) for value, text in panel.words.items()}
        built = built.mappings([ValueMap(options=options)])
    steps = [Threshold(value=None, color=GREEN), *(Threshold(value=at, color=color) for at, color in panel.limits)]
    if panel.limits:
        built = built.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        if not isinstance(built, timeseries.Panel):
            built = built.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    return built


def _ref(number: int) -> str:
    """Return the letter of a panel's query; a table's columns are called after it."""
    return chr(ord("A") + number)


def _runbook(alert: str) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(f"Runbook: {alert}")
        .type(DashboardLinkType.LINK)
        .url(f"{RUNBOOKS}/{alert}.md")
        .target_blank(target_blank=True)
    )

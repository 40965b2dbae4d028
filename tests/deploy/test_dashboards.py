"""The dashboards: the rules of Grafana's dashboard-linter, restated, and that all they name exists."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_foundation_sdk.models import units

from deploy.grafana import build
from deploy.prometheus.build import RUNBOOKS
from tests.deploy.monitoring import DEPLOY, alerts, exported_names, metrics_in, read, rules, run, tool

if TYPE_CHECKING:
    from pathlib import Path

GRAFANA = DEPLOY / "grafana"
DOCUMENTS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
PANELS = [(name, panel) for name, document in DOCUMENTS.items() for panel in document["panels"]]
TARGETS = [(name, panel, target) for name, panel in PANELS for target in panel["targets"]]
UNITS = {unit for name, unit in vars(units).items() if isinstance(unit, str) and not name.startswith("__")}
"""Those that Grafana knows, as its SDK lists them."""
SCREEN_PIXELS = 1920
TITLE_PIXELS = 9
"""The width of a letter in a panel's title, and what its icons take around the title."""
TITLE_ROOM_PIXELS = 56
WALL_ROWS = 28
"""Grid rows of a screen of 1,080 pixels in kiosk mode: each takes 38."""
VARIABLES = {"$festival": "singles-day-2019", "$minor_units": "100", "$__rate_interval": "1m"}

each_dashboard = pytest.mark.parametrize("name", DOCUMENTS)
each_panel = pytest.mark.parametrize(
    ("name", "panel"), PANELS, ids=[f"{name}: {panel['title']}" for name, panel in PANELS]
)


def filled(expr: str) -> str:
    """Return an expression with values in place of Grafana's variables."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
    return expr


def test_the_committed_dashboards_are_what_the_code_makes() -> None:
    committed = {path.name: path.read_text("utf-8") for path in (GRAFANA / "dashboards").glob("*")}
    assert committed == build.dashboards(), "run: python -m deploy.grafana.build"


def test_there_are_the_three_dashboards_people_were_promised() -> None:
    assert {document["title"] for document in DOCUMENTS.values()} == {"Festival live", "Streams health", "Kafka lag"}
    assert len({document["uid"] for document in DOCUMENTS.values()}) == 3


@each_dashboard
def test_exactly_one_datasource_variable(name: str) -> None:
    variables = DOCUMENTS[name]["templating"]["list"]
    (found,) = [variable for variable in variables if variable["type"] == "datasource"]
    assert (found["name"], found["label"], found["query"]) == ("datasource", "Data Source", "prometheus")
    for variable in variables:
        if variable["type"] == "query":
            assert variable["datasource"]["uid"] == "${datasource}"
            assert variable["refresh"] == 2, "on time range change"


@each_dashboard
def test_dashboards_are_code_and_not_editable(name: str) -> None:
    assert DOCUMENTS[name]["editable"] is False
    assert DOCUMENTS[name].get("id") is None


@each_panel
def test_a_panel_has_title_description_unit_queries_and_runbooks(name: str, panel: dict[str, Any]) -> None:
    assert panel["title"], name
    assert re.fullmatch(r"[A-Z].+[.]", panel["description"])
    assert panel["targets"], "no empty panel"
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    known = {alert.name for alert in alerts()}
    linked = [link["url"].removeprefix(f"{RUNBOOKS}/").removesuffix(".md") for link in panel["links"]]
    assert linked
    assert set(linked) <= known


@each_panel
def test_a_panel_asks_the_datasource_of_the_variable(name: str, panel: dict[str, Any]) -> None:
    assert panel["datasource"]["uid"] == "${datasource}", name
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        assert target["expr"].strip()


@each_panel
def test_rates_of_counters_follow_the_resolution_of_the_panel(name: str, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for function, window in re.findall(r"\b(rate|irate|increase|deriv)\([^)]*\[([^\]]+)\]", target["expr"]):
            # A count over a fixed time, which the title names, is no rate.
            assert window == "$__rate_interval" or (function == "increase" and window == "15m"), (name, target["expr"])


@each_panel
def test_counters_are_never_shown_bare(name: str, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for counter in re.findall(r"\b\w+_total\b", target["expr"]):
            assert re.search(rf"(rate|increase)\({counter}\b", target["expr"]), (name, counter)


@each_panel
def test_every_metric_of_a_panel_exists(name: str, panel: dict[str, Any]) -> None:
    known = exported_names() | {rule.name for rule in rules() if not rule.is_alert}
    for target in panel["targets"]:
        found = metrics_in(filled(target["expr"]))
        assert found or "up{" in target["expr"], name
        assert found <= known


def test_every_query_can_be_parsed(tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:query:{number}", "expr": filled(target["expr"])}
        for number, (_, _, target) in enumerate(TARGETS)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    run(tool("promtool"), "check", "rules", str(path))


def test_no_partition_owned_is_shown_as_none_and_not_as_no_data(tmp_path: Path) -> None:
    (owned,) = (target["expr"] for _, panel, target in TARGETS if panel["title"] == "Partitions owned")
    owners = 'streams_partition_owner{{instance="{}", partition="{}"}}'
    # Nobody answers for 10 s; then each of two partitions has one owner; then one of them has two.
    series = {
        owners.format("a", 0): "_x2 1x4",
        owners.format("a", 1): "_x2 1x4",
        owners.format("b", 1): "_x4 1x2",
    }
    asked = [
        {"expr": filled(owned), "eval_time": at, "exp_samples": [{"labels": "{}", "value": value}]}
        for at, value in (("5s", 0), ("15s", 2), ("25s", 1))
    ]
    one = {
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": asked,
    }
    path = tmp_path / "owned.yml"
    files = [str(DEPLOY / "prometheus" / "rules" / "streams.yml")]
    path.write_text(yaml.safe_dump({"rule_files": files, "evaluation_interval": "5s", "tests": [one]}))
    run(tool("promtool"), "test", "rules", str(path))


@each_dashboard
def test_panels_lie_in_the_grid_without_overlap_and_have_ids_of_their_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DOCUMENTS[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in DOCUMENTS[name]["panels"]]
    assert len(set(ids)) == len(ids)


@each_panel
def test_a_panel_can_be_read_on_a_screen_of_1920_pixels(name: str, panel: dict[str, Any]) -> None:
    place = panel["gridPos"]
    pixels = place["w"] * SCREEN_PIXELS // 24
    assert len(panel["title"]) * TITLE_PIXELS + TITLE_ROOM_PIXELS <= pixels, f"{name}: the title is cut off"
    assert place["h"] >= (4 if panel["type"] == "stat" else 5)


@each_panel
def test_lines_and_bars_of_one_panel_can_be_told_apart(name: str, panel: dict[str, Any]) -> None:
    legends = [target["legendFormat"] for target in panel["targets"]]
    assert len(set(legends)) == len(legends), name
    if panel["type"] != "stat" and len(legends) > 1:
        assert "__auto" not in legends, name


def test_the_festival_fits_one_wall_screen() -> None:
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in DOCUMENTS["festival-live"]["panels"])
    assert bottom <= WALL_ROWS


def test_provisioning_names_no_fixed_datasource_and_reads_the_folder() -> None:
    (source,) = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert "uid" not in source
    (provider,) = read(GRAFANA / "provisioning" / "dashboards" / "festival.yml")["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["disableDeletion"] is True
    assert (
        source["jsonData"]["timeInterval"]
        == read(DEPLOY / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    )


@pytest.mark.parametrize("metric", sorted(exported_names()))
def test_every_metric_is_used_by_a_rule_or_a_panel_or_has_a_reason_not_to_be(metric: str) -> None:
    used = {found for rule in rules() for found in metrics_in(rule.expr)}
    used |= {found for _, _, target in TARGETS for found in metrics_in(filled(target["expr"]))}
    drawn = [annotation for document in DOCUMENTS.values() for annotation in document["annotations"]["list"]]
    used |= {found for annotation in drawn for found in metrics_in(filled(annotation["expr"]))}
    base = re.sub(r"_(bucket|sum|count)$", "", metric)
    assert any(found in used for found in (metric, *(f"{base}_{part}" for part in ("bucket", "sum", "count")))) or (
        metric in UNUSED
    )


UNUSED = {
    "festival_peak_timestamp_seconds",  # the busiest second is shown with its height; when it was is on the page
    "streams_audit_timestamp_seconds",  # a runbook asks for it
    "festival_sealed_info",  # of a board over files: there is no night to watch, and its page says it
}

"""The annotations of the dashboards: milestones, recounts and rebalances stand in the curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.monitoring import exported_names, metrics_in, rules, run, tool
from tests.deploy.test_dashboards import DOCUMENTS, filled

if TYPE_CHECKING:
    from pathlib import Path

ANNOTATIONS = [
    (name, annotation) for name, document in DOCUMENTS.items() for annotation in document["annotations"]["list"]
]
LEDGER = 'festival_ledger_info{{festival="singles-day-2019", ledger="{}"}}'


def of(name: str) -> str:
    """Return the expression of an annotation."""
    return next(filled(annotation["expr"]) for _, annotation in ANNOTATIONS if annotation["name"] == name)


def test_each_dashboard_has_what_its_readers_ask_about() -> None:
    names = {(name, annotation["name"]) for name, annotation in ANNOTATIONS}
    assert names == {
        ("festival-live", "Milestones"),
        ("festival-live", "Recounts"),
        ("streams-health", "Rebalances"),
        ("kafka-lag", "Rebalances"),
    }


@pytest.mark.parametrize(("name", "annotation"), ANNOTATIONS, ids=lambda one: str(one)[:20])
def test_an_annotation_asks_for_metrics_that_exist(name: str, annotation: dict[str, Any]) -> None:
    known = exported_names() | {rule.name for rule in rules() if not rule.is_alert}
    found = metrics_in(filled(annotation["expr"]))
    assert found, name
    assert found <= known
    assert annotation["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert annotation["enable"] is True


def ask(tmp_path: Path, series: dict[str, str], expr: str, expected: dict[str, list[tuple[str, float]]]) -> None:
    """Fail where a real Prometheus' engine does not answer so: time → (labels, value)."""
    asked = [
        {"expr": expr, "eval_time": at, "exp_samples": [{"labels": labels, "value": value} for labels, value in told]}
        for at, told in expected.items()
    ]
    one = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": asked,
    }
    path = tmp_path / "annotations.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "15s", "tests": [one]}))
    run(tool("promtool"), "test", "rules", str(path))


def test_a_recount_is_drawn_and_the_first_generation_is_none(tmp_path: Path) -> None:
    """For two minutes the first generation is shown, then the second."""
    series = {LEDGER.format("g1"): "1x8 stale", LEDGER.format("g2"): "_x9 1x20"}
    recounted = [('{ledger="g2"}', 1.0)]
    ask(tmp_path, series, of("Recounts"), {"30s": [], "2m": [], "2m30s": recounted, "3m": recounted, "4m": []})


def test_a_rebalance_is_drawn_for_a_minute(tmp_path: Path) -> None:
    series = {'streams_rebalances_total{instance="a"}': "1x8 2x20", 'streams_rebalances_total{instance="b"}': "1x28"}
    ask(tmp_path, series, of("Rebalances"), {"1m": [], "2m30s": [("{}", 1.0)], "5m": []})


def test_milestones_stand_at_their_own_time(tmp_path: Path) -> None:
    name = 'festival_milestone:milestone_timestamp_seconds:min{festival="singles-day-2019", milestone="10000000000"}'
    labels = '{festival="singles-day-2019", milestone="10000000000"}'
    ask(tmp_path, {name: "1573401696x4"}, of("Milestones"), {"30s": [(labels, 1_573_401_696_000)]})
    (milestones,) = (annotation for _, annotation in ANNOTATIONS if annotation["name"] == "Milestones")
    assert milestones["useValueForTime"] is True

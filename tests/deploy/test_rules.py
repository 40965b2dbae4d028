"""The rules of Prometheus: what they name exists, every alert is explained and tested, and promtool is content."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from deploy.prometheus import build
from streams.metrics import CATALOGUE
from tests.deploy.monitoring import (
    DEPLOY,
    PROMETHEUS,
    RECORDED,
    RUNBOOKS,
    Rule,
    alerts,
    exported_names,
    metrics_in,
    read,
    rules,
    run,
    tool,
)

SEVERITIES = {"critical", "warning", "info"}
SECTIONS = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]


def name_of(rule: Rule) -> str:
    return rule.name


def rule_tests() -> list[dict[str, Any]]:
    return [test for path in sorted((PROMETHEUS / "tests").glob("*.yml")) for test in read(path)["tests"]]


def test_the_committed_files_are_what_the_sources_and_thresholds_make() -> None:
    for folder, files in (("rules", build.rules()), ("tests", build.tests())):
        committed = {path.name: path.read_text("utf-8") for path in (PROMETHEUS / folder).glob("*.yml")}
        assert committed == files, "run: python -m deploy.prometheus.build"


def test_every_threshold_has_a_reason_and_a_use() -> None:
    table = tomllib.loads((PROMETHEUS / "thresholds.toml").read_text("utf-8"))
    sources = "".join(path.read_text("utf-8") for path in (PROMETHEUS / "source").glob("*.yml"))
    named = set(re.findall(r"\$\{(\w+)", sources)) - {"runbook_url"}
    used = {name if name in table else name.removesuffix("_seconds") for name in named}
    assert used == set(table)
    for name, entry in table.items():
        assert set(entry) == {"value", "why"}, name
        assert entry["why"].endswith("."), name


def test_the_intervals_of_the_server_are_those_of_the_rules() -> None:
    interval = build.thresholds()["scrape_interval"]
    server = read(PROMETHEUS / "prometheus.yml")["global"]
    assert server["scrape_interval"] == server["evaluation_interval"] == interval
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        for group in read(path)["groups"]:
            assert group["interval"] == interval


@pytest.mark.parametrize("rule", rules(), ids=name_of)
def test_every_metric_a_rule_names_exists(rule: Rule) -> None:
    known = exported_names() | {other.name for other in rules() if not other.is_alert}
    assert metrics_in(rule.expr) <= known


def test_recording_rules_are_named_by_level_metric_and_operations() -> None:
    names = [rule.name for rule in rules() if not rule.is_alert]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name), name
        assert "_total" not in name


@pytest.mark.parametrize("alert", alerts(), ids=name_of)
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_its_runbook_is(alert: Rule) -> None:
    assert re.fullmatch(r"(Festival|Streams|Kafka)([A-Z][a-z]+)+", alert.name)
    assert alert.labels["severity"] in SEVERITIES
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^{]+\.", alert.annotations["summary"]), "a sentence that is the same each time"
    assert alert.annotations["description"].endswith(".")
    assert alert.annotations["runbook_url"] == f"{build.RUNBOOKS}/{alert.name}.md"


@pytest.mark.parametrize("alert", alerts(), ids=name_of)
def test_no_alert_is_a_fixed_number_of_records_of_lag(alert: Rule) -> None:
    assert not re.search(r"lag_records\S*\s*>=?\s*(?!0\b)\d", alert.expr)


@pytest.mark.parametrize("alert", alerts(), ids=name_of)
def test_every_alert_has_a_runbook_that_answers_four_questions(alert: Rule) -> None:
    text = (RUNBOOKS / f"{alert.name}.md").read_text("utf-8")
    assert text.startswith(f"# {alert.name}\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
    assert "```" in diagnosis, "commands to copy"
    for mentioned in re.findall(r"`((?:festival|streams)_[a-z_]+)[`{\[]", text):
        assert mentioned in exported_names(), mentioned


def test_what_the_docs_say_of_metrics_is_true() -> None:
    known = exported_names() | {entry.name for entry in CATALOGUE}
    recorded = {rule.name for rule in rules() if not rule.is_alert}
    for path in (*RUNBOOKS.glob("*.md"), RUNBOOKS.parent / "monitoring.md", RUNBOOKS.parent / "metrics.md"):
        text = path.read_text("utf-8")
        assert set(re.findall(r"`((?:festival|streams)_[a-z_]+)[`{]", text)) <= known, path
        assert set(RECORDED.findall(text)) <= recorded, path
        for alert in re.findall(r"\b(?:Festival|Streams|Kafka)(?:[A-Z][a-z]+)+\b", text):
            assert alert in {rule.name for rule in alerts()}, (path, alert)


def test_every_runbook_has_an_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert.name for alert in alerts()}


def test_the_index_of_runbooks_is_what_the_rules_say() -> None:
    committed = (RUNBOOKS / "README.md").read_text("utf-8")
    assert committed == build.index(), "run: python -m deploy.prometheus.build"


@pytest.mark.parametrize("alert", alerts(), ids=name_of)
def test_every_alert_is_tested_silent_then_firing_then_resolved(alert: Rule) -> None:
    histories = []
    for test in rule_tests():
        checks = [c for c in test.get("alert_rule_test", []) if c["alertname"] == alert.name]
        checks.sort(key=lambda check: build.milliseconds(str(check["eval_time"])))
        histories.append("".join("!" if check.get("exp_alerts") else "." for check in checks))
    assert any(re.search(r"\.!+\.", history) for history in histories), histories


def test_every_recording_rule_is_tested() -> None:
    tested = {
        name
        for test in rule_tests()
        for check in test.get("promql_expr_test", [])
        if check.get("exp_samples")
        for name in metrics_in(check["expr"])
    }
    assert {rule.name for rule in rules() if not rule.is_alert} <= tested


def test_promtool_finds_nothing_wrong() -> None:
    promtool = tool("promtool")
    run(promtool, "check", "config", str(PROMETHEUS / "prometheus.yml"))
    run(promtool, "check", "rules", *map(str, (PROMETHEUS / "rules").glob("*.yml")))


@pytest.mark.parametrize("name", sorted(path.name for path in (PROMETHEUS / "tests").glob("*.yml")))
def test_the_rule_tests_pass(name: str) -> None:
    run(tool("promtool"), "test", "rules", name, cwd=PROMETHEUS / "tests")


def test_faster_rules_differ_in_nothing_but_durations() -> None:
    slow, fast = build.rules(), build.rules(5)
    for name, text in slow.items():
        for a, b in zip(text.splitlines(), fast[name].splitlines(), strict=True):
            digits = r"[\d.]+(?:ms|[dhms])?"
            assert re.sub(digits, "", a) == re.sub(digits, "", b)
    assert "[2400ms]" not in fast["totals.yml"]
    assert "[12000ms]" in fast["totals.yml"]
    assert "for: 6000ms" in fast["streams_alerts.yml"]


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("5s", 5_000), ("2h24m", 8_640_000), ("250ms", 250), ("1d", 86_400_000)]
)
def test_durations_are_read_as_prometheus_reads_them(text: str, milliseconds: int) -> None:
    assert build.milliseconds(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        build.milliseconds(text)


def test_nothing_in_deploy_is_called_by_a_name_that_alerts_do_not_have() -> None:
    known = {alert.name for alert in alerts()}
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text("utf-8")
    for pattern in re.findall(r'alertname=~?"([^"]+)"', text):
        for name in pattern.split("|"):
            assert any(re.fullmatch(name, alert) for alert in known), name


UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


def spoken(value: str | float, *, is_share: bool) -> set[str]:
    """Return how a person may say a threshold."""
    if is_share:
        return {f"{float(value) * 100:g} %"}
    if isinstance(value, str):
        number, unit = int(value[:-1]), UNITS[value[-1]]
        if number == 1:
            return {f"a {unit}", f"an {unit}", f"last {unit}"}
        return {f"{said} {unit}s" for said in spoken(number, is_share=False)}
    return {f"{value:g}", *(NUMBERS[n] for n in range(len(NUMBERS)) if n == value)}


@pytest.mark.parametrize("alert", alerts(), ids=name_of)
def test_a_runbook_says_the_thresholds_that_its_alert_has(alert: Rule) -> None:
    values = build.thresholds()
    source = (build.SOURCE / alert.file).read_text("utf-8")
    rule = source.partition(f"- alert: {alert.name}\n")[2].partition("labels:")[0]
    rule = re.sub(r"keep_firing_for: .*", "", rule)  # how long it stays is said where it matters
    meaning = (RUNBOOKS / f"{alert.name}.md").read_text("utf-8").partition("## Impact")[0].lower()
    for name in re.findall(r"\$\{(\w+?)(?::percent)?\}", rule):
        key = name if name in values else name.removesuffix("_seconds")
        is_share = key in {"freshness_budget", "rejected_ratio", "bridge_ignored_ratio"}
        words = spoken(values[key], is_share=is_share)
        assert any(word in meaning for word in words), (key, words)

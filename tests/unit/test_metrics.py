"""The catalogue, and the page that a Prometheus server reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from streams import metrics, metrics_page
from streams.board.answers.gauges import bounded, major_units
from streams.board.view.committed_view import CommittedView
from streams.domain.pages import Cursor
from streams.domain.rollups import LABEL_LIMIT, OTHER
from streams.engine.judgement import Held, Judgement, OpenTransaction
from streams.engine.memory import CellLedger
from streams.engine.status import HeldReason, WorkerStatus
from streams.festivals import load_festivals
from streams.web.exposition import FestivalCollector, render
from streams.web.shown import Shown
from tests.unit.domain.samples import IDENTITY
from tests.unit.looks import judging

if TYPE_CHECKING:
    from collections.abc import Iterable

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def busy_view() -> CommittedView:
    """Return a view with orders at two platforms and payments by one method."""
    ledger = CellLedger(2)
    for partition, platform in ((0, "tmall"), (1, "tmall"), (1, 'odd "name"\n\\')):
        cells = {"orders": 1, "gross_minor": 10_000, "coupons_minor": 700, "credits_minor": 300}
        ledger.add(partition, DAY, "orders_by_second", ("CNY",), DAY.start_ms + 95_500, **cells)
        ledger.add(partition, DAY, "orders_by_platform", (platform, "CNY"), DAY.start_ms + 95_500, **cells)
        ledger.add(partition, DAY, "orders_by_market", ("ES", "CNY"), DAY.start_ms + 95_500, **cells)
    ledger.add(0, DAY, "payments_by_method", ("card", "USD"), DAY.start_ms, captured=2, failed=1)
    ledger.add(0, DAY, "payments_by_second", ("USD",), DAY.start_ms, captured=2, paid_minor=5, refunded_minor=1)
    for partition in (0, 1):
        ledger.commit(
            partition,
            {"orders": 7},
            {"orders": 1_795_354_069_153 - partition},
            {"orders": DAY.start_ms + 100_000 + partition},
        )
    view = CommittedView()
    view.feed(ledger.drain())
    return view


def busy_status() -> WorkerStatus:
    """Return the status of a worker with one partition counted and one held."""
    status = WorkerStatus(("orders", "payments"))
    status.rebalance_started(0)
    status.assigned([0, 1], 0)
    status.consuming(0)
    status.held(1, HeldReason.LOG_DELETED, "gone")
    cursor = Cursor(
        positions={"orders": 12},
        started={"orders": 0},
        stream_times_ms={},
        max_event_times_ms={},
        outcomes={"orders": {"counted": 9, "rejected": 2, "late": 1}},
        rejected={"orders": {"not_json": 2}},
        sequence=1,
        identity=IDENTITY,
        epochs={},
    )
    status.restored(0, None, 0.25)
    status.observe_checkpoint(0, cursor, 0.02)
    status.observe_delay(0.3, 9)
    status.observe_batch(11)
    status.end_offset("orders", 0, 20)
    return status


def samples(page: bytes) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for shown in parse_text(page.decode())
        for sample in shown.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_a_worker_shows_what_it_waits_for_and_what_holds_it_back() -> None:
    status = busy_status()
    status.waits(0, "not_allowed", "User:ann may not Write", 1)
    status.throttled({"produce": 1.5, "fetch": 0.0})
    page, _ = render(FestivalCollector(Shown(FESTIVALS, busy_view().snapshot).scenes, status), "")
    found = samples(page)
    assert value(found, "streams_partition_waiting", partition="0", reason="not_allowed") == 1
    assert value(found, "streams_partition_waiting", partition="0", reason="broker_away") == 0
    assert value(found, "streams_partition_waiting", partition="1", reason="not_allowed") == 0
    assert value(found, "streams_throttle_seconds_total", request="produce") == 1.5


def test_a_worker_shows_ledger_and_status_as_the_contract_names_them() -> None:
    opened = OpenTransaction("orders", 0, 12, 7)
    judgement = Judgement((Held(1, HeldReason.LOG_DELETED, "orders", 7, "gone"),), (), 2, 8, (opened,))
    collector = FestivalCollector(Shown(FESTIVALS, busy_view().snapshot, lambda _: judgement).scenes, busy_status())
    page, content_type = render(collector, "")
    found = samples(page)
    day = {"festival": DAY.id}
    assert content_type.startswith("text/plain; version=0.0.4")
    assert value(found, "festival_orders", **day) == 3
    assert value(found, "festival_cancelled_orders", **day) == 0
    assert value(found, "festival_gross_minor", **day, currency="CNY") == 30_000
    assert value(found, "festival_net_minor", **day, currency="CNY") == 27_000
    assert value(found, "festival_coupons_minor", **day, currency="CNY") == 2_100
    assert value(found, "festival_paid_minor", **day, currency="USD") == 5
    assert value(found, "festival_refunded_minor", **day, currency="USD") == 1
    assert value(found, "festival_home_gross_minor", **day) == 30_000
    assert value(found, "festival_payments", **day, method="card", outcome="failed") == 1
    assert value(found, "festival_platform_orders", **day, platform="tmall") == 2
    assert value(found, "festival_platform_orders", **day, platform='odd "name"\n\\') == 1
    assert value(found, "festival_market_orders", **day, market="ES") == 3
    assert value(found, "festival_peak_orders_per_second", **day) == 3
    assert value(found, "festival_peak_timestamp_seconds", **day) == DAY.start_ms / 1000 + 95
    assert value(found, "festival_start_timestamp_seconds", **day) == 1573401600
    assert value(found, "festival_end_timestamp_seconds", **day) == 1573488000
    assert value(found, "festival_watermark_timestamp_seconds", **day) == DAY.start_ms / 1000 + 95
    assert value(found, "festival_committed_timestamp_seconds") == 1795354069.153
    assert value(found, "festival_complete", **day) == 0
    assert value(found, "festival_held_partitions", **day) == 1
    assert value(found, "festival_open_transactions") == 1
    assert value(found, "festival_implausible", **day, check="average_order_value") == 1  # 100 yuan each
    assert value(found, "streams_events_total", topic="orders", outcome="counted") == 9
    assert value(found, "streams_events_total", topic="payments", outcome="counted") == 0
    assert value(found, "streams_rejected_total", topic="orders", reason="not_json") == 2
    assert value(found, "streams_rejected_total", topic="payments", reason="future_event") == 0
    assert value(found, "streams_late_events_total", topic="orders") == 1
    assert value(found, "streams_position", topic="orders", partition="0") == 12
    assert value(found, "streams_lag_records", topic="orders", partition="0") == 8
    assert value(found, "streams_partition_owner", partition="1") == 1
    assert value(found, "streams_partition_held", partition="1", reason="log_deleted") == 1
    assert value(found, "streams_partition_held", partition="0", reason="log_deleted") == 0
    assert value(found, "streams_event_delay_seconds_bucket", le="0.25") == 0
    assert value(found, "streams_event_delay_seconds_bucket", le="0.5") == 9
    assert value(found, "streams_event_delay_seconds_count") == 9
    assert value(found, "streams_batch_records_sum") == 11
    assert value(found, "streams_checkpoint_seconds_bucket", le="+Inf") == 1
    assert value(found, "streams_checkpoints_total") == 1
    assert value(found, "streams_checkpoint_failures_total") == 0
    assert value(found, "streams_restore_seconds") == 0.25
    assert value(found, "streams_rebalances_total") == 1
    assert value(found, "streams_collect_seconds") >= 0


def test_nothing_is_shown_that_the_catalogue_does_not_name() -> None:
    for status in (None, busy_status()):
        collector = FestivalCollector(Shown(FESTIVALS, busy_view().snapshot).scenes, status)
        expected = metrics.CATALOGUE if status else (*metrics.LEDGER, *metrics.PROCESS)
        names = {entry.name.removesuffix("_total") for entry in expected}
        assert {shown.name for shown in collector.collect()} == names


def test_before_a_committed_state_was_read_there_is_no_series_of_a_festival() -> None:
    view, ledger = CommittedView(), CellLedger(2)
    collector = FestivalCollector(Shown(FESTIVALS, view.snapshot).scenes)
    assert b"festival_" not in render(collector, "")[0]
    view.feed(ledger.drain())  # an empty ledger
    assert b"festival_" not in render(collector, "")[0]


def test_of_a_festival_that_the_ledger_does_not_count_there_is_its_interval_and_that_it_is_not_complete() -> None:
    ledger, view = CellLedger(1), CommittedView()
    ledger.count_only(DAY)
    ledger.commit(0, {"orders": 1})
    view.feed(ledger.drain())
    judgement = judging(view.snapshot, lambda: {"orders": {0: 1}})
    found = samples(render(FestivalCollector(Shown(FESTIVALS, view.snapshot, lambda _: judgement({})).scenes), "")[0])
    other = next(festival for festival in FESTIVALS.values() if festival.id != DAY.id)
    assert {name for name, labels in found if ("festival", other.id) in labels} == {
        "festival_complete",
        "festival_start_timestamp_seconds",
        "festival_end_timestamp_seconds",
    }
    assert value(found, "festival_complete", festival=other.id) == 0
    assert value(found, "festival_complete", festival=DAY.id) == 1


def test_known_series_are_there_at_zero_before_anything_was_counted() -> None:
    ledger, view = CellLedger(2), CommittedView()
    ledger.commit(0)
    view.feed(ledger.drain())
    found = samples(render(FestivalCollector(Shown(FESTIVALS, view.snapshot).scenes), "")[0])
    for festival in FESTIVALS.values():
        assert value(found, "festival_orders", festival=festival.id) == 0
        assert value(found, "festival_gross_minor", festival=festival.id, currency=festival.home_currency) == 0
        assert value(found, "festival_complete", festival=festival.id) == 0


def test_openmetrics_is_given_to_those_who_ask() -> None:
    page, content_type = render(
        FestivalCollector(Shown(FESTIVALS, busy_view().snapshot).scenes, busy_status()), OPENMETRICS
    )
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    names = {shown.name for shown in parse_openmetrics(page.decode())}  # type: ignore[no-untyped-call]
    assert {"festival_orders", "streams_events", "streams_event_delay_seconds"} <= names
    assert b"_created" not in page


def test_a_metric_that_fails_is_left_out_and_counted_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> Iterable[tuple[tuple[str, ...], float]]:
        raise RuntimeError("planted")

    def twice(_: object) -> Iterable[tuple[tuple[str, ...], float]]:
        return iter([((DAY.id,), 1), ((DAY.id,), 2)])

    def no_number(_: object) -> Iterable[tuple[tuple[str, ...], object]]:
        return iter([((DAY.id,), "many")])

    planted = {"festival_orders": fail, "festival_cancelled_orders": twice, "festival_home_gross_minor": no_number}
    entries = [
        metrics.Entry(e.name, e.labels, e.help, e.kind, ledger=planted.get(e.name, e.ledger))  # type: ignore[arg-type]
        for e in metrics.LEDGER
    ]
    monkeypatch.setattr("streams.web.exposition.LEDGER", tuple(entries))
    collector = FestivalCollector(Shown(FESTIVALS, busy_view().snapshot).scenes)
    render(collector, "")
    found = samples(render(collector, OPENMETRICS)[0].replace(b"# EOF\n", b""))
    shown = {name for name, _ in found}
    assert not shown & set(planted)
    assert value(found, "festival_gross_minor", festival=DAY.id, currency="CNY") == 30_000
    assert value(found, "streams_collect_failures_total", metric="festival_orders") == 2
    assert value(found, "streams_collect_failures_total", metric="festival_cancelled_orders") == 2
    assert [record.message for record in caplog.records] == ["metric left out"] * 3


def test_a_label_has_at_most_200_values_and_loses_nothing() -> None:
    ledger = CellLedger(2)
    for i in range(300):
        ledger.add(i % 2, DAY, "orders_by_platform", (f"p{i:03}", "CNY"), DAY.start_ms, orders=1 + i)
    ledger.commit(0)
    view = CommittedView()
    view.feed(ledger.drain())
    found = samples(render(FestivalCollector(Shown({DAY.id: DAY}, view.snapshot).scenes), "")[0])
    shown = {dict(labels)["platform"]: v for (name, labels), v in found.items() if name == "festival_platform_orders"}
    assert len(shown) == LABEL_LIMIT
    assert sum(shown.values()) == sum(range(1, 301))
    assert shown["p299"] == 300
    assert "p000" not in shown


def test_what_was_already_other_stays_other() -> None:
    values = {OTHER: 10**9, **{f"v{i}": i for i in range(250)}}
    kept = bounded(values, values)
    assert len(kept) == LABEL_LIMIT
    assert kept[OTHER] == 10**9 + sum(range(51))
    assert bounded({"a": 1, OTHER: 2}, {}) == {"a": 1, OTHER: 2}


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(100, "CNY", "1"), (150, "CNY", "1.5"), (101, "CNY", "1.01"), (7, "JPY", "7"), (1_010, "KWD", "1.01")],
)
def test_milestones_are_labelled_in_major_units(minor: int, currency: str, text: str) -> None:
    assert major_units(minor, currency) == text


def test_names_labels_and_help_follow_the_rules_of_prometheus() -> None:
    names = [entry.name for entry in metrics.CATALOGUE]
    assert len(set(names)) == len(names)
    for entry in metrics.CATALOGUE:
        assert re.fullmatch(r"(festival|streams)_[a-z_]+", entry.name)
        assert entry.name.endswith("_total") == (entry.kind is metrics.Kind.COUNTER)
        assert entry.help.endswith(".")
        assert not {"le", "quantile", "instance", "job", "type", "region"} & set(entry.labels)


def test_the_page_in_docs_is_the_one_the_catalogue_writes() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text("utf-8") == metrics_page.markdown(), "run: python -m streams.metrics_page > docs/metrics.md"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_complain_about() -> None:
    page, _ = render(FestivalCollector(Shown(FESTIVALS, busy_view().snapshot).scenes, busy_status()), "")
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)  # noqa: S607
    assert checked.returncode == 0, checked.stderr.decode()

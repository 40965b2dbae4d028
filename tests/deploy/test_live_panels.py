"""Every panel's query, asked of a real Prometheus with the files of `deploy/` after a replay, returns data."""

from __future__ import annotations

import asyncio
import json

import pytest
from confluent_kafka import Producer

from streams.engine.clock import SystemClock
from streams.handover.incidents import GAP_MS
from streams.handover.prometheus import read_incidents
from tests.deploy.stage import REPLAYED, Stage
from tests.deploy.test_dashboards import DOCUMENTS, TARGETS, VARIABLES

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_800)]

ORDERS = 2_000
CAUGHT_UP_SECONDS = 60


def send_what_follows(broker: str) -> None:
    """Send a parcel through its stages, and a recycled box, of the day that is replayed."""
    day_ms = 86_400_000
    ordered_ms = 1_573_401_600_000 + 10 * 3_600_000
    producer = Producer({"bootstrap.servers": broker, "log_level": 0})
    for day, stage in enumerate(("shipped", "cleared", "delivered"), 1):
        parcel = {
            "type": f"parcel_{stage}",
            "event_id": f"p{day}",
            "ts": ordered_ms + day * day_ms,
            "ordered_ts": ordered_ms,
            "order_id": "o1",
            "parcel_id": "p1",
            "carrier": "cainiao",
            "origin": "CN",
            "market": "ES",
        }
        producer.produce("parcels", json.dumps(parcel))
    box = {
        "type": "box_recycled",
        "event_id": "b1",
        "ts": ordered_ms,
        "station": "s1",
        "operator": "cainiao",
        "city": "Hangzhou",
        "district": "Xihu",
        "boxes": 3,
        "points": 111,
    }
    producer.produce("recycling", json.dumps(box))
    assert producer.flush(30) == 0


@pytest.fixture(scope="module")
def replayed(bridged: Stage) -> Stage:
    """Return the stage after a replay of the 2019 day, audited, counted and scraped; a bridge is at work."""
    stage = bridged
    send_what_follows(stage.kafka.address)
    stage.festival("replay", "--orders", str(ORDERS), "--speed", "max")
    stage.festival("audit")
    stage.until(
        lambda: any(
            float(sample["value"][1]) >= ORDERS
            for sample in stage.query(f'festival:orders:max{{festival="{REPLAYED}"}}')
        ),
        "the replay is counted and scraped",
        CAUGHT_UP_SECONDS,
    )
    return stage


@pytest.mark.parametrize(
    ("panel", "expr"),
    [
        pytest.param(panel["title"], target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
        for name, panel, target in TARGETS
    ],
)
def test_every_panel_returns_data_after_a_replay(replayed: Stage, panel: str, expr: str) -> None:
    for variable, value in {**VARIABLES, "$festival": REPLAYED}.items():
        expr = expr.replace(variable, value)

    def has_data() -> bool:
        return any(sample["value"][1] != "NaN" for sample in replayed.query(expr))

    replayed.until(has_data, f"{panel}: {expr} returns data", 20)


def test_the_audit_of_this_machine_is_shown_by_its_processes(replayed: Stage) -> None:
    replayed.until(lambda: bool(replayed.query("streams_audit_difference")), "the audit is scraped", 20)
    assert replayed.query("streams_audit_difference != 0") == []


def test_a_report_reads_its_incidents_from_this_prometheus(replayed: Stage) -> None:
    now_ms = SystemClock().now_ms()
    incidents = asyncio.run(read_incidents(replayed.url("prometheus").rstrip("/"), now_ms - 3_600_000, now_ms))
    assert incidents.has_checkpoints
    assert all(gap.to_ms - gap.from_ms > GAP_MS for gap in incidents.gaps)


def test_milestones_are_drawn_at_times_of_the_festival(replayed: Stage) -> None:
    (milestones,) = (
        annotation["expr"]
        for annotation in DOCUMENTS["festival-live"]["annotations"]["list"]
        if annotation["name"] == "Milestones"
    )
    start_ms = 1_573_401_600_000
    times = [float(one["value"][1]) for one in replayed.query(milestones.replace("$festival", REPLAYED))]
    assert times
    assert all(start_ms < time_ms <= start_ms + 86_400_000 for time_ms in times)

"""A rehearsal's festival, what is a problem of one, and what Prometheus and the workers are asked."""

from __future__ import annotations

import json
import threading
import tomllib
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from streams.domain.festivals import parse_festival
from streams.errors import UnreachableError, UsageError
from streams.festivals import load_festivals
from streams.night import witnesses
from streams.night.rehearsal import kept_or_not, rehearsed, tell_kept
from streams.night.report import FRESH_SECONDS, problems, text
from streams.replay.scale import to_toml
from streams.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
START_MS = 1_793_000_000_000
GOOD = {
    "audit": {"exact": True},
    "orders": 10,
    "counted_orders": 10,
    "records": 21,
    "slip_ms": {"p99": 20, "max": 90},
    "delay_seconds": {"p50": 0.5, "p99": 1.0},
    "alerts": [{"name": "StreamsLagGrowing", "severity": "warning", "festival": None}],
    "is_scraped": True,
}


@pytest.mark.parametrize("festival_id", load_festivals())
def test_the_rehearsed_festival_begins_now_and_lasts_as_long(festival_id: str) -> None:
    festival = load_festivals()[festival_id]
    moved = rehearsed(festival, START_MS, 1_000)
    read = parse_festival(to_toml(moved), "rehearsal.toml")
    assert (read.id, read.start_ms) == (f"{festival_id}-rehearsal", START_MS)
    assert read.end_ms - read.start_ms == festival.end_ms - festival.start_ms
    assert read.facts == festival.facts
    for rate in festival.rates:
        assert read.rate_of(rate.currency) == festival.rate_of(rate.currency)


def test_an_hour_that_a_clock_shows_twice_is_rehearsed_with_its_offset() -> None:
    festival = replace(load_festivals()["singles-day-2019"], timezone="Europe/Berlin")
    second_time_2_30_ms = 1_792_891_800_000  # 25 October 2026, 01:30 UTC
    moved = rehearsed(festival, second_time_2_30_ms, 1_000)
    assert "starts = 2026-10-25T02:30:00+01:00\n" in to_toml(moved)
    assert parse_festival(to_toml(moved), "").start_ms == second_time_2_30_ms


def test_a_good_rehearsal_has_no_problems() -> None:
    assert problems(GOOD) == []
    assert problems(GOOD | {"alerts": None, "is_scraped": None}) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"audit": {"exact": False}}, "audit counted something else"),
        ({"counted_orders": 9}, "10 orders were sent and 9 counted"),
        ({"slip_ms": {"p99": 1_500, "max": 9_000}}, "sent late (99 % within 1,500 ms)"),
        ({"delay_seconds": {"p50": 1.0, "p99": 30.0}}, "more workers"),
        ({"delay_seconds": {"p50": None, "p99": None}}, "more workers"),
        ({"alerts": [{"name": "FestivalNoOrders", "severity": "critical"}]}, "alert FestivalNoOrders fired"),
        ({"is_scraped": False}, "targets/workers.yml"),
        ({"records": 0, "delay_seconds": {"p50": None, "p99": None}}, "nothing was sent"),
    ],
)
def test_what_the_night_must_not_look_like_is_a_problem(change: dict[str, Any], told: str) -> None:
    (problem,) = problems(GOOD | change)
    assert told in problem


def test_a_rehearsal_that_is_kept_can_be_asked_and_deleted(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(broker="kafka:9092", data_dir=tmp_path)
    with kept_or_not(settings, "rehearsal.1.", keep=True) as folder:
        assert folder.parent == tmp_path / "rehearsals"
    assert folder.is_dir(), "without the festival's file nobody could count its topics again"
    tell_kept(replace(settings, prefix="rehearsal.1.", festivals_dir=folder), said.append)
    assert f"kept: festival audit --broker kafka:9092 --prefix rehearsal.1. --festivals {folder}" in said
    assert "delete it with: festival rehearse --broker kafka:9092 --remove rehearsal.1." in said
    tell_kept(replace(settings, prefix="eu-rehearsal.1.", festivals_dir=folder), said.append)
    assert said[-1].endswith("--broker kafka:9092 --prefix eu- --remove eu-rehearsal.1.")
    with kept_or_not(settings, "rehearsal.2.", keep=False) as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_what_counts_as_fresh_is_what_the_alerts_say() -> None:
    thresholds = tomllib.loads((ROOT / "deploy" / "prometheus" / "thresholds.toml").read_text("utf-8"))
    assert thresholds["fresh_within_seconds"]["value"] == FRESH_SECONDS


def test_the_report_reads_as_a_person_would_say_it() -> None:
    report = GOOD | {
        "festival": "next",
        "seconds": 60.2,
        "workers": 1,
        "records_per_second": 9_038,
        "peak_orders_per_second": 5_073,
        "lag_records": {"max": 44_455},
        "caught_up_after_ms": 1_200,
        "audit": {"exact": True, "cells": 98_604},
        "problems": ["alert KafkaUnreachable fired"],
    }
    assert text(report).splitlines() == [
        "rehearsed  next for 60 s, counted by 1 worker here",
        "sent       10 orders, 21 records: 9,038/s",
        "peak       5,073 orders/s",
        "slip       99 % within 20 ms, at most 90 ms",
        "delay      half within 0.5 s, 99 % within 1 s",
        "lag        at most 44,455 records, gone 1,200 ms after",
        "audit      exact, 98,604 cells",
        "alerts     StreamsLagGrowing",
        "PROBLEM    alert KafkaUnreachable fired",
    ]


def page_of(*counts: tuple[str, int]) -> str:
    return "# TYPE streams_event_delay_seconds histogram\n" + "".join(
        f'streams_event_delay_seconds_bucket{{le="{bound}"}} {count}\n' for bound, count in counts
    )


def test_delays_are_those_of_all_workers_together() -> None:
    first = page_of(("0.5", 60), ("1.0", 99), ("5.0", 100), ("+Inf", 100))
    second = page_of(("0.5", 0), ("1.0", 98), ("5.0", 100), ("+Inf", 100))
    assert witnesses.delays([first]) == witnesses.Delays(100, 0.5, 1.0)
    assert witnesses.delays([first, second]) == witnesses.Delays(200, 1.0, 5.0)
    assert witnesses.delays([page_of(("0.5", 1), ("+Inf", 9))]) == witnesses.Delays(9, None, None)
    assert witnesses.delays([]) == witnesses.Delays(0, None, None)


@pytest.fixture
def prometheus() -> Iterator[tuple[str, list[str]]]:
    """Serve what a Prometheus would, and note the queries."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (query,) = parse_qs(urlsplit(self.path).query)["query"]
            asked.append(query)
            rows = [{"alertname": "B", "severity": "critical"}, {"alertname": "A", "festival": "f"}]
            metrics = rows * 2 if "ALERTS" in query else []
            body = {"data": {"result": [{"metric": {**row, "instance": str(i)}} for i, row in enumerate(metrics)]}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode() if "nonsense" not in query else b"[]")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    server.shutdown()
    server.server_close()


def test_alerts_are_those_that_fired_meanwhile_each_once(prometheus: tuple[str, list[str]]) -> None:
    url, asked = prometheus
    looker = witnesses.Prometheus(url)
    assert looker.fired(90) == [witnesses.Alert("A", "", "f"), witnesses.Alert("B", "critical", None)]
    assert not looker.sees("x-rehearsal")
    assert asked == [
        'max_over_time(ALERTS{alertstate="firing"}[90s])',
        'festival_orders{festival="x-rehearsal"}',
    ]
    with pytest.raises(UnreachableError, match="not as a Prometheus"):
        looker.query("nonsense")


def test_a_prometheus_that_is_none_is_told_as_such() -> None:
    with pytest.raises(UsageError, match="no address"):
        witnesses.Prometheus("127.0.0.1:9090")
    with pytest.raises(UnreachableError, match="does not answer"):
        witnesses.Prometheus("http://127.0.0.1:1").query("up")

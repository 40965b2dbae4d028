"""What the report of a rehearsal says: the problems that decide its exit status, and the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SLIP_P99_MS = 1_000
"""Sent later than this, the load was not the one asked for."""
FRESH_SECONDS = 10.0
"""The freshness that deploy/prometheus/thresholds.toml promises (`fresh_within_seconds`)."""


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return what the night must not look like, each with what to look at."""
    return list(_problems(report))


def _problems(report: Mapping[str, Any]) -> Iterator[str]:
    if not report["audit"]["exact"]:
        yield "the audit counted something else: run it again with --keep, and `festival audit` on its topics"
    if report["counted_orders"] != report["orders"]:
        yield f"{report['orders']:,} orders were sent and {report['counted_orders']:,} counted"
    if not report["records"]:
        yield "nothing was sent in these seconds: more --orders, or more --seconds"
    if (slip := report["slip_ms"]["p99"]) > SLIP_P99_MS:
        yield f"the load was sent late (99 % within {slip:,} ms): more --processes, or another machine to send"
    delay = report["delay_seconds"]["p99"]
    if report["records"] and (delay is None or delay > FRESH_SECONDS):
        yield f"1 % of the records took longer than {FRESH_SECONDS:.0f} s to be counted: more workers"
    for alert in report["alerts"] or ():
        if alert["severity"] == "critical":
            yield f"alert {alert['name']} fired"
    if report["is_scraped"] is False:
        yield "Prometheus does not scrape the rehearsal's workers: put their addresses into targets/workers.yml"


def text(report: Mapping[str, Any]) -> str:
    """Return the report for people."""
    delay, slip, alerts = report["delay_seconds"], report["slip_ms"], report["alerts"]
    workers = f"{report['workers']} worker{'s' if report['workers'] != 1 else ''}"
    rows = [
        ("rehearsed", f"{report['festival']} for {report['seconds']:.0f} s, counted by {workers} here"),
        ("sent", f"{report['orders']:,} orders, {report['records']:,} records: {report['records_per_second']:,}/s"),
        ("peak", f"{report['peak_orders_per_second']:,} orders/s"),
        ("slip", f"99 % within {slip['p99']:,} ms, at most {slip['max']:,} ms"),
        ("delay", f"half within {_bound(delay['p50'])}, 99 % within {_bound(delay['p99'])}"),
        ("lag", f"at most {report['lag_records']['max']:,} records, gone {report['caught_up_after_ms']:,} ms after"),
        ("audit", f"{'exact' if report['audit']['exact'] else 'NOT exact'}, {report['audit']['cells']:,} cells"),
    ]
    if alerts is not None:
        rows.append(("alerts", ", ".join(sorted({alert["name"] for alert in alerts})) or "none fired"))
    rows += [("PROBLEM", problem) for problem in report["problems"]]
    return "\n".join(f"{name:<9}  {value}" for name, value in rows)


def _bound(seconds: float | None) -> str:
    return "more than the histogram tells" if seconds is None else f"{seconds:g} s"

"""The dashboard *Festival live*: what a hall looks at, on one wall screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deploy.grafana.panels import (
    AMBER,
    RED,
    Panel,
    Query,
    bars_panel,
    lines_panel,
    placed,
    stat_panel,
    table_panel,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

TITLE = "Festival live"
UID = "festival-live"
_NOW = 'festival="$festival"'
_STALE_LIMITS = ((10.0, AMBER), (60.0, RED))


def panels() -> list[Builder[Any]]:
    """Return all panels, placed."""
    rows = [_numbers(), _against_last_year(), _money_and_parts(), _what_follows()]
    return placed(rows)


def _numbers() -> list[tuple[Panel, Any]]:
    gmv = Panel(
        "GMV",
        "Gross merchandise value in the festival's home currency, committed. A lower bound where a rate is missing.",
        "short",
        (Query(f"festival:home_gross_minor:max{{{_NOW}}} / $minor_units"),),
        ("FestivalTotalImplausible",),
        6,
        5,
        decimals=2,
    )
    orders = Panel(
        "Orders",
        "Orders placed, committed.",
        "locale",
        (Query(f"festival:orders:max{{{_NOW}}}"),),
        ("FestivalNoOrders",),
        4,
        5,
    )
    pace = Panel(
        "Orders per second",
        "Over the last minute, as they were counted.",
        "ops",
        (Query(f"festival:orders:rate1m{{{_NOW}}}"),),
        ("FestivalNoOrders",),
        4,
        5,
        decimals=1,
    )
    growth = Panel(
        "Against last year",
        "GMV against the last edition's at the same local time; empty where its curve is not known.",
        "percentunit",
        (
            Query(
                f"festival:home_gross_minor:max{{{_NOW}}} / (festival:previous_gross_minor:max{{{_NOW}}} > 0) - 1",
            ),
        ),
        ("FestivalTotalImplausible",),
        4,
        5,
        decimals=1,
    )
    age = Panel(
        "Newest order",
        "Age of the newest committed record: what you see is as old as this.",
        "s",
        (Query("cluster:committed_age_seconds:min"),),
        ("FestivalFreshnessBurnsFast", "FestivalTotalStalled"),
        3,
        5,
        limits=_STALE_LIMITS,
        decimals=1,
    )
    complete = Panel(
        "Complete",
        "Whether every partition is in the totals. If not, all numbers here are lower bounds.",
        "none",
        (Query("1 - cluster:complete:min"),),
        ("FestivalTotalIncomplete", "StreamsPartitionHeld"),
        3,
        5,
        limits=((1.0, RED),),
        words={"0": "complete", "1": "INCOMPLETE"},
    )
    return [(panel, stat_panel(panel)) for panel in (gmv, orders, pace, growth, age, complete)]


def _against_last_year() -> list[tuple[Panel, Any]]:
    curves = Panel(
        "GMV, last year at this time, and what to expect",
        "In the home currency. The forecast is of the final total, with its interval.",
        "short",
        (
            Query(f"festival:home_gross_minor:max{{{_NOW}}} / $minor_units", "now"),
            Query(f"festival:previous_gross_minor:max{{{_NOW}}} / $minor_units", "last year"),
            Query(f"festival_bound:forecast_gross_minor:max{{{_NOW}}} / $minor_units", "forecast, {{bound}}"),
        ),
        ("FestivalTotalImplausible",),
        10,
        8,
    )
    orders = Panel(
        "Orders per second and per minute",
        "The total's pace over the last minute, and its busiest second so far.",
        "short",
        (
            Query(f"festival:orders:rate1m{{{_NOW}}}", "per second"),
            Query(f"festival:orders:delta1m{{{_NOW}}}", "per minute"),
            Query(f"festival:peak_orders_per_second:max{{{_NOW}}}", "busiest second"),
        ),
        ("FestivalNoOrders",),
        8,
        8,
    )
    milestones = Panel(
        "Milestones",
        "When GMV passed each milestone (major units), in event time; those still ahead are not listed.",
        "dateTimeAsIso",
        (Query(f"festival_milestone:milestone_timestamp_seconds:min{{{_NOW}}} * 1000"),),
        ("FestivalTotalStalled",),
        6,
        8,
    )
    hidden = ("Time", "__name__", "festival")
    names = {"milestone": "Milestone", "Value": "Passed at"}
    return [
        (curves, lines_panel(curves)),
        (orders, lines_panel(orders)),
        (milestones, table_panel(milestones, hidden, names, {"Passed at": "dateTimeAsIso"})),
    ]


def _money_and_parts() -> list[tuple[Panel, Any]]:
    platforms = Panel(
        "Platforms",
        "Orders by platform, the ten largest.",
        "short",
        (Query(f"topk(10, festival_platform:orders:max{{{_NOW}}})", "{{platform}}"),),
        ("FestivalNoOrders",),
        6,
        8,
    )
    markets = Panel(
        "Markets",
        "Orders by the market they ship to, the ten largest.",
        "short",
        (Query(f"topk(10, festival_market:orders:max{{{_NOW}}})", "{{market}}"),),
        ("FestivalNoOrders",),
        6,
        8,
    )
    payments = Panel(
        "Payments by method",
        "Captured, failed and refunded payments of each method.",
        "short",
        (Query(f"festival_method_outcome:payments:max{{{_NOW}}}", "{{method}} {{outcome}}"),),
        ("FestivalRejectedShareHigh",),
        6,
        8,
    )
    money = Panel(
        "Money by currency",
        "Gross, net of coupons and credits, paid and refunded, in minor units of each currency: nothing is converted.",
        "short",
        tuple(
            Query(f"festival_currency:{measure}_minor:max{{{_NOW}}}", f"{measure} {{{{currency}}}}")
            for measure in ("gross", "net", "coupons", "paid", "refunded")
        ),
        ("FestivalAuditDifference",),
        6,
        8,
    )
    return [(panel, bars_panel(panel)) for panel in (platforms, markets, payments, money)]


def _what_follows() -> list[tuple[Panel, Any]]:
    parcels = Panel(
        "Parcels",
        "Shipped, cleared by customs, delivered; each counts for the festival of its order.",
        "short",
        (Query(f"festival_stage:parcels:max{{{_NOW}}}", "{{stage}}"),),
        ("FestivalTotalStalled",),
        6,
        5,
    )
    boxes = Panel(
        "Recycled boxes",
        "Cardboard boxes brought back, by who runs the station.",
        "short",
        (Query(f"festival_operator:boxes:max{{{_NOW}}}", "{{operator}}"),),
        ("FestivalTotalStalled",),
        4,
        5,
    )
    points = Panel(
        "Green energy",
        "Points given for recycled boxes, by who runs the station.",
        "short",
        (Query(f"festival_operator:green_points:max{{{_NOW}}}", "{{operator}}"),),
        ("FestivalTotalStalled",),
        4,
        5,
    )
    cancelled = Panel(
        "Cancelled orders",
        "A measure of its own: orders and GMV never go down.",
        "locale",
        (Query(f"festival:cancelled_orders:max{{{_NOW}}}"),),
        ("FestivalTotalImplausible",),
        3,
        5,
    )
    implausible = Panel(
        "Plausible",
        "Whether a total lies outside the bounds in the festival's file; no order, no verdict.",
        "none",
        (Query(f"max(festival_check:implausible:max{{{_NOW}}})"),),
        ("FestivalTotalImplausible",),
        3,
        5,
        limits=((1.0, RED),),
        words={"0": "plausible", "1": "IMPLAUSIBLE"},
    )
    rejected = Panel(
        "Rejected records",
        "Share of the records on each topic that cannot be counted, over five minutes.",
        "percentunit",
        (Query("topic:streams_rejected:ratio_rate5m", "{{topic}}"),),
        ("FestivalRejectedShareHigh",),
        4,
        5,
        limits=((0.01, RED),),
    )
    return [
        (parcels, bars_panel(parcels)),
        (boxes, bars_panel(boxes)),
        (points, bars_panel(points)),
        (cancelled, stat_panel(cancelled)),
        (implausible, stat_panel(implausible)),
        (rejected, lines_panel(rejected)),
    ]

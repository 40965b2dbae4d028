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
    matrix_panel,
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


GMV = Panel(
    "GMV",
    "Gross merchandise value in the festival's home currency, committed. A lower bound where a rate is missing.",
    "short",
    (Query(f"festival:home_gross_minor:max{{{_NOW}}} / $minor_units"),),
    ("FestivalTotalImplausible",),
    6,
    5,
    decimals=2,
)
ORDERS = Panel(
    "Orders",
    "Orders placed, committed.",
    "locale",
    (Query(f"festival:orders:max{{{_NOW}}}"),),
    ("FestivalNoOrders",),
    4,
    5,
)
PACE = Panel(
    "Orders per second",
    "Over the last minute, as they were counted.",
    "short",
    (Query(f"festival:orders:rate1m{{{_NOW}}}"),),
    ("FestivalNoOrders",),
    4,
    5,
    decimals=1,
)
GROWTH = Panel(
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
AGE = Panel(
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
COMPLETE = Panel(
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
CURVES = Panel(
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
COUNTS = Panel(
    "Orders per second and per minute",
    "The total's pace over the last minute, per minute on the right, and its busiest second so far.",
    "short",
    (
        Query(f"festival:orders:rate1m{{{_NOW}}}", "per second"),
        Query(f"festival:orders:delta1m{{{_NOW}}}", "per minute"),
        Query(f"festival:peak_orders_per_second:max{{{_NOW}}}", "busiest second"),
    ),
    ("FestivalNoOrders",),
    8,
    8,
    right=("per minute",),
)
MILESTONES = Panel(
    "Milestones",
    "When GMV passed each milestone (major units), in event time; those still ahead are not listed.",
    "dateTimeAsIso",
    (Query(f"festival_milestone:milestone_timestamp_seconds:min{{{_NOW}}} * 1000"),),
    ("FestivalTotalStalled",),
    6,
    8,
)
PLATFORMS = Panel(
    "Platforms",
    "Orders by platform, the ten largest.",
    "short",
    (Query(f"topk(10, festival_platform:orders:max{{{_NOW}}})", "{{platform}}"),),
    ("FestivalNoOrders",),
    5,
    8,
)
MARKETS = Panel(
    "Markets",
    "Orders by the market they ship to, the ten largest.",
    "short",
    (Query(f"topk(10, festival_market:orders:max{{{_NOW}}})", "{{market}}"),),
    ("FestivalNoOrders",),
    5,
    8,
)
PAYMENTS = Panel(
    "Payments by method",
    "Captured, failed and refunded payments of each method.",
    "short",
    tuple(
        Query(f'sum by (method) (festival_method_outcome:payments:max{{{_NOW}, outcome="{outcome}"}})', outcome)
        for outcome in ("captured", "failed", "refunded")
    ),
    ("FestivalRejectedShareHigh",),
    6,
    8,
)
MONEY = Panel(
    "Money by currency",
    "Gross, net of coupons and credits, paid and refunded, in minor units of each currency: nothing is converted.",
    "short",
    tuple(
        Query(f"sum by (currency) (festival_currency:{measure}_minor:max{{{_NOW}}})", measure)
        for measure in ("gross", "net", "coupons", "paid", "refunded")
    ),
    ("FestivalAuditDifference",),
    8,
    8,
)
PARCELS = Panel(
    "Parcels",
    "Shipped, cleared by customs, delivered; each counts for the festival of its order.",
    "short",
    (Query(f"festival_stage:parcels:max{{{_NOW}}}", "{{stage}}"),),
    ("FestivalTotalStalled",),
    5,
    5,
)
BOXES = Panel(
    "Recycled boxes",
    "Cardboard boxes brought back, by who runs the station.",
    "short",
    (Query(f"festival_operator:boxes:max{{{_NOW}}}", "{{operator}}"),),
    ("FestivalTotalStalled",),
    4,
    5,
)
POINTS = Panel(
    "Green energy",
    "Points given for recycled boxes, by who runs the station.",
    "short",
    (Query(f"festival_operator:green_points:max{{{_NOW}}}", "{{operator}}"),),
    ("FestivalTotalStalled",),
    3,
    5,
)
ABROAD = Panel(
    "GMV abroad",
    "The home total told in other currencies, in their minor units, at the rates of the festival's file.",
    "short",
    (Query(f"festival_currency:display_gross_minor:max{{{_NOW}}}", "{{currency}}"),),
    ("FestivalTotalImplausible",),
    3,
    5,
)
CANCELLED = Panel(
    "Cancelled orders",
    "A measure of its own: orders and GMV never go down.",
    "locale",
    (Query(f"festival:cancelled_orders:max{{{_NOW}}}"),),
    ("FestivalTotalImplausible",),
    3,
    5,
)
IMPLAUSIBLE = Panel(
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
REJECTED = Panel(
    "Rejected records",
    "Share of the records on each topic that cannot be counted, over five minutes.",
    "percentunit",
    (Query("topic:streams_rejected:ratio_rate5m", "{{topic}}"),),
    ("FestivalRejectedShareHigh",),
    3,
    5,
    limits=((0.01, RED),),
)


def panels() -> list[Builder[Any]]:
    """Return all panels, placed."""
    hidden = ("Time", "__name__", "festival")
    names = {"milestone": "Milestone", "Value": "Passed at"}
    milestones = table_panel(MILESTONES, hidden, names, {"Passed at": "dateTimeAsIso"})
    return placed(
        [
            [(panel, stat_panel(panel)) for panel in (GMV, ORDERS, PACE, GROWTH, AGE, COMPLETE)],
            [(CURVES, lines_panel(CURVES)), (COUNTS, lines_panel(COUNTS)), (MILESTONES, milestones)],
            [
                *((panel, bars_panel(panel)) for panel in (PLATFORMS, MARKETS)),
                (PAYMENTS, matrix_panel(PAYMENTS, "method")),
                (MONEY, matrix_panel(MONEY, "currency")),
            ],
            [
                *((panel, bars_panel(panel)) for panel in (PARCELS, BOXES, POINTS, ABROAD)),
                *((panel, stat_panel(panel)) for panel in (CANCELLED, IMPLAUSIBLE)),
                (REJECTED, lines_panel(REJECTED)),
            ],
        ]
    )

"""The totals document as aligned text, for people at a terminal."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from streams.domain.currencies import EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.domain.festivals import Festival


PARCELS = ("shipped", "cleared", "delivered", "in_flight")
BOXES = ("boxes", "scans", "points")


def totals_text(document: dict[str, Any], festival: Festival) -> str:
    """Return the whole answer of `festival totals` without `--json`; amounts in major units."""
    parts = [_heading(document, festival), _counts(document)]
    if document["money"]:
        parts.append(_money(document["money"], "money"))
    if document["payer"]:
        parts.append(_money(document["payer"], "payer"))
    parts.append(_home(document["home"]))
    if story := _story(document, festival):
        parts.append(table(story))
    if "by" in document:
        parts.append(_rows(document["by"]))
    return "\n\n".join(parts)


def amount_text(amount_minor: int, currency: str) -> str:
    """Return an amount in major units, such as 1,234.50: integers only, no digit is lost."""
    digits = EXPONENTS.get(currency, 0)
    sign = "-" if amount_minor < 0 else ""
    whole, rest = divmod(abs(amount_minor), 10**digits)
    return f"{sign}{whole:,}" + (f".{rest:0{digits}}" if digits else "")


def _time(time_ms: int, zone: str) -> str:
    moment = dt.datetime.fromtimestamp(time_ms // 1000, ZoneInfo(zone))
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03} {zone}"


def _heading(document: dict[str, Any], festival: Festival) -> str:
    state = "complete" if document["complete"] else "INCOMPLETE: some partitions have no committed total"
    lag = document["lag_records"]
    behind = "" if lag is None else f", {lag:,} records behind"
    lines = [
        f"{festival.name} ({festival.id})",
        f"{state}{behind}, ledger {document['ledger']}",
        f"as of {_time(document['as_of_ms'], festival.timezone)}",
    ]
    if document["committed_ms"] is not None:
        lines.append(f"newest committed record {_time(document['committed_ms'], 'UTC')}")
    return "\n".join(lines)


def _counts(document: dict[str, Any]) -> str:
    orders = [(name, f"{document[name]:,}") for name in ("orders", "cancelled")]
    payments = [(f"payments {name}", f"{count:,}") for name, count in document["payments"].items()]
    names = ("duplicates", "rejected", "late", "expired", "outside")
    records = [(f"records {name}", f"{document[name]:,}") for name in names]
    ways = [
        (f"parcels {name}", f"{document['parcels'][name]:,}") for name in PARCELS if any(_seen(document, "parcels"))
    ]
    boxes = [(name, f"{document['recycling'][name]:,}") for name in BOXES if any(_seen(document, "recycling"))]
    distinct = [(f"different {name}", _estimate(found)) for name, found in (document["distinct"] or {}).items()]
    return table([*orders, *payments, *ways, *boxes, *distinct, *records])


def _seen(document: dict[str, Any], part: str) -> list[int]:
    """Return the counts of a part of the document."""
    return [count for count in document[part].values() if isinstance(count, int)]


def _estimate(found: dict[str, int] | None) -> str:
    """Return an estimate with its bounds."""
    return "unreadable" if found is None else f"{found['estimate']:,} ({found['low']:,} to {found['high']:,})"


def _money(money: dict[str, dict[str, int]], title: str) -> str:
    names = list(next(iter(money.values())))
    rows = [
        (currency, *(amount_text(cells[name], currency) for name in names)) for currency, cells in sorted(money.items())
    ]
    return table([(title, *names), *rows])


def _home(home: dict[str, Any]) -> str:
    currency = home["currency"]
    sign = "at least " if home["missing"] else ""
    rows = [
        (f"{name} in {currency}", sign + amount_text(home[name], currency))
        for name in ("gross", "net", "paid")
        if name in home
    ]
    missing = f"\nno rate for {', '.join(home['missing'])}: these are lower bounds" if home["missing"] else ""
    return table(rows) + missing


def _story(document: dict[str, Any], festival: Festival) -> list[tuple[str, str]]:
    """Return the lines behind the totals: peaks, milestones, the last edition, the forecast, what is implausible."""
    currency, zone = festival.home_currency, festival.timezone
    lines = [
        (f"peak {name}", f"{found['orders']:,} orders at {_time(found['start_ms'], zone)}")
        for name, found in document["peak"].items()
        if found["orders"]
    ]
    for milestone in document["milestones"]:
        if milestone["time_ms"] is not None:
            passed = _time(milestone["time_ms"], zone)
            lines.append((f"passed {amount_text(milestone['minor'], currency)} {currency}", passed))
    if (pace := document["pace"]) is not None:
        if pace["passed_ms"] is not None:
            lines.append((f"passed all of {pace['previous']}", _time(pace["passed_ms"], zone)))
        if pace["growth_ratio"] is not None:
            lines.append((f"against {pace['previous']} at the same time", f"{pace['growth_ratio']:+.1%}"))
    if (forecast := document["forecast"]) is not None and forecast["expected_minor"] is not None:
        low, expected, high = (
            amount_text(forecast[f"{bound}_minor"], currency) for bound in ("low", "expected", "high")
        )
        lines += [(f"forecast in {currency}", f"{expected} ({low} to {high})"), ("forecast from", forecast["basis"])]
    lines += [
        ("IMPLAUSIBLE", check.replace("_", " ")) for check, is_outside in document["implausible"].items() if is_outside
    ]
    return lines


def _rows(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "no rows"
    dimension = next(iter(rows[0]))
    home = rows[0].get("home", {"currency": ""})
    shown = [name for name in ("gross", "net", "paid") if name in home]
    currency = home["currency"]
    counts = [name for name in ("orders", "cancelled") if name in rows[0]]
    payments = list(rows[0].get("payments", ()))
    others = [(part, name) for part, names in (("parcels", PARCELS), ("recycling", BOXES)) for name in names]
    others = [(part, name) for part, name in others if part in rows[0]]
    header = (dimension, *counts, *payments, *(name for _, name in others), *(f"{name} {currency}" for name in shown))
    lines = [
        (
            ("≥ " if row.get("at_least") else "") + row[dimension],
            *(f"{row[name]:,}" for name in counts),
            *(f"{row['payments'][name]:,}" for name in payments),
            *(f"{row[part][name]:,}" for part, name in others),
            *(amount_text(row["home"][name], currency) for name in shown),
        )
        for row in rows
    ]
    note = "\n≥: the limit of distinct values was reached, so a row is a lower bound" if rows[0].get("at_least") else ""
    return table([header, *lines]) + note


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns: the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )

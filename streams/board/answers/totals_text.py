"""Totals as aligned text, for people at a terminal."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import UNSET
from msgspec.structs import asdict

from streams.board.answers.sections import HOME, SECTIONS
from streams.board.answers.totals import RECORD_COUNTS
from streams.board.answers.values import known
from streams.domain.currencies import EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.board.answers.sections import Section
    from streams.board.answers.values import Estimated, Home, Row, Story, Totals
    from streams.domain.festivals import Festival


INCOMPLETE = (
    "INCOMPLETE: some partitions have no committed total, are held, or knew the festival only after it could have "
    "begun (`festival recount` counts it whole)"
)
NOT_COUNTED = (
    "NOT COUNTED: this ledger does not count this festival. Its file must lie in the folder of --festivals of every "
    "worker; then count again with `festival recount`"
)


def totals_text(totals: Totals, festival: Festival) -> str:
    """Return the whole answer of `festival totals` without `--json`; amounts in major units.

    A festival that the ledger does not count gets a sentence that says so, and the counts over the topics.
    """
    if not totals.counted:
        return "\n\n".join([_heading(totals, festival), table(_records(totals))])
    parts = [_heading(totals, festival), table([*_counts(totals), *_records(totals)])]
    if totals.money:
        parts.append(_money(totals.money, "money"))
    if totals.payer:
        parts.append(_money(totals.payer, "payer"))
    parts.append(_home(totals.home))
    if totals.also_in:
        parts.append(_converted(totals))
    if totals.story is not UNSET and (story := _story(totals.story, festival)):
        parts.append(table(story))
    if totals.by is not UNSET:
        parts.append(_rows(totals.by))
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


def _heading(totals: Totals, festival: Festival) -> str:
    state = "complete" if totals.complete else INCOMPLETE
    if not totals.counted:
        state = NOT_COUNTED
    behind = "" if totals.lag_records is None else f", {totals.lag_records:,} records behind"
    lines = [
        f"{festival.name} ({festival.id})",
        f"{state}{behind}, ledger {totals.ledger}",
        f"as of {_time(totals.as_of_ms, festival.timezone)}",
    ]
    if totals.sealed is not UNSET:
        lines.append(f"sealed as {totals.sealed}")
    if totals.exact is not UNSET:
        lines.append("NOT EXACT: what was sealed was not audited, or the audit found differences")
    if totals.committed_ms is not None:
        lines.append(f"newest committed record {_time(totals.committed_ms, 'UTC')}")
    lines += [
        f"COUNTED FROM offset {offset:,} of {topic}[{partition}] on: what lay before was lost when it was recounted"
        for topic, places in totals.counted_from.items()
        for partition, offset in places.items()
    ]
    lines += [
        f"HELD: partition {one.partition} ({one.reason}) since {_time(one.since_ms, 'UTC')}: {one.detail}"
        for one in totals.held
    ]
    lines += [
        f"WAITING: {one.topic}[{one.partition}] stands at offset {one.offset}, where a producer "
        f"({one.transactional_id or 'its transactional id is not told'}) has left a transaction open since "
        f"{_time(one.since_ms, 'UTC')}: `festival check` tells how to abort it"
        for one in totals.open_transactions
    ]
    return "\n".join(lines)


def _counts(totals: Totals) -> Iterator[tuple[str, str]]:
    """Yield a line for each count of each fact, and for each estimate."""
    for section in SECTIONS:
        if section.lines and (section.is_told_empty or _has_any(totals, section)):
            for name in section.lines:
                yield f"{section.label}{name}", f"{getattr(section.holder(totals), name):,}"
    for name, found in (totals.distinct or {}).items():
        yield f"different {name}", _estimate(found)


def _has_any(totals: Totals, section: Section) -> bool:
    """Return whether any number of a part is not 0."""
    return any(isinstance(number, int) and number for number in asdict(section.holder(totals)).values())


def _records(totals: Totals) -> list[tuple[str, str]]:
    """Return the counts over the topics."""
    return [(f"records {name}", f"{getattr(totals, name):,}") for name in RECORD_COUNTS]


def _estimate(found: Estimated | None) -> str:
    """Return an estimate with its bounds."""
    return "unreadable" if found is None else f"{found.estimate:,} ({found.low:,} to {found.high:,})"


def _money(money: Mapping[str, Mapping[str, int]], title: str) -> str:
    names = list(next(iter(money.values())))
    rows = [
        (currency, *(amount_text(cells[name], currency) for name in names)) for currency, cells in sorted(money.items())
    ]
    return table([(title, *names), *rows])


def _home(home: Home) -> str:
    sign = "at least " if home.missing else ""
    rows = [
        (f"{name} in {home.currency}", sign + amount_text(getattr(home, name), home.currency))
        for name in _home_names(home)
    ]
    missing = f"\nno rate for {', '.join(home.missing)}: these are lower bounds" if home.missing else ""
    return table(rows) + missing


def _converted(totals: Totals) -> str:
    """Return the home total in other currencies, with the rate and its date."""
    sign = "at least " if totals.home.missing else ""
    rows = [
        (
            f"{name} in {currency}",
            sign + amount_text(known(getattr(told, name)), currency),
            f"converted, 1 {currency} = {told.rate} {totals.home.currency} on {told.date}",
        )
        for currency, told in totals.also_in.items()
        for name in _home_names(totals.home)
    ]
    return table(rows)


def _home_names(home: Home) -> list[str]:
    return [name for name in HOME if getattr(home, name) is not UNSET]


def _story(story: Story, festival: Festival) -> list[tuple[str, str]]:
    """Return the lines behind the totals: peaks, milestones, the last edition, the forecast, what is implausible."""
    currency, zone = festival.home_currency, festival.timezone
    lines = [
        (f"peak {name}", f"{found.orders:,} orders at {_time(known(found.start_ms), zone)}")
        for name, found in (("second", story.peak.second), ("minute", story.peak.minute))
        if found.orders
    ]
    for milestone in story.milestones:
        if milestone.time_ms is not None:
            passed = _time(milestone.time_ms, zone)
            lines.append((f"passed {amount_text(milestone.minor, currency)} {currency}", passed))
    if (pace := story.pace) is not None:
        if pace.passed_ms is not None:
            lines.append((f"passed all of {pace.previous}", _time(pace.passed_ms, zone)))
        if pace.growth_ratio is not None:
            lines.append((f"against {pace.previous} at the same time", f"{pace.growth_ratio:+.1%}"))
    if (forecast := story.forecast) is not None and forecast.expected_minor is not None:
        low, expected, high = (
            amount_text(known(minor), currency)
            for minor in (forecast.low_minor, forecast.expected_minor, forecast.high_minor)
        )
        lines += [(f"forecast in {currency}", f"{expected} ({low} to {high})"), ("forecast from", forecast.basis)]
    lines += [("IMPLAUSIBLE", check.replace("_", " ")) for check, is_outside in story.implausible.items() if is_outside]
    return lines


def _rows(rows: Sequence[Row]) -> str:
    if not rows:
        return "no rows"
    first = rows[0]
    kept = [(section, name) for section in SECTIONS for name in section.lines if section.holder(first) is not UNSET]
    currency = "" if first.home is UNSET else first.home.currency
    home = [] if first.home is UNSET else _home_names(first.home)
    header = (first.dimension, *(name for _, name in kept), *(f"{name} {currency}" for name in home))
    lines = [
        (
            ("≥ " if row.at_least is True else "") + row.value,
            *(f"{getattr(section.holder(row), name):,}" for section, name in kept),
            *(amount_text(getattr(row.home, name), currency) for name in home),
        )
        for row in rows
    ]
    note = "\n≥: the limit of distinct values was reached, so a row is a lower bound" if first.at_least is True else ""
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

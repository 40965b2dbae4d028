"""What was sold, paid, granted and delivered, in a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from streams.board.answers.sections import SECTION
from streams.board.answers.transit import share
from streams.board.answers.values import known
from streams.handover.sections import Bar, Bars, Figure, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.board.answers.values import Row
    from streams.handover.findings import Findings
    from streams.handover.sections import Writer

_SOLD = ("market", "platform", "merchant", "category", "brand")
_CARRIED = ("carrier", "origin")
_RECYCLED = ("city", "operator")
_PAYER = ("paid", "transport", "duty", "refunded")


def sections(findings: Findings, writer: Writer) -> Iterator[Section]:
    """Yield the sections of what the festival counts."""
    facts = findings.festival.facts
    if "orders" in facts:
        if bars := [_bars(findings, writer, dimension, "orders") for dimension in _SOLD if dimension in findings.rows]:
            yield Section("sales", writer.words["sales"], bars=bars)
        yield _discounts(findings, writer)
    if "payments" in facts:
        yield _payments(findings, writer)
    if "parcels" in facts:
        yield _parcels(findings, writer)
    if "recycling" in facts:
        yield _recycling(findings, writer)


def _bars(findings: Findings, writer: Writer, dimension: str, fact: str) -> Bars:
    """Return the rows of a dimension by what the fact is measured in: money, else its first count."""
    section, rows = SECTION[fact], findings.rows[dimension]
    measure = section.home[0] if section.home else None
    told = [(row, _size(row, fact, measure)) for row in rows]
    told = [(row, size) for row, size in told if size]
    told.sort(key=lambda one: -one[1])
    whole = _whole(findings, fact, measure)
    most = max((size for _, size in told), default=1)
    amount = writer.tongue.whole if measure is None else writer.home
    bars = [
        Bar(
            writer.name(dimension, row.value),
            amount(size),
            writer.tongue.percent(share(size, whole)),
            round(100 * size / most, 2),
        )
        for row, size in told
    ]
    is_bound = any(row.at_least is True for row in rows)
    return Bars(writer.words[f"by_{dimension}"], bars, writer.words["at_least"] if is_bound else "")


def _size(row: Row, fact: str, measure: str | None) -> int:
    if measure is not None:
        minor = getattr(row.home, measure, UNSET) if row.home is not UNSET else UNSET
        return 0 if minor is UNSET or minor is None else int(minor)
    holder = SECTION[fact].holder(row)
    return 0 if holder is UNSET else int(getattr(holder, SECTION[fact].order[0]) or 0)


def _whole(findings: Findings, fact: str, measure: str | None) -> int:
    if measure is not None:
        return int(getattr(findings.totals.home, measure) or 0)
    return int(getattr(SECTION[fact].holder(findings.totals), SECTION[fact].order[0]) or 0)


def _discounts(findings: Findings, writer: Writer) -> Section:
    """Return from gross to net by currency, and all of it in the home currency."""
    totals, words = findings.totals, writer.words
    names = ("gross", "coupons", "credits", "net", "cancelled_net")
    rows = [
        (currency, *(writer.tongue.exact(money.get(name, 0), currency) for name in names))
        for currency, money in sorted(totals.money.items())
        if money.get("gross") or money.get("cancelled_net")
    ]
    section = Section("discounts", words["discounts"])
    section.tables = [Table((words["currency"], *(words[name] for name in names)), rows)] if rows else []
    if len(rows) > 1 or any(currency != totals.home.currency for currency, *_ in rows):
        home = words["home_total"].format(home=totals.home.currency)
        gross, net = (writer.exact_home(getattr(totals.home, name)) for name in ("gross", "net"))
        section.notes.append(f"{home}: {words['gross']} {gross}, {words['net']} {net}")
    section.notes.append(
        writer.say(
            "couponed",
            orders=writer.tongue.whole(totals.couponed),
            share=writer.tongue.percent(totals.shares.couponed),
        )
    )
    section.notes.append(writer.say("cancelled", orders=writer.tongue.whole(totals.cancelled)))
    return section


def _payments(findings: Findings, writer: Writer) -> Section:
    totals, words = findings.totals, writer.words
    currencies = [c for c, money in sorted(totals.money.items()) if any(money.get(n) for n in ("paid", "failed"))]
    outcomes = (("captured", "paid"), ("failed", "failed"), ("refunded", "refunded"))
    rows = [
        (
            words[outcome],
            writer.tongue.whole(getattr(totals.payments, outcome)),
            *(writer.tongue.exact(totals.money[currency].get(name, 0), currency) for currency in currencies),
        )
        for outcome, name in outcomes
    ]
    section = Section("payments", words["payments"])
    section.tables = [Table((words["outcome"], words["count"], *currencies), rows)]
    if "method" in findings.rows:
        section.bars = [_bars(findings, writer, "method", "payments")]
    if totals.shares.paid is not None:
        section.notes.append(writer.say("paid_share", share=writer.tongue.percent(totals.shares.paid)))
    if totals.payer:
        names = [name for name in _PAYER if any(money.get(name) for money in totals.payer.values())]
        paid = [
            (currency, *(writer.tongue.exact(money.get(name, 0), currency) for name in names))
            for currency, money in sorted(totals.payer.items())
        ]
        head = (words["currency"], *(words[name] for name in names))
        section.tables.append(Table(head, paid, caption=words["payer"]))
    return section


def _parcels(findings: Findings, writer: Writer) -> Section:
    parcels, words = findings.totals.parcels, writer.words
    figures = [
        Figure(words[name], writer.tongue.whole(getattr(parcels, name)))
        for name in ("shipped", "cleared", "delivered", "in_flight")
    ]
    section = Section("parcels", words["parcels"], figures=figures)
    transit = parcels.transit
    if transit is not UNSET and transit is not None and transit.days:
        most, whole = max(transit.days.values()), sum(transit.days.values())
        days = [
            Bar(
                day,
                writer.tongue.whole(count),
                writer.tongue.percent(share(count, whole)),
                round(100 * count / most, 2),
            )
            for day, count in transit.days.items()
        ]
        section.bars.append(Bars(words["transit"], days))
        section.notes.append(
            " · ".join(
                (
                    writer.say("transit_half", days=str(transit.p50)),
                    writer.say("transit_most", days=str(transit.p90)),
                    writer.say(
                        "transit_promised",
                        share=writer.tongue.percent(transit.within_promised),
                        days=str(transit.promised_days),
                    ),
                )
            )
        )
    section.bars += [_bars(findings, writer, name, "parcels") for name in _CARRIED if name in findings.rows]
    return section


def _recycling(findings: Findings, writer: Writer) -> Section:
    recycling, words = findings.totals.recycling, writer.words
    names = ("boxes", "scans", "points", "trees")
    figures = [
        Figure(words[name], writer.tongue.whole(getattr(recycling, name)))
        for name in names
        if getattr(recycling, name) is not None
    ]
    bars = [_bars(findings, writer, name, "recycling") for name in _RECYCLED if name in findings.rows]
    return Section("recycling", words["recycling"], figures=figures, bars=bars)


def brief(findings: Findings, writer: Writer) -> list[str]:
    """Return the day in a few sentences, for those who read no further."""
    facts = findings.festival.facts
    told = [*_brief_orders(findings, writer)] if "orders" in facts and findings.totals.orders else []
    payments = findings.totals.payments
    if "payments" in facts and payments.captured:
        paid = writer.spoken(findings.totals.home.paid or 0)
        counts = {name: writer.tongue.whole(getattr(payments, name)) for name in ("captured", "failed")}
        told.append(writer.say("brief_paid", paid=paid, **counts))
    parcels = findings.totals.parcels
    if "parcels" in facts and parcels.delivered and parcels.transit is not UNSET and parcels.transit is not None:
        counts = {name: writer.tongue.whole(getattr(parcels, name)) for name in ("delivered", "shipped")}
        told.append(writer.say("brief_parcels", days=str(parcels.transit.p50), **counts))
    recycling = findings.totals.recycling
    if "recycling" in facts and recycling.boxes:
        counts = {name: writer.tongue.whole(getattr(recycling, name)) for name in ("boxes", "scans", "points")}
        told.append(writer.say("brief_boxes", **counts))
    return told


def _brief_orders(findings: Findings, writer: Writer) -> Iterator[str]:
    totals, tongue = findings.totals, writer.tongue
    story, gross = totals.story, known(totals.home.gross if totals.home.gross is not UNSET else None)
    assert story is not UNSET, "a report has the story"
    average = writer.exact_home(gross // known(totals.orders))
    yield writer.say("brief_gross", orders=tongue.whole(totals.orders), gross=writer.spoken(gross), average=average)
    pace = story.pace
    if pace is not None and pace.growth_ratio is not None:
        growth, name = tongue.percent(pace.growth_ratio, is_signed=True), writer.called(pace.previous)
        if pace.passed_ms is None:
            yield writer.say("brief_growth_only", growth=growth, name=name)
        else:
            yield writer.say("brief_growth", growth=growth, name=name, time=tongue.clock(pace.passed_ms))
    first = next((one for one in story.milestones if one.time_ms is not None), None)
    if first is not None and first.time_ms is not None:
        elapsed = tongue.elapsed(first.time_ms - findings.festival.start_ms)
        yield writer.say("brief_milestone", amount=writer.spoken(first.minor), elapsed=elapsed)
    if story.peak.second.orders:
        peak = story.peak.second
        yield writer.say("brief_peak", orders=tongue.whole(peak.orders), time=tongue.clock(peak.start_ms))
    yield from _brief_market(findings.rows.get("market", ()), writer, gross)


def _brief_market(rows: Sequence[Row], writer: Writer, gross: int) -> Iterator[str]:
    sizes = [(_size(row, "orders", "gross"), row.value) for row in rows]
    if len(sizes) > 1 and gross:
        size, market = max(sizes)
        yield writer.say(
            "brief_market", share=writer.tongue.percent(share(size, gross)), market=writer.name("market", market)
        )

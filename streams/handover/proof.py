"""Why the numbers of a report may be believed: the quality of the data, incidents, the audit, positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.handover.sections import Figure, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.handover.findings import Findings
    from streams.handover.incidents import Incidents
    from streams.handover.sections import Writer

_OUTCOMES = ("counted", "duplicate", "rejected", "expired", "outside", "late")


def sections(findings: Findings, writer: Writer) -> Iterator[Section]:
    """Yield the sections."""
    yield _quality(findings, writer)
    yield _incidents(findings.incidents, writer)
    yield _evidence(findings, writer)
    yield _reading(findings, writer)


def warnings(findings: Findings, writer: Writer) -> list[str]:
    """Return what forbids to take the totals for more than they are, the worst first."""
    totals, told = findings.totals, []
    if not totals.complete:
        held = [writer.say("held", partition=str(one.partition), reason=str(one.reason)) for one in totals.held]
        why = ", ".join(held) if held else writer.words["uncovered"]
        told.append(writer.say("incomplete", why=why))
    if findings.made_ms < findings.festival.end_ms:
        told.append(writer.words["running"])
    if totals.lag_records:
        told.append(writer.say("behind", records=writer.tongue.whole(totals.lag_records)))
    if totals.counted_from:
        told.append(writer.words["counted_from"])
    if totals.home.missing:
        told.append(writer.say("bound", currencies=", ".join(totals.home.missing)))
    if flagged := [name for name, is_outside in totals.story.implausible.items() if is_outside]:  # type: ignore[union-attr]
        told.append(writer.say("implausible", checks=", ".join(writer.words.get(name, name) for name in flagged)))
    return told


def verdict_text(findings: Findings, writer: Writer) -> tuple[str, str]:
    """Return how the audit ended, as a word of its kind and as a sentence."""
    verdict = findings.verdict
    if verdict is None:
        return "none", writer.words["not_audited"]
    if verdict.exact:
        return "exact", writer.words["audit_exact"]
    return "differs", writer.say("audit_differs", differences=writer.tongue.whole(verdict.differences))


def _quality(findings: Findings, writer: Writer) -> Section:
    words, tongue = writer.words, writer.tongue
    head = (words["topic"], *(words[f"q_{name}"] for name in _OUTCOMES))
    rows = [
        (topic, *(tongue.whole(counts.get(name, 0)) for name in _OUTCOMES))
        for topic, counts in findings.outcomes.items()
        if any(counts.values())
    ]
    section = Section("quality", words["quality"], [words["quality_note"]], tables=[Table(head, rows)])
    topics = [topic for topic, counts in findings.rejected.items() if any(counts.values())]
    reasons = sorted({reason for topic in topics for reason in findings.rejected[topic]})
    if reasons:
        head = (words["reason"], *topics)
        found = [
            (reason, *(tongue.whole(findings.rejected[topic].get(reason, 0)) for topic in topics)) for reason in reasons
        ]
        section.tables.append(Table(head, found, caption=words["reasons"]))
    else:
        section.notes.append(words["no_rejected"])
    return section


def _incidents(incidents: Incidents | None, writer: Writer) -> Section:
    words, tongue = writer.words, writer.tongue
    section = Section("incidents", words["incidents"])
    if incidents is None:
        section.paragraphs.append(words["incidents_unknown"])
        return section
    start, end = tongue.moment(incidents.from_ms), tongue.moment(incidents.to_ms)
    section.paragraphs.append(writer.say("incidents_of", start=start, end=end))
    if incidents.alerts:
        alerts = [(one.name, one.severity, *_span(one.from_ms, one.to_ms, writer)) for one in incidents.alerts]
        head = tuple(words[key] for key in ("alert", "severity", "from", "to", "lasted"))
        section.tables.append(Table(head, alerts, is_wide=True))
    else:
        section.notes.append(words["no_alerts"])
    if incidents.gaps:
        gaps = [(*_span(one.from_ms, one.to_ms, writer), tongue.whole(one.waiting_records)) for one in incidents.gaps]
        head = tuple(words[key] for key in ("from", "to", "lasted", "waiting"))
        section.tables.append(Table(head, gaps, caption=words["gaps"], is_wide=True))
    else:
        section.notes.append(words["no_gaps" if incidents.has_checkpoints else "gaps_unknown"])
    return section


def _span(from_ms: int, to_ms: int, writer: Writer) -> tuple[str, str, str]:
    """Return from when to when something was, and how long."""
    return writer.tongue.moment(from_ms), writer.tongue.moment(to_ms), writer.tongue.elapsed(to_ms - from_ms)


def _evidence(findings: Findings, writer: Writer) -> Section:
    words, tongue, totals = writer.words, writer.tongue, findings.totals
    section = Section("evidence", words["evidence"])
    _, sentence = verdict_text(findings, writer)
    verdict = findings.verdict
    when = "" if verdict is None else writer.say("audited", when=tongue.moment(verdict.audited_ms))
    section.paragraphs.append(f"{sentence}. {when}".strip())
    if verdict is not None and verdict.positions != totals.positions:
        section.paragraphs.append(words["audit_older"])
    section.figures = [
        Figure(words["ledger"], totals.ledger),
        Figure(words["committed"], tongue.moment(totals.committed_ms)),
        Figure(words["version"], f"festival-streams {findings.version}"),
    ]
    topics = list(totals.positions)
    partitions = sorted({int(number) for at in totals.positions.values() for number in at})
    rows = [
        (str(number), *(tongue.whole(totals.positions[topic].get(str(number))) for topic in topics))
        for number in partitions
    ]
    section.tables = [Table((words["partition"], *topics), rows, caption=words["positions"])]
    again = f"festival {findings.festival.id}" if findings.seal is None else "sealed FILE"
    section.notes = [
        f"{words['fingerprint']}: {findings.fingerprint or '–'}",
        writer.say("again", command=f"festival audit --{again}"),
    ]
    return section


def _reading(findings: Findings, writer: Writer) -> Section:
    told = [writer.words["reading_gross"]] if "orders" in findings.festival.facts else []
    told += [writer.say("reading_time", zone=findings.festival.timezone), writer.words["reading_rounding"]]
    return Section("reading", writer.words["reading"], told)

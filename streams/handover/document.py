"""The report as one HTML document: it loads nothing from anywhere, and needs no script to be read."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from msgspec import UNSET

from streams.board.answers.documents import totals_json
from streams.handover import day, goods, proof
from streams.handover.sections import Figure, Writer

if TYPE_CHECKING:
    from jinja2 import Template

    from streams.handover.findings import Findings


def report_html(findings: Findings, language: str) -> str:
    """Return the document in a language of `LANGUAGES`."""
    writer = Writer(language, findings.festival)
    kind, sentence = proof.verdict_text(findings, writer)
    sections = [*day.sections(findings, writer), *goods.sections(findings, writer), *proof.sections(findings, writer)]
    return _template().render(
        words=writer.words,
        name=writer.called(findings.festival.name),
        interval=writer.tongue.interval(),
        zone=findings.festival.timezone,
        made=writer.say("made", when=writer.tongue.moment(findings.made_ms)),
        hero=_hero(findings, writer),
        verdict={"kind": kind, "text": sentence, "when": _when(findings, writer)},
        sealed=_sealed(findings, writer),
        warnings=proof.warnings(findings, writer),
        brief=goods.brief(findings, writer),
        sections=sections,
        style=Markup(_file("report.css")),  # noqa: S704 - a file of the package
        totals=_embedded(totals_json(findings.totals)),
    )


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_file("report.html"))


def _file(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _embedded(document: dict[str, Any]) -> Markup:
    """Return JSON that may stand in a script element: nothing in it ends one, or begins a comment."""
    text = json.dumps(document, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    return Markup(text.replace("\u2029", "\\u2029"))  # noqa: S704 - escaped just here


def _when(findings: Findings, writer: Writer) -> str:
    if findings.verdict is None:
        return ""
    return writer.say("audited", when=writer.tongue.moment(findings.verdict.audited_ms))


def _sealed(findings: Findings, writer: Writer) -> str:
    seal = findings.seal
    return "" if seal is None else writer.say("sealed", when=writer.tongue.moment(seal.sealed_ms), digest=seal.digest)


def _hero(findings: Findings, writer: Writer) -> dict[str, Any]:
    """Return the number that the festival is about, and what stands beside it."""
    totals, main, words = findings.totals, findings.main, writer.words
    if not main.is_money:
        count = getattr(getattr(totals, main.fact), main.count)
        return {
            "label": words[f"main_{main.measure}"],
            "value": writer.tongue.whole(count),
            "exact": "",
            "others": [],
            "converted": "",
            "figures": _people(findings, writer),
        }
    minor = getattr(totals.home, main.measure)
    rates = [
        writer.say(
            "rate_of", rate=writer.tongue.decimal(one.rate), home=totals.home.currency, currency=code, date=one.date
        )
        for code, one in totals.also_in.items()
    ]
    return {
        "label": words[f"main_{main.measure}"],
        "value": ("≥ " if totals.home.missing else "") + writer.spoken(minor),
        "exact": writer.exact_home(minor),
        "others": [
            writer.tongue.money(getattr(one, main.measure), code, is_spoken=True)
            for code, one in totals.also_in.items()
        ],
        "converted": writer.say("converted", rates="; ".join(rates)) if rates else "",
        "figures": [*_growth(findings, writer), *_counted(findings, writer), *_people(findings, writer)],
    }


def _growth(findings: Findings, writer: Writer) -> list[Figure]:
    story = findings.totals.story
    if story is UNSET or story.pace is None or story.pace.growth_ratio is None:
        return []
    growth = writer.tongue.percent(story.pace.growth_ratio, is_signed=True)
    return [Figure(writer.say("vs", name=writer.called(story.pace.previous)), growth)]


def _counted(findings: Findings, writer: Writer) -> list[Figure]:
    totals, main = findings.totals, findings.main
    holder = totals if main.fact == "orders" else getattr(totals, main.fact)
    return [Figure(writer.words[f"count_{main.count}"], writer.tongue.whole(getattr(holder, main.count)))]


def _people(findings: Findings, writer: Writer) -> list[Figure]:
    found = []
    for name, one in (findings.totals.distinct or {}).items():
        if one is not None and one.estimate:
            low, high = writer.tongue.whole(one.low), writer.tongue.whole(one.high)
            label = writer.words.get(f"distinct_{name}", name)
            note = writer.say("between", low=low, high=high)
            found.append(Figure(label[:1].upper() + label[1:], f"≈ {writer.tongue.short(one.estimate)}", note))
    return found

"""The report's document: what it tells, in each language, and that it is whole in itself."""

from __future__ import annotations

import json
import re
import string
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from streams.audit.verdict import Verdict
from streams.board.answers.documents import totals_json
from streams.engine.judgement import Held
from streams.engine.status import HeldReason
from streams.handover import names, words
from streams.handover.document import report_html
from streams.handover.incidents import Alert, Gap, Incidents
from tests.unit.handover.days import told

FESTIVALS = {"singles-day-2019": 2_600, "singles-day-2014": 600, "black-friday-2014": 400, "cardboard-day-2019": 300}
DAY = "singles-day-2019"


class _Page(HTMLParser):
    """Collects the text that people see, the data, and everything that would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.data = ""
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self._in: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value is not None]
        self.loaded += [
            f"{tag} {name}={values[name]}" for name in ("src", "href", "srcset", "action") if name in values
        ]
        if tag in {"script", "style"}:
            self._in.append(tag)
            assert tag == "style" or values == {"type": "application/json", "id": "totals"}

    def handle_endtag(self, tag: str) -> None:
        if self._in and self._in[-1] == tag:
            self._in.pop()

    def handle_data(self, data: str) -> None:
        if not self._in:
            self.text.append(data)
        elif self._in[-1] == "script":
            self.data += data


def read(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    page.close()
    return page


def seen(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(read(html).text))


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("festival", FESTIVALS)
def test_every_festival_is_told_whole_in_every_language(festival: str, language: str) -> None:
    findings = told(festival, FESTIVALS[festival])
    html = report_html(findings, language)
    page = read(html)
    assert page.loaded == [], "nothing is loaded from anywhere"
    assert "url(" not in html
    assert "http:" not in html
    assert "https:" not in html
    assert len(page.ids) == len(set(page.ids))
    assert json.loads(page.data) == json.loads(json.dumps(totals_json(findings.totals)))
    text = seen(html)
    assert "{" not in text, "every sentence got its parts"
    assert "None" not in text
    assert words.words(language)["evidence"] in text
    for topic, at in findings.totals.positions.items():
        assert topic in text
        assert at
    parts = {part.removesuffix("-part") for part in re.findall(r'class="part ([\w-]+)"', html)}
    expected = {"day", "quality", "incidents", "evidence", "reading"}
    facts = findings.festival.facts
    expected |= {"sales", "discounts", "peaks"} if "orders" in facts else set()
    expected |= {"milestones", "comparison"} if findings.festival.previous is not None else set()
    expected |= {fact for fact in ("payments", "parcels", "recycling") if fact in facts}
    assert parts == expected


def test_the_numbers_are_those_of_the_totals_in_the_manner_of_the_language() -> None:
    findings = told(DAY, FESTIVALS[DAY])
    gross = findings.totals.home.gross
    assert isinstance(gross, int)
    major, cents = divmod(gross, 100)
    assert f"CNY\u00a0{major:,}.{cents:02}" in report_html(findings, "en")
    assert f"{major:,}".replace(",", ".") + f",{cents:02}\u00a0CNY" in report_html(findings, "de")
    assert f"{major:,}.{cents:02}\u00a0CNY" in report_html(findings, "zh")
    english = seen(report_html(findings, "en"))
    assert "2,600 orders worth" in english
    assert "Global Shopping Festival 2018" in english
    assert "within the promised 12 days" in english
    assert "天猫" in report_html(findings, "zh")


def test_what_is_wrong_with_the_totals_stands_above_them() -> None:
    findings = told(DAY, FESTIVALS[DAY])
    held = Held(1, HeldReason.LOG_DELETED, "orders", 0, "gone")
    totals = replace_totals(findings.totals, complete=False, held=[held], lag_records=7)
    html = report_html(replace(findings, totals=totals, made_ms=findings.festival.start_ms + 1), "en")
    warnings = re.findall(r'class="warning" role="note">([^<]*)<', html)
    assert warnings[:3] == [
        (
            "These totals are not complete. Do not publish them before the cause is mended: partition 1 is held "
            "(log_deleted)."
        ),
        "The festival is not over yet: these are the numbers so far.",
        "7 records on Kafka are not counted yet.",
    ]


def replace_totals(totals: Any, **changes: Any) -> Any:  # noqa: ANN401 - any field of them
    from msgspec.structs import replace as replaced  # noqa: PLC0415 - the other `replace` is that of dataclasses

    return replaced(totals, **changes)


@pytest.mark.parametrize(
    ("verdict", "kind", "sentence"),
    [
        (None, "none", "Not audited"),
        (Verdict(DAY, "g1", True, 0, {}, {}, 1), "exact", "no difference"),
        (Verdict(DAY, "g1", False, 3, {}, {}, 1), "differs", "3 differences"),
    ],
)
def test_the_verdict_is_told_as_it_is(verdict: Verdict | None, kind: str, sentence: str) -> None:
    html = report_html(told(DAY, FESTIVALS[DAY], verdict=verdict), "en")
    found = re.search(r'class="verdict (\w+)"><strong>([^<]*)<', html)
    assert found is not None
    assert found[1] == kind
    assert sentence in found[2]
    assert ("an earlier state" in html) == (verdict is not None)


def test_incidents_are_told_with_their_times() -> None:
    at = 1_795_000_000_000
    incidents = Incidents(
        at, at + 3_600_000, [Alert("StreamsWorkerDown", "critical", at, at + 65_000)], [Gap(at, at + 12_000, None)]
    )
    text = seen(report_html(told(DAY, FESTIVALS[DAY], incidents=incidents), "en"))
    assert "StreamsWorkerDown critical 18 Nov 2026\u00a011:06:40\u00a0UTC".replace("\u00a0", " ") in text
    assert "1:05" in text
    assert "0:12 –" in text
    quiet = seen(report_html(told(DAY, FESTIVALS[DAY], incidents=Incidents(at, at + 1)), "en"))
    assert "No alert fired." in quiet
    assert "No gap of more than 10 seconds" in quiet
    blind = Incidents(at, at + 1, has_checkpoints=False)
    assert "nothing is known of gaps" in seen(report_html(told(DAY, FESTIVALS[DAY], incidents=blind), "en"))


def test_hostile_names_stay_text() -> None:
    findings = told(DAY, FESTIVALS[DAY])
    hostile = '</script><script>alert(1)</script><!--"&'
    festival = replace(findings.festival, name=hostile)
    rows = {"merchant": [replace_totals(row, value=hostile) for row in findings.rows["merchant"][:1]]}
    totals = replace_totals(findings.totals, festival=hostile)
    html = report_html(replace(findings, festival=festival, rows=rows, totals=totals), "en")
    assert "<script>alert" not in html
    page = read(html)
    assert json.loads(page.data)["festival"] == hostile
    assert hostile in "".join(page.text)


def test_a_festival_that_goes_on_is_drawn_up_to_now() -> None:
    findings = told(DAY, FESTIVALS[DAY])
    start = findings.festival.start_ms
    now = replace(findings, told_ms=start + 6 * 3_600_000, made_ms=start + 6 * 3_600_000)
    rows = re.findall(r'<th scope="row">(\d\d:00:00)</th>', report_html(now, "en"))
    assert max(rows) == "06:00:00"
    assert "24:00:00" in report_html(findings, "en")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_languages_say_the_same_with_the_same_parts() -> None:
    everything = {language: words.words(language) for language in words.LANGUAGES}
    for key, text in everything["en"].items():
        for language in words.LANGUAGES:
            other = everything[language][key]
            assert other.strip(), key
            assert fields(other) == fields(text), f"{key}: {language}"


def test_producers_identifiers_have_names_where_the_screen_has() -> None:
    script = (names.__file__ or "").replace("handover/names.py", "web/static/english.js")
    with open(script, encoding="utf-8") as file:  # noqa: PTH123 - beside the module
        text = file.read()
    shown = re.search(r"names: \{(.*?)\n  \},", text, re.DOTALL)
    assert shown is not None
    identifiers = re.findall(r"(\w+): \"", shown[1])
    assert len(identifiers) > 15
    assert [name for name in identifiers if names.named("de", name) is None] == []

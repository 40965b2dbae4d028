"""The report in a real browser: in every language it is readable, whole in itself, and asks nobody for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.handover.document import report_html
from streams.handover.printing import find_chromium, print_pdf
from streams.handover.words import LANGUAGES
from streams.settings import Settings
from tests.unit.handover.days import told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.browser import Browser

ORDERS = 2_600
WIDTHS = ((1280, 900), (390, 844))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_is_readable_and_asks_nobody(browser: Browser, language: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(report_html(told("singles-day-2019", ORDERS), language), encoding="utf-8")
    for width, height in WIDTHS:
        browser.size(width, height)
        browser.driver.get(page.as_uri())
        assert browser.problems() == []
        assert browser.hosts() == set()
        assert browser.run("return performance.getEntriesByType('resource').length") == 0
        wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not browser.run(wide), f"{width} pixels: nothing sticks out of the page"
        assert browser.accessibility() == []
    total = browser.run("return JSON.parse(document.getElementById('totals').textContent).orders")
    assert total == ORDERS


def test_the_report_is_printed(browser: Browser, tmp_path: Path) -> None:
    """The fixture asks for the browser: without one nothing is printed."""
    assert browser is not None
    html, pdf = report_html(told("cardboard-day-2019", 300), "de"), tmp_path / "report.pdf"
    print_pdf(find_chromium(Settings()), html, pdf)
    assert pdf.read_bytes().startswith(b"%PDF-")
    with pytest.raises(FileExistsError):
        print_pdf(find_chromium(Settings()), html, pdf)

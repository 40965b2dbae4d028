"""The page where there is no number to show: nothing was read yet, or the ledger does not count the festival."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.acceptance.hall import FESTIVALS, Hall

if TYPE_CHECKING:
    from tests.acceptance.browser import Browser

DAY = FESTIVALS["singles-day-2019"]
READING = "The server has read no committed total yet"
ZEROS = r"return document.body.innerText.match(/[¥€$]0(?![.,\d])|\b0 (orders|boxes|parcels)/g)"


def test_before_a_committed_state_was_read_no_number_is_shown(browser: Browser) -> None:
    with Hall(DAY) as hall:
        hall.is_loaded = False
        browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
        browser.until(lambda: browser.text("state") == READING, "the page says why there is none")
        assert browser.text("hero") == "–"
        hall.is_loaded = True
        hall.sell(700, DAY.start_ms)
        hall.commit(DAY.start_ms + 6_000)
        browser.until(lambda: browser.text("hero") == "¥7", "the first committed state")
        browser.problems()  # the browser's own word on each answer 503


def test_a_festival_that_the_ledger_does_not_count_has_no_number(browser: Browser) -> None:
    with Hall(DAY) as hall:
        hall.ledger.count_only(DAY)
        hall.sell(700, DAY.start_ms)
        hall.commit(DAY.start_ms + 6_000)
        browser.driver.get(f"{hall.url}?lang=en&festival=cardboard-day-2019")
        browser.problems()  # those of the page before, whose server has gone
        told = "This festival is not counted by this ledger"
        browser.until(lambda: browser.text("state") == told, "the page says so")
        assert (browser.text("hero"), browser.text("count"), browser.text("peak")) == ("–", "–", "–")
        assert browser.run(ZEROS) is None
        assert browser.problems() == []
        browser.driver.get(f"{hall.url}?lang=en&festival={DAY.id}")
        browser.until(lambda: browser.text("hero") == "¥7", "one that is counted")

"""The big screen in a real browser, while a day is replayed on real Kafka and the worker that serves it is killed.

With SCREENSHOTS=directory its pictures go there.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams.broker.embedded import any_free_port
from streams.festivals import load_festivals
from streams.festivals.curves import load_curves
from streams.replay.scale import scaled, to_toml
from tests.acceptance.cluster import FESTIVAL

if TYPE_CHECKING:
    from tests.acceptance.browser import Browser
    from tests.acceptance.cluster import Cluster

pytestmark = pytest.mark.kafka
PICTURES = os.environ.get("SCREENSHOTS")
ORDERS = 26_000
SIZES = {"hall": (3840, 2160), "desk": (1920, 1080), "phone": (390, 844)}
DAY = load_festivals()[FESTIVAL]
HERO = "return ['hero', 'hero-spoken'].map((id) => document.getElementById(id).textContent)"


@pytest.fixture
def festivals(tmp_path: Path) -> Path:
    """Return a directory with the day as small as the replay, so that its milestones are passed."""
    directory = tmp_path / "festivals"
    directory.mkdir()
    (directory / "scaled.toml").write_text(to_toml(scaled(DAY, load_curves()[FESTIVAL], ORDERS)), encoding="utf-8")
    return directory


def digits(text: str) -> int:
    """Return the number in a text, whatever stands between its digits."""
    return int(re.sub(r"\D", "", text) or -1)


def plain(name: str) -> str:
    """Return a name without what tells the screen's spelling from a producer's."""
    return re.sub(r"[^a-z]", "", name.lower())


def shown(browser: Browser) -> int:
    """Return the hero number, in minor units."""
    return digits(browser.text("hero")) * 100


def state(browser: Browser) -> str:
    return str(browser.run("return document.body.dataset.state"))


def colour(browser: Browser) -> str:
    return str(browser.run("return getComputedStyle(document.getElementById('count')).color"))


def gross(cluster: Cluster) -> int:
    return int(cluster.totals()["home"]["gross"])


async def watch(browser: Browser, cluster: Cluster, least: int, orders: int) -> int:
    """See the hero number rise, never beyond what is committed, until so many orders are; return it."""
    while True:
        now, told = (digits(text) * 100 for text in browser.run(HERO))
        assert now >= least, "a total never goes back"
        assert now <= told, "a number that runs stays below the total that it runs to"
        # Two followers of one ledger are never at the same place: ours is given the time to see what the page was told.
        await cluster.until(lambda total=told: gross(cluster) >= total, "what is shown was committed", 5)  # type: ignore[misc]
        if cluster.totals()["orders"] >= orders:
            return now
        least = now


def totals_of_the_command(cluster: Cluster, *arguments: str) -> dict[str, Any]:
    own = {"FESTIVAL_BROKER": cluster.settings.bootstrap_servers, "FESTIVAL_PREFIX": cluster.settings.prefix}
    command = [sys.executable, "-m", "streams.cli", "totals", "--json", "--festival", FESTIVAL, *arguments]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=True, timeout=60)
    return dict(json.loads(done.stdout))


def faults(browser: Browser) -> list[str]:
    """Return what went wrong in the page; a worker at work may tell a visitor to come back, and the page does."""
    return [problem for problem in browser.problems() if "503" not in problem]


async def test_the_screen_through_a_day_and_a_kill(
    cluster: Cluster, browser: Browser, festivals: Path, tmp_path: Path
) -> None:
    port = any_free_port()
    environment = {"FESTIVAL_FESTIVALS_DIR": str(festivals), "FESTIVAL_SESSION_TIMEOUT_MS": "6000"}
    cluster.start_worker("one", web_port=port, **environment)
    await cluster.until(lambda: cluster.snapshot().is_complete, "the worker counts")
    cluster.start_replay("day", "--orders", str(ORDERS), "--speed", "4000", "--seed", "7", "--cancel", "0.01")
    browser.size(*SIZES["desk"])
    browser.media(prefers_color_scheme="dark")
    browser.driver.get(f"http://127.0.0.1:{port}/?lang=en&festival={FESTIVAL}")
    browser.run("window.isSamePage = true")
    browser.until(lambda: state(browser) == "live", "the screen is live")
    await asyncio.sleep(0.6)  # the change of colour is a transition
    alive_colour = colour(browser)
    seen = await watch(browser, cluster, 0, 3_000)
    assert faults(browser) == []

    cluster.kill("one")
    browser.until(lambda: state(browser) == "doubtful", "the screen greys", 10)
    assert "Disconnected" in browser.text("state")
    await asyncio.sleep(0.6)
    assert colour(browser) != alive_colour
    assert seen <= shown(browser)
    assert shown(browser) <= gross(cluster)
    cluster.start_worker("one", web_port=port, **environment)
    browser.until(lambda: state(browser) == "live", "the screen recovers by itself")
    browser.problems()  # those of the outage
    await watch(browser, cluster, seen, 20_000)
    if PICTURES:
        browser.until(lambda: state(browser) == "live", "the screen is live for its picture")
        await asyncio.sleep(0.6)  # and has its colours back
        browser.picture(Path(PICTURES) / "running.png")
    assert await cluster.ended("day") == 0
    await cluster.until_caught_up()
    assert browser.run("return window.isSamePage") is True, "without a reload"

    await the_numbers_are_those_of_the_command(cluster, browser)
    the_language_and_the_festival_can_be_switched(browser)
    browser.until(lambda: state(browser) == "live", "the screen is live again")
    for name, size in SIZES.items():
        for theme in ("light", "dark"):
            it_fits(browser, size, theme, Path(PICTURES or tmp_path) / f"{name}-{theme}.png")
    it_is_for_everybody(browser)
    assert browser.hosts() == {f"127.0.0.1:{port}"}
    assert faults(browser) == []


async def the_numbers_are_those_of_the_command(cluster: Cluster, browser: Browser) -> None:
    """Compare what is shown, once all is counted, with `festival totals`."""
    totals = totals_of_the_command(cluster, "--by", "platform")
    assert totals["orders"] == ORDERS
    browser.until(lambda: digits(browser.text("count")) == totals["orders"], "all orders are shown")
    browser.until(lambda: shown(browser) == totals["home"]["gross"] // 100 * 100, "all of the money is shown")
    assert digits(browser.text("hero-spoken")) == totals["home"]["gross"] // 100
    assert "4 of 4 partitions" in browser.text("partitions")
    browser.until(lambda: browser.text("lag") == "nothing behind", "nothing is behind")
    tiles = browser.run("return [...document.querySelectorAll('.tiles dd')].map((tile) => tile.textContent)")
    for count in (totals["cancelled"], totals["payments"]["refunded"], totals["payments"]["failed"]):
        assert f"{count:,}" in tiles
    rows = "[...document.querySelector('#ranks .panel').querySelectorAll('.rank-name')]"
    ranked = browser.run(f"return {rows}.map((name) => name.textContent)")
    assert [plain(name) for name in ranked] == [plain(row["platform"]) for row in totals["by"]][: len(ranked)]
    reached = browser.run("return [...document.querySelectorAll('.milestones .is-reached')].length")
    assert reached == len(DAY.milestones_minor), "the whole day passes every milestone"


def the_language_and_the_festival_can_be_switched(browser: Browser) -> None:
    """Switch to Chinese and back, to another festival and back."""
    english = shown(browser)
    browser.run("document.querySelector('button[value=zh]').click()")
    assert browser.text("hero-label") == "成交总额"
    assert re.search(r"\d万\d{4}", browser.text("hero"))
    assert shown(browser) == english
    assert browser.run("return document.documentElement.lang") == "zh-CN"
    assert "提交" in browser.text("fresh")
    assert "lang=zh" in browser.driver.current_url
    browser.run("document.querySelector('button[value=de]').click()")
    assert browser.text("hero-label") == "Bruttowarenwert"
    assert re.fullmatch(r"\d{1,3}(\.\d{3})+¥", browser.text("hero"))
    assert shown(browser) == english
    browser.run("document.querySelector('button[value=en]').click()")
    choose = "const all = document.getElementById('festivals'); all.value = arguments[0];"
    choose += "all.dispatchEvent(new Event('change'))"
    browser.run(choose, "cardboard-day-2019")
    browser.until(lambda: browser.text("hero-label") == "Boxes returned", "the other festival")
    assert digits(browser.text("hero")) == 0
    browser.run(choose, FESTIVAL)
    browser.until(lambda: shown(browser) == english, "the first festival again")


def it_fits(browser: Browser, size: tuple[int, int], theme: str, picture: Path) -> None:
    """See that nothing sticks out, nothing is hard to perceive, and keep a picture."""
    browser.size(*size)
    browser.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
    browser.until(lambda: browser.run("return innerWidth") == size[0], "the window has its size")
    browser.until(lambda: browser.overflows() == [], f"nothing sticks out at {size}, {browser.overflows()}", 5)
    if size[0] > size[1]:
        tall = browser.run("return document.documentElement.scrollHeight")
        assert tall <= size[1], f"nobody scrolls in a hall: {tall} rows at {size}"
    hero = browser.run("return document.getElementById('hero').getBoundingClientRect().height")
    assert hero > size[1] / 20, "the hero number can be read from afar"
    assert browser.accessibility() == []
    browser.until(lambda: browser.run("return document.getAnimations().length") == 0, "reduced motion is respected", 5)
    browser.picture(picture)
    assert picture.stat().st_size > 10_000


def it_is_for_everybody(browser: Browser) -> None:
    """See that the keyboard reaches every control, changes are told, and paper has no buttons."""
    browser.run("document.activeElement.blur()")
    reached = []
    for _ in range(5):
        browser.driver.switch_to.active_element.send_keys("\ue004")  # Tab
        reached.append(browser.run("return document.activeElement.tagName"))
        assert browser.run("return document.activeElement.matches(':focus-visible')")
    assert reached == ["SELECT", *["BUTTON"] * 4], "festival, three languages, the hall"
    assert browser.run("return document.getElementById('state').getAttribute('role')") == "status"
    assert browser.run("return document.getElementById('announced').ariaLive") == "polite"
    browser.media("print")
    assert browser.run("return getComputedStyle(document.querySelector('.controls')).display") == "none"
    browser.media()

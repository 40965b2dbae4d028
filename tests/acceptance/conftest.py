"""Fixtures of the fault tests and of the screen's."""

from __future__ import annotations

import os
import random
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browser import Browser, Page, lacking
from tests.acceptance.cluster import Cluster
from tests.acceptance.hall import FESTIVALS, Hall
from tests.conftest import skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SEED_VARIABLE = "FESTIVAL_TEST_SEED"


@pytest.fixture
def chaos() -> random.Random:
    """Return the source of random instants; its seed is printed with a failure and can be set to repeat one."""
    seed = int(os.environ.get(SEED_VARIABLE) or secrets.randbits(32))
    print(f"{SEED_VARIABLE}={seed}")  # noqa: T201 - shown by pytest with the failure
    return random.Random(seed)  # noqa: S311 - a test's


@pytest.fixture
async def cluster(kafka: str, prefix: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Return an empty cluster on the session's broker."""
    async with Cluster(kafka, prefix, tmp_path) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return the one browser of a session: starting one takes longer than most of its tests."""
    if (reason := lacking()) is not None:
        skip(reason)
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def browser(window: Browser) -> Browser:
    """Return the browser with an empty page, as if it had just started."""
    window.driver.get("about:blank")
    window.size(1920, 1080)
    window.media()
    window.problems()
    return window


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """Return a function that evaluates expressions in the page of 2019 (`Browser.module`)."""
    with Hall(FESTIVALS["singles-day-2019"]) as hall:
        browser.driver.get(f"{hall.url}?lang=en")
        yield browser.module

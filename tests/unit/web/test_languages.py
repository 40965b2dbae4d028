"""The page begins in the best of its languages for what a browser asks for."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from streams.web.languages import LANGUAGES, language_of


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("*", "en"),
        ("fr, it", "en"),
        ("de", "de"),
        ("DE-ch", "de"),
        ("zh-Hant-TW, en;q=0.5", "zh"),
        ("fr, de;q=0.3, zh;q=0.8", "zh"),
        ("en;q=0, de;q=0.1", "de"),
        ("de;q=0, zh;q=0", "en"),
        ("de;q=no, zh;q=0.1", "zh"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
    ],
)
def test_a_reader_is_answered_in_the_best_known_language(accepted: str | None, language: str) -> None:
    headers = {} if accepted is None else {"Accept-Language": accepted}
    assert language_of(make_mocked_request("GET", "/", headers=headers)) == language
    assert language in LANGUAGES

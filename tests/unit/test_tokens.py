"""Tokens: got once, anew before they expire, and used on while no new one is to be had."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import pytest

from streams.engine.clock import SystemClock
from streams.renewed import Secret
from streams.token_source import PROVIDERS, TokenSource
from streams.tokens import AGAIN_MS, EARLY_MS, TokenError, TokenProvider, provider_of
from tests.integration.secured_broker import TokenServer

if TYPE_CHECKING:
    from pathlib import Path


class Hand(SystemClock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at_ms = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms


class Giver:
    """Gives out numbered tokens of an hour, unless it is away."""

    def __init__(self, clock: Hand, life_ms: int = 3_600_000) -> None:
        self.clock, self.life_ms = clock, life_ms
        self.given = 0
        self.is_away = False

    def __call__(self) -> tuple[str, int]:
        if self.is_away:
            raise TokenError("away")
        self.given += 1
        return f"t{self.given}", self.clock.at_ms + self.life_ms


async def test_a_token_serves_all_connections_until_shortly_before_it_expires() -> None:
    clock = Hand()
    giver = Giver(clock)
    provider = TokenProvider(giver, {"logicalCluster": "lkc-1"}, clock)
    assert await asyncio.gather(*(provider.token() for _ in range(8))) == ["t1"] * 8
    assert provider.extensions() == {"logicalCluster": "lkc-1"}
    clock.at_ms += giver.life_ms - EARLY_MS - 1
    assert await provider.token() == "t1"
    clock.at_ms += 1
    assert await provider.token() == "t2"


async def test_a_token_of_a_short_life_is_got_anew_in_the_second_half_of_it() -> None:
    clock = Hand()
    provider = TokenProvider(Giver(clock, 10_000), {}, clock)
    assert await provider.token() == "t1"
    clock.at_ms += 4_999
    assert await provider.token() == "t1"
    clock.at_ms += 1
    assert await provider.token() == "t2"


async def test_a_token_that_is_still_good_is_used_while_no_new_one_is_to_be_had() -> None:
    clock = Hand()
    giver = Giver(clock, 10_000)
    provider = TokenProvider(giver, {}, clock)
    assert await provider.token() == "t1"
    giver.is_away = True
    clock.at_ms += 9_999
    assert await provider.token() == "t1"
    clock.at_ms += 1
    with pytest.raises(TokenError, match="away"):
        await provider.token()
    giver.is_away = False
    with pytest.raises(TokenError, match="away"):
        await provider.token()  # of a hundred clients one asks
    clock.at_ms += AGAIN_MS
    assert await provider.token() == "t2"


async def test_a_token_in_a_file_is_what_stands_there_now(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    provider = provider_of(TokenSource(file=Secret("first", file)))
    assert await provider.token() == "first"
    file.write_text("second\n")
    assert await provider.token() == "second"


async def test_an_address_gives_a_token_and_is_asked_no_second_time_while_it_is_good() -> None:
    with TokenServer(life_seconds=3_600) as server:
        source = TokenSource(url=server.url, client_id="festival", client_secret=Secret(server.secret), scope="count")
        provider = provider_of(source)
        assert provider_of(source) is provider
        assert await provider.token() == await provider.token()
        assert (server.given, server.scopes) == (1, ["count"])


def install(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package with a provider where Python finds it."""
    (folder / "theirs.py").write_text(f"def token():\n    {body}\n")
    told = folder / "theirs-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (told / "entry_points.txt").write_text(f"[{PROVIDERS}]\nours = theirs:token\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)


async def test_a_provider_that_is_installed_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, f"return 'signed', {int(time.time() * 1000) + 60_000}", monkeypatch)
    assert await provider_of(TokenSource(provider="ours", extensions=(("a", "b"),))).token() == "signed"


async def test_a_provider_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "raise RuntimeError('no role')", monkeypatch)
    with pytest.raises(TokenError, match="FESTIVAL_SECURITY_TOKEN_PROVIDER: ours fails: RuntimeError"):
        await provider_of(TokenSource(provider="ours", extensions=(("c", "d"),))).token()

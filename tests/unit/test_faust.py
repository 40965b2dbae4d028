"""The Faust app that `faust -A streams.faust` finds: its settings, what it lists, and what it keeps to itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import streams.faust as found
from streams.engine.topic_names import SOURCES
from streams.errors import UsageError
from streams.settings import Settings
from streams.shop_app import build_shop_app

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = "127.0.0.1:1"
PASSWORD = "not-to-be-seen-anywhere"  # noqa: S105 - that is what is tested
SHOP = '''
from streams.faust import app

@app.agent(app.topic("shop.clicks"))
async def clicks(stream):
    """Tells which pages are looked at."""
    async for click in stream:
        print(click)
'''


def faust(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Faust's command in a directory."""
    return subprocess.run(
        [sys.executable, "-m", "faust", *arguments],
        cwd=directory,
        env={**os.environ, "FESTIVAL_DATA_DIR": str(directory), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_options_of_faust_stand_above_the_settings_that_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESTIVAL_WEB_PORT", "7000")
    assert found.settings_of({}).web_port == 7000
    settings = found.settings_of({"web_port": 8000, "web_bind": "::1", "loglevel": "WARN", "datadir": "here"})
    assert (settings.web_port, settings.is_web_port_explicit, settings.web_host) == (8000, True, "::1")
    assert (settings.log_level, str(settings.data_dir)) == ("warning", "here")


@pytest.mark.parametrize("name", found.REFUSED)
def test_an_option_that_has_no_place_here_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"^--(out)?{name.replace('_', '-')}: |^--without-web: "):
        found.settings_of({name: None})


@pytest.mark.parametrize(("name", "value"), found.HARMLESS.items())
def test_an_option_that_says_what_is_so_anyway_is_taken(name: str, value: object) -> None:
    assert found.settings_of({name: value}) == found.settings_of({})


def test_whatever_is_wrong_with_options_and_settings_is_told_at_once(tmp_path: Path) -> None:
    arguments = ("--debug", "-A", "streams.faust", "worker", "--without-web", "--loglevel", "crit")
    done = faust(tmp_path, *arguments, FESTIVAL_BROKER=NOBODY)
    assert done.returncode == 2
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == ["festival:"] * 3
    for option in ("--debug", "--without-web", "--log-level: 'crit'"):
        assert option in done.stderr
    done = faust(tmp_path, "-A", "streams.faust", "worker", FESTIVAL_WEB_PORT="x", FESTIVAL_SHOW="maybe")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "festival: FESTIVAL_WEB_PORT: 'x' is not a whole number from 0 to 65535",
        "festival: FESTIVAL_SHOW: 'maybe' is neither yes nor no",
    ]


def test_without_a_broker_a_worker_says_so_and_agents_are_listed(tmp_path: Path) -> None:
    """One line each: those that count under their topics' names, and a shop's own."""
    done = faust(tmp_path, "-A", "streams.faust", "worker")
    assert done.returncode == 3
    assert "festival broker" in done.stderr
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    done = faust(tmp_path, "-A", "shop", "agents", FESTIVAL_PREFIX="trial.")
    assert done.returncode == 0, done.stderr
    for name in SOURCES:
        assert sum(f"@count-trial.{name} " in line for line in done.stdout.splitlines()) == 1
    (line,) = [line for line in done.stdout.splitlines() if "clicks" in line]
    assert "Tells which pages are looked at." in line


def test_a_page_of_a_shop_is_refused_where_it_is_declared() -> None:
    app = build_shop_app(Settings(), found.Worker)
    with pytest.raises(Exception, match="a worker of its own"):
        app.page("/mine")


def test_nothing_private_leaks(tmp_path: Path) -> None:
    """The module offers the app alone; a password stands neither in the banner nor in the log nor in a list."""
    assert found.__all__ == ["app"]
    secure = {
        "FESTIVAL_BROKER": NOBODY,
        "FESTIVAL_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FESTIVAL_SECURITY_MECHANISM": "PLAIN",
        "FESTIVAL_SECURITY_USER": "shop",
        "FESTIVAL_SECURITY_PASSWORD": PASSWORD,
    }
    (tmp_path / "shop.py").write_text(SHOP + "print(app.conf.broker_credentials)\n", encoding="utf-8")
    command = [sys.executable, "-m", "faust", "-A", "shop", "worker", "--loglevel", "debug"]
    environment = {**os.environ, "FESTIVAL_DATA_DIR": str(tmp_path), **secure}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as worker:
        assert worker.stdout is not None
        shown = ""
        for line in worker.stdout:
            shown += line
            if "Unable connect" in line:
                break
        worker.send_signal(signal.SIGTERM)
        shown += worker.stdout.read()
        assert worker.wait(30) == 0, shown
    assert "transport" in shown
    assert "username=shop" in shown
    assert PASSWORD not in shown

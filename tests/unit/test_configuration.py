"""The declared settings: the page, the flags and the help say what is read, and all of it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from streams import configuration
from streams.cli import main
from streams.configuration import SETTINGS
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from streams.setting_values import Setting

ROOT = Path(__file__).parents[2]
OF_TESTS = {"FESTIVAL_CI", "FESTIVAL_TEST_BROKER", "FESTIVAL_TEST_SEED", "FESTIVAL_CRASH_AT"} | {
    f"FESTIVAL_SOAK_{name}" for name in ("SECONDS", "RATE", "KILL_SECONDS", "REPORT")
}
"""Variables that are no settings of the product."""


def options() -> dict[str, list[click.Option]]:
    """Return the flags of all commands that are settings, by the name of the setting."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    found: dict[str, list[click.Option]] = {}
    for name in main.COMMANDS:
        command = main.Commands().get_command(click.Context(click.Command("x")), name)
        assert command is not None
        for option in command.params:
            if isinstance(option, click.Option) and option.name in fields:
                found.setdefault(option.name, []).append(option)
    return found


def test_the_committed_page_is_what_the_declarations_make() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == configuration.markdown(), "run: python -m streams.configuration > docs/settings.md"


def test_what_is_asked_of_the_environment_is_what_is_declared() -> None:
    asked: set[str] = set()

    class Recorder(dict[str, str]):
        """An environment that notes what it is asked for."""

        def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
            asked.add(key)
            return default

    load_settings(environ=Recorder())
    declared = {setting.variable for setting in SETTINGS}
    assert len(declared) == len(SETTINGS)
    assert {name for name in asked if name.startswith("FESTIVAL_")} == declared


def test_the_flags_are_those_that_the_commands_have_and_their_help_is_the_pages() -> None:
    declared = {setting.name: setting for setting in SETTINGS if setting.flag}
    given = options()
    assert given.keys() == declared.keys()
    for name, found in given.items():
        setting = declared[name]
        for option in found:
            assert option.opts == [setting.flag]
            assert (option.help or "").startswith(f"{setting.meaning} [{setting.variable}; ")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_is_described_in_sentences_and_its_default_is_one_that_could_be_given(
    setting: Setting[object],
) -> None:
    assert re.fullmatch(r"[A-Z].*\.", setting.meaning)
    assert setting.shown_default not in {"", "None"}
    if not setting.unset:
        assert setting.parse(str(setting.default)) == setting.default


def test_the_first_help_names_each_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    shown = "".join(capsys.readouterr().out.split())  # lines break at hyphens too
    for setting in SETTINGS:
        assert "".join(f"{setting.variable}{setting.meaning}[".split()) in shown


def test_no_other_variable_is_named_where_people_read() -> None:
    declared = {setting.variable for setting in SETTINGS} | OF_TESTS
    places = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Dockerfile", "docker-compose.yml")]
    places += [path for folder in ("docs", "deploy") for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in places:
        if path.suffix in {".md", ".yml", ".yaml", ".toml", ""}:
            # With `*` or `{` behind it, a name stands for several.
            named = set(re.findall(r"(?<!_)FESTIVAL_[A-Z_]*[A-Z](?![A-Z_]*[_*{<])", path.read_text("utf-8")))
            assert named <= declared, path

"""docs/settings.md against the code: each variable, its flag, its default, the commands that know the flag."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click
import pytest

from streams.cli import main
from streams.settings import Security, Settings, load_settings

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = {
    variable: (flag.strip().strip("`"), default.strip(), meaning.strip())
    for variable, flag, default, meaning in re.findall(
        r"^\| `(FESTIVAL_\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|$", PAGE, re.MULTILINE
    )
}
NOT_A_FIELD = {"FESTIVAL_SECURITY_USER": "username", "FESTIVAL_SECURITY_PASSWORD_FILE": "password"}


def options() -> dict[str, str]:
    """Return the flags of all commands that are settings, by the name of the setting."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    found: dict[str, str] = {}
    for name in main.COMMANDS:
        command = main.Commands().get_command(click.Context(click.Command("x")), name)
        assert command is not None
        found |= {p.name: p.opts[0] for p in command.params if isinstance(p, click.Option) and p.name in fields}
    return found


def field_of(variable: str) -> str:
    return variable.removeprefix("FESTIVAL_").lower()


def test_each_flag_is_the_one_that_the_commands_have() -> None:
    assert {field_of(variable): flag for variable, (flag, _, _) in ROWS.items() if flag} == options()


@pytest.mark.parametrize("variable", ROWS)
def test_each_default_is_the_one_that_is_used(variable: str) -> None:
    default = ROWS[variable][1]
    settings = load_settings(environ={})
    if variable.startswith("FESTIVAL_SECURITY_"):
        name = NOT_A_FIELD.get(variable, field_of(variable).removeprefix("security_"))
        value: object = getattr(Security(), name)
    else:
        value = getattr(settings, field_of(variable))
    if variable == "FESTIVAL_DATA_DIR":
        assert str(value).endswith("/data")
        assert default.startswith("`data` in a checkout")
    elif value is None or value == "":
        assert not default.startswith("`"), "words say what holds where nothing is set"
    else:
        assert re.match(rf"`{re.escape(str(value))}`", default), f"{variable}: the code says {value}"


def test_each_setting_says_what_it_means() -> None:
    assert all(meaning for _, _, meaning in ROWS.values())

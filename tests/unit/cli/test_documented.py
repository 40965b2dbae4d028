"""Every `festival ...` that a page shows is a command, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from streams.cli import main

ROOT = Path(__file__).parents[3]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
SHOWN = re.compile(r"(?:^|[\s`(/])festival ((?:[a-z]+)(?: [^`\n#|]*)?)")


def shown(page: Path) -> list[str]:
    """Return what stands behind `festival` in the code of a page: in blocks, and between backticks."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"^ {4}\S.*$", text, re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    # `festival` is a namespace too.
    lines = [line.partition(" -- ")[2] if line.startswith("kubectl") else line for line in lines]
    return [found[1] for line in lines if (found := SHOWN.search(f" {line}"))]


@pytest.mark.parametrize("page", [page for page in PAGES if shown(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_on_a_page_exists_and_takes_the_options_shown(page: Path) -> None:
    for line in shown(page):
        words = shlex.split(line.partition(" | ")[0].partition(" > ")[0], comments=True)
        assert words[0] in main.COMMANDS, f"{page.name}: festival {line}"
        command = main.Commands().get_command(click.Context(click.Command("x")), words[0])
        assert command is not None
        if isinstance(command, click.Group) and words[1:2] and words[1] in command.commands:
            command, words = command.commands[words[1]], words[1:]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        given = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        assert given <= known, f"{page.name}: festival {line}"
        check_values(command, words[1:], f"{page.name}: festival {line}")


def check_values(command: click.Command, words: list[str], where: str) -> None:
    """Fail where an option lacks its value, or a value shown is none that it takes; a placeholder such as N is any."""
    context = click.Context(command)
    plain = [word.strip("[]") for word in words]  # a synopsis shows what may be left out in brackets
    try:
        values, _, _ = command.make_parser(context).parse_args(plain)
        for parameter in command.params:
            value = values.get(parameter.name or "")
            if isinstance(value, str) and isinstance(
                parameter.type, click.Choice | click.types.FloatParamType | click.types.IntParamType
            ):
                assert value.isupper() or parameter.type.convert(value, parameter, context) is not None
    except click.UsageError as error:
        pytest.fail(f"{where}: {error.format_message()}")


def test_a_value_that_an_option_does_not_take_is_found() -> None:
    command = main.Commands().get_command(click.Context(click.Command("x")), "totals")
    assert command is not None
    check_values(command, ["--by", "platform", "--top", "N"], "right")
    for wrong in (["--by", "platform", "--top", "0"], ["--by"]):
        with pytest.raises(pytest.fail.Exception):
            check_values(command, wrong, "wrong")

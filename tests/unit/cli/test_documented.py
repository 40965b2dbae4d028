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
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        given = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        assert given <= known, f"{page.name}: festival {line}"

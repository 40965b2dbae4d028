"""The command line's frame: every ending is an exit status and, where something is wrong, a sentence on stderr."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from aiokafka.errors import KafkaConnectionError

from streams import __version__
from streams.broker import address
from streams.cli import main
from streams.cli.options import broker_options, json_option, settings_options, web_options
from streams.errors import AnswerNo, FestivalError, UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.settings import Settings


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | int | None], int]:
    """Return the exit status of a command that ends the given way."""

    def end(how: BaseException | int | None) -> int:
        @click.command("audit")
        def command() -> int | None:
            if isinstance(how, BaseException):
                raise how
            return how

        monkeypatch.setattr(main.Commands, "get_command", lambda *_: command)
        return main.run(["audit"])

    return end


@pytest.mark.parametrize(
    ("how", "status"),
    [
        (None, 0),
        (1, 1),
        (AnswerNo("they differ"), 1),
        (UsageError("wrong"), 2),
        (FestivalError("wrong"), 2),
        (click.UsageError("wrong"), 2),
        (UnreachableError("no broker"), 3),
        (KafkaConnectionError("no broker"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_ending_has_its_exit_status(
    ending: Callable[[object], int], how: object, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(how) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    if isinstance(how, FestivalError):
        assert shown.err == f"festival: {how}\n"


def test_an_error_of_the_programmer_is_not_dressed_up(ending: Callable[[object], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        ending(ZeroDivisionError())


def test_help_names_every_command_without_loading_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in main.COMMANDS)
    code = "import sys; from streams.cli.main import run; run(['--help']); sys.exit('aiokafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_version_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
    assert main.run(["count"]) == 2
    assert "No such command" in capsys.readouterr().err


def test_a_reader_of_the_output_who_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m streams.cli --help | head -c 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("U", "")


def test_flags_become_settings_and_the_rest_stays_with_the_command(tmp_path: Path) -> None:
    seen: list[tuple[Settings, bool]] = []

    @click.command()
    @json_option
    @web_options
    @settings_options
    def command(settings: Settings, *, as_json: bool) -> None:
        seen.append((settings, as_json))

    command.main(["--json", "--web-port", "7000", "--data", str(tmp_path), "--prefix", "x-"], standalone_mode=False)
    settings, as_json = seen[0]
    assert as_json
    assert (settings.web_port, settings.data_dir, settings.prefix, settings.broker) == (7000, tmp_path, "x-", None)
    with pytest.raises(UsageError, match="--web-port"):
        command.main(["--web-port", "http"], standalone_mode=False)


def test_the_broker_is_the_one_that_is_set_else_the_one_that_runs_else_none(tmp_path: Path) -> None:
    seen: list[str | None] = []

    @click.command()
    @broker_options
    def command(settings: Settings) -> None:
        seen.append(settings.broker)

    arguments = ["--data", str(tmp_path)]
    with pytest.raises(UnreachableError, match="festival broker"):
        command.main(arguments, standalone_mode=False)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        address.announce(tmp_path, "127.0.0.1:9999", running.pid)
        command.main(arguments, standalone_mode=False)
        command.main([*arguments, "--broker", "other:1"], standalone_mode=False)
        running.kill()
    assert seen == ["127.0.0.1:9999", "other:1"]
    with pytest.raises(UnreachableError, match="festival broker"):
        command.main(arguments, standalone_mode=False)

"""The worker as Faust's users start it: `faust -A streams.faust worker` runs what `festival worker` runs.

`app` takes a shop's own agents (`from streams.faust import app`), which run in the same process, in a consumer group
of their own (docs/faust.md). Settings come from `FESTIVAL_*`, and Faust's options stand above them where they mean the
same. Faust finds an app by an import, so the settings are read when this module is imported.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click
import faust
from click.core import ParameterSource
from faust.cli import agents as faust_agents

from streams.app import run_worker
from streams.broker import address
from streams.cli.main import status_of, tell
from streams.cli.options import start_log
from streams.engine.topic_names import SOURCES
from streams.errors import FestivalError, UnreachableError, UsageError
from streams.kafka.group.membership import agent_name
from streams.kafka.group.worker import COUNT
from streams.serving import worker_web
from streams.settings import load_settings
from streams.shop_app import ShopApp, build_shop_app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.settings import Settings

__all__ = ["app"]

MEANS = {"web_port": "web_port", "web_bind": "web_host", "loglevel": "log_level", "datadir": "data_dir"}
"""Faust's option → the setting it stands above."""
REFUSED = {
    "with_web": "--without-web: a worker always tells on HTTP whether it is ready; FESTIVAL_SHOW=no leaves totals out",
    "web_host": "--web-host: the address to serve HTTP on is --web-bind or FESTIVAL_WEB_HOST",
    "web_transport": "--web-transport: HTTP is served on --web-bind and --web-port",
    "logfile": "--logfile: logs go to stderr",
    "debug": "--debug: say --loglevel debug",
    "blocking_timeout": "--blocking-timeout: the log always tells when the process stood still",
    "console_port": "--console-port: there is no console",
    "loop": "--loop: the event loop is always uvloop's",
}
"""Faust's option → why it has no place here."""
HARMLESS = {"with_web": True, "debug": False, "loop": "uvloop"}
"""What says of such an option what is so anyway."""


class Refusal(click.ClickException):
    """What is wrong at the import of the app: Faust's command line ends with it as `festival` does."""

    def __init__(self, error: FestivalError) -> None:
        """Take over sentence and exit status."""
        super().__init__(str(error))
        self.exit_code = error.exit_status
        self._error = error

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002 - click's signature
        """Say it on stderr."""
        tell(self._error)


class Worker(faust.Worker):
    """What `faust worker` makes and runs: Faust's banner, and then the life of a worker that counts."""

    app: ShopApp

    def __init__(self, app: ShopApp, *services: Any, **options: Any) -> None:  # noqa: ANN401 - Faust's signature
        """Read the settings again, now with the options; raises `SystemExit` where something is wrong."""
        super().__init__(app, *services, **options)
        context = click.get_current_context(silent=True)
        self._given = {} if context is None else given(context, self.loglevel)
        if status := status_of(self._prepare):
            raise SystemExit(status)

    def _prepare(self) -> None:
        settings = settings_of(self._given)
        start_log(settings)
        self._settings = replace(settings, broker=address.resolve(settings))
        self.app.connect(self._settings)
        self.loglevel = settings.log_level  # for the banner

    def execute_from_commandline(self) -> NoReturn:
        """Count until SIGTERM or SIGINT; ends with the exit status that `festival worker` has."""
        raise SystemExit(status_of(self._count))

    def _count(self) -> None:
        # In the loop that Faust's command line has made: parts of the app belong to it already.
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            report = runner.run(run_worker(self._settings, services=(worker_web, self.app.beside)))
        if self._given.get("json"):
            click.echo(report.as_json())


class agents(faust_agents.agents):  # noqa: N801 - the command's name
    """List agents."""

    async def run(self, local: bool) -> None:  # noqa: FBT001 - Faust's signature
        """Print those that count, and a shop's own."""
        rows = [self.agent_to_row(agent) for agent in self.agents(local=local)]
        if isinstance(self.app, ShopApp):
            rows = [*_counting(load_settings().prefix), *rows]
        self.say(self.tabulate(rows, headers=self.headers, title=self.title))


def _counting(prefix: str) -> list[list[str]]:
    """Return name, topic and help of each agent of a worker."""
    topics = [prefix + topic for topic in SOURCES]
    return [[f"@{agent_name(COUNT, topic)}", topic, "Counts it into the ledger."] for topic in topics]


def given(context: click.Context, loglevel: object) -> dict[str, Any]:
    """Return the options of a command line by name, those before the command too; none that was left to its default.

    Faust keeps the values of some to itself, of which `loglevel` is one that has a meaning here.
    """
    found: dict[str, Any] = {}
    for one in (context.parent, context):
        for option in () if one is None else one.command.params:
            name = option.name or ""
            if one is not None and one.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                found[name] = loglevel if name == "loglevel" else one.params.get(name)
    return found


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Return the settings under Faust's options; raises `UsageError` with a line for whatever is wrong."""
    problems = [
        sentence
        for name, sentence in REFUSED.items()
        if name in options and (name not in HARMLESS or options[name] != HARMLESS[name])
    ]
    flags = {setting: options[name] for name, setting in MEANS.items() if name in options}
    if str(flags.get("log_level", "")).lower() == "warn":
        flags["log_level"] = "warning"
    try:
        settings = load_settings(flags)
    except UsageError as error:
        problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))
    return settings


def _app() -> ShopApp:
    try:
        settings = load_settings()
    except FestivalError as error:
        raise Refusal(error) from error
    with suppress(UnreachableError):  # to list agents none is needed, and a worker says that there is none
        settings = replace(settings, broker=address.resolve(settings))
    return build_shop_app(settings, Worker)


app = _app()

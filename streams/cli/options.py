"""Options that several commands share, as decorators: every flag is a setting, a flag wins over its variable.

A command takes `settings: Settings` from `@broker_options` (broker known) or `@settings_options` (broker not looked
up); options whose names are fields of `Settings`, given beside them as `@web_options`, are folded into it.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streams import configuration, log
from streams.broker import address
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.setting_values import Setting

    F = TypeVar("F", bound=Callable[..., Any])

_FIELDS = frozenset(field.name for field in dataclasses.fields(Settings))


def setting_option(setting: Setting[object]) -> Callable[[F], F]:
    """Return the decorator that adds a setting's flag, with the help that the page of settings has."""
    assert setting.flag is not None, setting.name
    shown = f"{setting.meaning} [{setting.variable}; default: {setting.shown_default}]"
    return click.option(setting.flag, setting.name, metavar=setting.metavar, help=shown)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def web_options(command: F) -> F:
    """Add `--web-host` and `--web-port`; they end up in `settings`."""
    return _with_flags(command, configuration.WEB)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options and hand them to the command as `settings`; `settings.broker` may be None."""
    return _with_settings(command, has_broker=False)


def broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options and hand them to the command as `settings`, with the broker's address in it.

    The command is not entered where no broker is set and none is running: exit 3. With `--sealed` none is looked for.
    """
    return _with_settings(command, has_broker=True)


def start_log(settings: Settings) -> None:
    """Log from now on as the settings say."""
    log.configure(settings.log_level, settings.log_format)
    log.identify(prefix=settings.prefix)


def _with_settings(command: Callable[..., Any], *, has_broker: bool) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(**parameters: Any) -> Any:  # noqa: ANN401 - whatever options the command has
        flags = {name: parameters.pop(name) for name in _FIELDS & parameters.keys()}
        settings = load_settings(flags)
        start_log(settings)
        if has_broker and not parameters.get("sealed"):
            settings = dataclasses.replace(settings, broker=address.resolve(settings))
        return command(settings=settings, **parameters)

    return _with_flags(run, configuration.COMMON)


def _with_flags(command: F, settings: Sequence[Setting[object]]) -> F:
    for setting in reversed(settings):
        command = setting_option(setting)(command)
    return command

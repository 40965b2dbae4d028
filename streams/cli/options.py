"""Options that several commands share, as decorators: every flag is a setting, a flag wins over its variable.

A command takes `settings: Settings` from `@broker_options` (broker known) or `@settings_options` (broker not looked
up); options whose names are fields of `Settings`, given beside them as `@web_options`, are folded into it.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streams import log
from streams.kafka import address
from streams.settings import LOG_FORMATS, LOG_LEVELS, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., Any])

_FIELDS = frozenset(field.name for field in dataclasses.fields(Settings))
_COMMON = (
    click.option("--broker", metavar="HOST:PORT", help="Kafka to use; unset: the embedded one that is running."),
    click.option("--prefix", metavar="TEXT", help="Put before topics, group and transactional ids."),
    click.option("--festivals", "festivals_dir", metavar="DIR", help="Festival files besides the built-in ones."),
    click.option("--data", "data_dir", metavar="DIR", help="Where data lies; default: data in a checkout."),
    click.option("--log-level", metavar="LEVEL", help=f"One of {', '.join(LOG_LEVELS)}; default: info."),
    click.option("--log-format", metavar="FORMAT", help=f"One of {', '.join(LOG_FORMATS)}; default: text."),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def web_options(command: F) -> F:
    """Add `--web-host` and `--web-port`; they end up in `settings`."""
    host = click.option("--web-host", metavar="HOST", help="Address to serve HTTP on; default: 127.0.0.1.")
    port = click.option("--web-port", metavar="PORT", help="Port to serve HTTP on; default: 6066 or the next free one.")
    return host(port(command))


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options and hand them to the command as `settings`; `settings.broker` may be None."""
    return _with_settings(command, has_broker=False)


def broker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options and hand them to the command as `settings`, with the broker's address in it.

    The command is not entered where no broker is set and none is running: exit 3.
    """
    return _with_settings(command, has_broker=True)


def _with_settings(command: Callable[..., Any], *, has_broker: bool) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(**parameters: Any) -> Any:  # noqa: ANN401 - whatever options the command has
        flags = {name: parameters.pop(name) for name in _FIELDS & parameters.keys()}
        settings = load_settings(flags)
        log.configure(settings.log_level, settings.log_format)
        if has_broker:
            settings = dataclasses.replace(settings, broker=address.resolve(settings))
        return command(settings=settings, **parameters)

    for option in reversed(_COMMON):
        run = option(run)
    return run

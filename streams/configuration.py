"""Every setting, declared once: how it is given, read and described.

`streams.settings` reads them, the command line makes its flags and its help of them, and
`python -m streams.configuration` writes the page `docs/settings.md`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T_co = TypeVar("T_co", covariant=True)

DAY_MS = 24 * 60 * 60 * 1000
_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]*")
_PREFIX_LENGTH = 200  # Kafka's names end at 249 characters, and ours follow the prefix


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """One setting."""

    name: str
    parse: Callable[[str], T_co]
    """Raises `ValueError` or `OSError`, with what is wrong."""
    default: T_co
    meaning: str
    """Sentences, for the page and for `--help`."""
    flag: str | None = None
    metavar: str | None = None
    unset: str = ""
    """What holds where it is not given, in words; "" where the default says it."""

    @property
    def variable(self) -> str:
        """Return the environment variable."""
        return f"FESTIVAL_{self.name.upper()}"

    @property
    def shown_default(self) -> str:
        """Return what holds where it is not given."""
        return self.unset or str(self.default)


def _broker(text: str) -> str:
    servers = [server.strip() for server in text.split(",")]
    for server in servers:
        host, colon, port = server.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:  # noqa: PLR2004
            raise ValueError(f"{server!r} is not HOST:PORT")
    return ",".join(servers)


def _prefix(text: str) -> str:
    if not _TOPIC_NAME.fullmatch(text) or len(text) > _PREFIX_LENGTH:
        raise ValueError(
            f"{text!r} cannot begin a topic's name: letters, digits, '.', '_' and '-', up to {_PREFIX_LENGTH}"
        )
    return text


def _worker_name(text: str) -> str:
    # It becomes a group instance id and the name of a directory.
    if not _TOPIC_NAME.fullmatch(text) or text in {".", ".."} or len(text) > _PREFIX_LENGTH:
        raise ValueError(f"{text!r} is no name: letters, digits, '.', '_' and '-', up to {_PREFIX_LENGTH}")
    return text


def _directory(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError(f"{text} is no directory")
    return path


def _file(text: str) -> Path:
    path = Path(text)
    with path.open("rb"):
        return path


def _first_line(text: str) -> str:
    line = Path(text).read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    if not line:
        raise ValueError(f"{text} begins with an empty line, the password should stand there")
    return line


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def _choice(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for name in names:
            if name.lower() == text.lower():
                return name
        raise ValueError(f"{text!r} is none of {', '.join(names)}")

    return parse


BROKER: Setting[str | None] = Setting(
    "broker",
    _broker,
    None,
    "Kafka's bootstrap servers.",
    flag="--broker",
    metavar="HOST:PORT[,HOST:PORT]",
    unset="the embedded Kafka that runs here",
)
PREFIX = Setting(
    "prefix",
    _prefix,
    "",
    "Put before topics, ledger, consumer group and transactional ids; letters, digits, '.', '_' and '-'.",
    flag="--prefix",
    metavar="TEXT",
    unset="nothing",
)
FESTIVALS_DIR: Setting[Path | None] = Setting(
    "festivals_dir",
    _directory,
    None,
    "A directory of festival files, besides the built-in ones.",
    flag="--festivals",
    metavar="DIR",
    unset="only the built-in ones",
)
DATA_DIR: Setting[Path | None] = Setting(
    "data_dir",
    Path,
    None,
    "Where the embedded Kafka has its data and address, and the audit its last result; a worker keeps nothing there "
    "that it cannot lose.",
    flag="--data",
    metavar="DIR",
    unset="data in a checkout, else festival in $XDG_DATA_HOME",
)
NAME: Setting[str | None] = Setting(
    "name",
    _worker_name,
    None,
    "A worker's name: its place in the group, locked on this machine.",
    flag="--name",
    metavar="NAME",
    unset="made of host and web port",
)
WEB_HOST = Setting("web_host", str, "127.0.0.1", "Address to serve HTTP on.", flag="--web-host", metavar="HOST")
WEB_PORT = Setting(
    "web_port",
    _whole(0, 65_535),
    6066,
    "Port to serve HTTP on; one that is given and taken is an error.",
    flag="--web-port",
    metavar="PORT",
    unset="6066, or the next free one",
)
CHECKPOINT_INTERVAL_MS = Setting(
    "checkpoint_interval_ms",
    _whole(10, 60_000),
    500,
    "Milliseconds between two checkpoints of a partition; longer where a worker has more than 16.",
)
SESSION_TIMEOUT_MS = Setting(
    "session_timeout_ms",
    _whole(1_000, 30 * 60_000),
    6_000,
    "After this silence, in milliseconds, a worker's partitions go to others.",
)
SETTLE_MS = Setting(
    "settle_ms",
    _whole(0, 3650 * DAY_MS),
    30 * DAY_MS,
    f"How many milliseconds after its end a festival's events still count (a day has {DAY_MS}); the sources keep "
    "5 days more.",
)
DEDUP_HORIZON_MINUTES = Setting(
    "dedup_horizon_minutes",
    _whole(0, 24 * 60),
    10,
    "How many minutes a resend is known as one, in Kafka's record time.",
)
LOG_LEVEL = Setting(
    "log_level",
    _choice("debug", "info", "warning", "error"),
    "info",
    "How much is logged: debug, info, warning or error.",
    flag="--log-level",
    metavar="LEVEL",
)
LOG_FORMAT = Setting(
    "log_format",
    _choice("text", "json"),
    "text",
    "How it is logged, on stderr, a line per event: text or json.",
    flag="--log-format",
    metavar="FORMAT",
)
SECURITY_PROTOCOL = Setting(
    "security_protocol",
    _choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "PLAINTEXT",
    "How to speak to Kafka: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.",
)
SECURITY_MECHANISM: Setting[str | None] = Setting(
    "security_mechanism",
    _choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    None,
    "With SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.",
    unset="none",
)
SECURITY_USER: Setting[str | None] = Setting("security_user", str, None, "With SASL: who we are.", unset="none")
SECURITY_PASSWORD: Setting[str | None] = Setting(
    "security_password", str, None, "With SASL; never shown or logged.", unset="none"
)
SECURITY_PASSWORD_FILE: Setting[str | None] = Setting(
    "security_password_file",
    _first_line,
    None,
    "Instead: a file whose first line is the password, as mounted secrets are.",
    unset="none",
)
SECURITY_CA_FILE: Setting[Path | None] = Setting(
    "security_ca_file", _file, None, "With TLS: the certificates to trust, PEM.", unset="the system's"
)

COMMON = (BROKER, PREFIX, FESTIVALS_DIR, DATA_DIR, LOG_LEVEL, LOG_FORMAT)
"""Flags of every command."""
WEB = (WEB_HOST, WEB_PORT)
"""Flags of those that serve."""
SETTINGS: tuple[Setting[object], ...] = (
    BROKER,
    PREFIX,
    FESTIVALS_DIR,
    DATA_DIR,
    NAME,
    WEB_HOST,
    WEB_PORT,
    CHECKPOINT_INTERVAL_MS,
    SESSION_TIMEOUT_MS,
    SETTLE_MS,
    DEDUP_HORIZON_MINUTES,
    LOG_LEVEL,
    LOG_FORMAT,
    SECURITY_PROTOCOL,
    SECURITY_MECHANISM,
    SECURITY_USER,
    SECURITY_PASSWORD,
    SECURITY_PASSWORD_FILE,
    SECURITY_CA_FILE,
)

_INTRODUCTION = f"""# Settings

Written by `python -m streams.configuration > docs/settings.md` from the declarations in `streams/configuration.py`; a
test compares.

Each setting is an environment variable, some are a flag of the commands as well, which wins; an empty variable is none.
All are checked before anything starts, and whatever is wrong is told at once (exit status 2). Every process of one
cluster needs the same `{PREFIX.variable}`, `{SETTLE_MS.variable}`, `{DEDUP_HORIZON_MINUTES.variable}` and festival
files: they decide counts, and a worker whose own differ refuses to count. What a worker's user must be allowed on a
cluster with ACLs stands in [operations](operations.md).
"""


def markdown() -> str:
    """Return the page `docs/settings.md`."""
    rows = [
        f"| `{s.variable}` | {f'`{s.flag}`' if s.flag else ''} | {s.unset or f'`{s.default}`'} | {s.meaning} |"
        for s in SETTINGS
    ]
    table = "\n".join(["| variable | flag | default | meaning |", "|---|---|---|---|", *rows])
    return f"{_INTRODUCTION}\n{table}\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())

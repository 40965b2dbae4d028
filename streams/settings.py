"""Settings: the environment and a command's flags, read once into one frozen value.

Every setting has an environment variable `FESTIVAL_<NAME>`; a flag wins over its variable. Whatever is wrong is
reported at once, in one `UsageError`. Read by the composition root and the command line; handed to everything else.
"""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
D = TypeVar("D")

DAY_MS = 24 * 60 * 60 * 1000
WEB_PORT = 6066
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]*")
_PREFIX_LENGTH = 200  # Kafka's names end at 249 characters, and ours follow the prefix


class Secret(str):
    """Text that shows itself to nobody who asks with `repr`, as tracebacks and logged dictionaries do."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a placeholder."""
        return "'***'"


@dataclass(frozen=True, slots=True)
class Security:
    """How to speak to the broker: `FESTIVAL_SECURITY_{PROTOCOL,MECHANISM,USER,PASSWORD,PASSWORD_FILE,CA_FILE}`."""

    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @property
    def has_sasl(self) -> bool:
        """Whether the broker asks who we are."""
        return self.protocol.startswith("SASL_")

    @property
    def has_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol.endswith("SSL")

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments every aiokafka client takes; reads the CA file."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.has_tls:
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.has_sasl:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is set from outside. Immutable: a process reads it once."""

    broker: str | None = None
    """Bootstrap servers, "host:port[,host:port]"; None: the embedded Kafka that is running."""
    prefix: str = ""
    """Put before topics, ledger, consumer group and transactional ids."""
    festivals_dir: Path | None = None
    data_dir: Path = Path("data")
    security: Security = Security()
    web_host: str = "127.0.0.1"
    web_port: int = WEB_PORT
    is_web_port_explicit: bool = False
    """A default port that is taken gives way to the next free one, an explicit one does not."""
    name: str | None = None
    """Of a worker: its group instance id and the name of its data directory."""
    checkpoint_interval_ms: int = 500
    settle_ms: int = 30 * DAY_MS
    dedup_horizon_minutes: int = 10
    session_timeout_ms: int = 6_000
    log_level: str = "info"
    log_format: str = "text"

    @property
    def bootstrap_servers(self) -> str:
        """Return the broker's address; the command line has looked it up before anybody asks."""
        assert self.broker is not None, "resolve the broker first (streams.kafka.address.resolve)"
        return self.broker

    def client_options(self) -> dict[str, Any]:
        """Return what every aiokafka client needs to connect: addresses and security."""
        return {"bootstrap_servers": self.bootstrap_servers, **self.security.client_options()}


def default_data_dir(package: Path, environ: Mapping[str, str]) -> Path:
    """Return where data lies unless said: `data` in a checkout of the source, else the user's data directory.

    It does not depend on the working directory, so that commands started anywhere find the same embedded Kafka.
    """
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout / "data"
    home = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local" / "share")
    return Path(home) / "festival"


def load_settings(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from `flags` (names of `Settings` fields; None: not given) over the environment.

    Raises `UsageError` with one line for each setting that is wrong.
    """
    reader = _Reader(flags or {}, os.environ if environ is None else environ)
    settings = Settings(
        broker=reader.read("broker", _broker, None),
        prefix=reader.read("prefix", _prefix, ""),
        festivals_dir=reader.read("festivals_dir", _directory, None),
        data_dir=reader.read("data_dir", Path, default_data_dir(Path(__file__).parent, reader.environ)),
        security=_security(reader),
        web_host=reader.read("web_host", str, "127.0.0.1"),
        web_port=reader.read("web_port", _whole(0, 65_535), WEB_PORT),
        is_web_port_explicit=reader.text("web_port") is not None,
        name=reader.read("name", _worker_name, None),
        checkpoint_interval_ms=reader.read("checkpoint_interval_ms", _whole(10, 60_000), 500),
        settle_ms=reader.read("settle_ms", _whole(0, 3650 * DAY_MS), 30 * DAY_MS),
        dedup_horizon_minutes=reader.read("dedup_horizon_minutes", _whole(0, 24 * 60), 10),
        session_timeout_ms=reader.read("session_timeout_ms", _whole(1_000, 30 * 60_000), 6_000),
        log_level=reader.read("log_level", _choice(*LOG_LEVELS), "info"),
        log_format=reader.read("log_format", _choice(*LOG_FORMATS), "text"),
    )
    if reader.problems:
        raise UsageError("\n".join(reader.problems))
    return settings


class _Reader:
    """Reads one setting after another and collects what is wrong."""

    def __init__(self, flags: Mapping[str, object], environ: Mapping[str, str]) -> None:
        self.flags = flags
        self.environ = environ
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        """Return the setting as text, None where it is not given; an empty variable is none."""
        flag = self.flags.get(name)
        return str(flag) if flag is not None else self.environ.get(f"FESTIVAL_{name.upper()}") or None

    def read(self, name: str, parse: Callable[[str], T], default: D) -> T | D:
        """Return the parsed setting, or `default`: where it is not given, and where it is wrong."""
        text = self.text(name)
        if text is None:
            return default
        try:
            return parse(text)
        except (ValueError, OSError) as error:
            flag = self.flags.get(name) is not None
            where = f"--{_FLAGS.get(name, name).replace('_', '-')}" if flag else f"FESTIVAL_{name.upper()}"
            self.problems.append(f"{where}: {error}")
            return default


_FLAGS = {"festivals_dir": "festivals", "data_dir": "data"}


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


def _security(reader: _Reader) -> Security:
    """Return the security settings; they come from the environment only, as everybody can list a process's flags."""
    security = Security(
        protocol=reader.read("security_protocol", _choice(*PROTOCOLS), "PLAINTEXT"),
        mechanism=reader.read("security_mechanism", _choice(*MECHANISMS), None),
        username=reader.read("security_user", str, None),
        password=_password(reader),
        ca_file=reader.read("security_ca_file", _file, None),
    )
    credentials = {
        "FESTIVAL_SECURITY_MECHANISM": security.mechanism,
        "FESTIVAL_SECURITY_USER": security.username,
        "FESTIVAL_SECURITY_PASSWORD or FESTIVAL_SECURITY_PASSWORD_FILE": security.password,
    }
    if reader.problems:
        return security
    if security.has_sasl:
        reader.problems += [f"{name}: {security.protocol} needs it" for name, value in credentials.items() if not value]
    elif any(credentials.values()):
        reader.problems.append(
            "FESTIVAL_SECURITY_PROTOCOL: a user or password is only sent with SASL_PLAINTEXT or SASL_SSL"
        )
    if security.ca_file and not security.has_tls:
        reader.problems.append("FESTIVAL_SECURITY_CA_FILE: a CA file is only used with SSL or SASL_SSL")
    return security


def _password(reader: _Reader) -> Secret | None:
    if reader.text("security_password") and reader.text("security_password_file"):
        reader.problems.append(
            "FESTIVAL_SECURITY_PASSWORD: given besides FESTIVAL_SECURITY_PASSWORD_FILE, set one of them"
        )
    in_file = reader.read("security_password_file", _first_line, None)
    return in_file or reader.read("security_password", Secret, None)


def _file(text: str) -> Path:
    path = Path(text)
    with path.open("rb"):
        return path


def _first_line(text: str) -> Secret:
    line = Path(text).read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    if not line:
        raise ValueError(f"{text} begins with an empty line, the password should stand there")
    return Secret(line)

"""What a setting is, and how its text becomes its value: each function raises `ValueError` or `OSError`.

The settings themselves stand in `streams.configuration` and `streams.security_configuration`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from streams.renewed import first_line as line_of

if TYPE_CHECKING:
    from collections.abc import Callable

T_co = TypeVar("T_co", covariant=True)

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]*")
_HOST_NAME = re.compile(r"(\*|[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?")
_SEGMENT = re.compile(r"(?!\.\.?$)[A-Za-z0-9._~-]+")
_FRAME_SOURCE = re.compile(
    r"'none'|'self'|[a-z][a-z0-9+.-]*:"
    r"|(?!(?:none|self)$)([a-z][a-z0-9+.-]*://)?(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:([0-9]+|\*))?(/[^\s;,']*)?",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://[^\s/@]+(/[^\s@]*)?")
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


def broker(text: str) -> str:
    """Return `HOST:PORT`, or several with commas between them."""
    servers = [server.strip() for server in text.split(",")]
    for server in servers:
        host, colon, port = server.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:  # noqa: PLR2004
            raise ValueError(f"{server!r} is not HOST:PORT")
    return ",".join(servers)


def prefix(text: str) -> str:
    """Return what stands before the names on Kafka."""
    if not _TOPIC_NAME.fullmatch(text) or len(text) > _PREFIX_LENGTH:
        raise ValueError(
            f"{text!r} cannot begin a topic's name: letters, digits, '.', '_' and '-', up to {_PREFIX_LENGTH}"
        )
    return text


def worker_name(text: str) -> str:
    """Return a worker's name."""
    # It becomes a group instance id and the name of a directory.
    if not _TOPIC_NAME.fullmatch(text) or text in {".", ".."} or len(text) > _PREFIX_LENGTH:
        raise ValueError(f"{text!r} is no name: letters, digits, '.', '_' and '-', up to {_PREFIX_LENGTH}")
    return text


def directory(text: str) -> Path:
    """Return a folder that is there."""
    path = Path(text)
    if not path.is_dir():
        raise ValueError(f"{text} is no directory")
    return path


def file(text: str) -> Path:
    """Return a file that can be read."""
    path = Path(text)
    with path.open("rb"):
        return path


def first_line(text: str) -> str:
    """Return the first line of a file."""
    return line_of(Path(text))


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Return names with values, as `name=value` with commas between them."""
    found = [pair.partition("=") for pair in text.split(",")]
    for name, equals, value in found:
        if not equals or not re.fullmatch(r"[A-Za-z]+", name.strip()) or not value.isprintable():
            raise ValueError(f"{text!r}: write name=value,name=value, names of letters")
    return tuple((name.strip(), value.strip()) for name, _, value in found)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return how a whole number within limits is read."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def hosts(text: str) -> tuple[str, ...]:
    """Return host names in lower case without ports, IPv6 addresses in brackets."""
    hosts = []
    for given in text.split(","):
        host = given.strip().lower()
        if host.count(":") > 1 and not host.startswith("["):
            host = f"[{host}]"
        found = _HOST_NAME.fullmatch(host)
        if found is None:
            raise ValueError(f"{given.strip()!r} is no host; write names or addresses such as board.example.com, or *")
        hosts.append(found[1].removesuffix("."))
    return tuple(hosts)


def web_path(text: str) -> str:
    """Return a path with a slash at both ends."""
    path = f"/{text.strip('/')}/" if text.strip("/") else "/"
    segments = path[1:-1].split("/")
    if not text.startswith("/") or (path != "/" and not all(map(_SEGMENT.fullmatch, segments))):
        raise ValueError(f"{text!r} is no path such as /board/: letters, digits, '.', '_', '~' and '-' between slashes")
    return path


def frame_ancestors(text: str) -> str:
    """Return sources of `frame-ancestors`, one space between two."""
    sources = text.split()
    for source in sources:
        if not _FRAME_SOURCE.fullmatch(source):
            raise ValueError(f"{source!r} is no source; write 'none', or 'self' and https://intranet.example.com")
    if not sources or ("'none'" in sources and len(sources) > 1):
        raise ValueError(f"{text!r}: write 'none' alone, or at least one source")
    return " ".join(sources)


def yes_or_no(text: str) -> bool:
    """Return whether the text says yes."""
    if text.lower() not in {"yes", "no"}:
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.lower() == "yes"


def url(text: str) -> str:
    """Return one address."""
    if not _URL.fullmatch(text):
        told = "that" if "@" in text else repr(text)  # a secret is not said again
        raise ValueError(f"{told} is no address such as https://login.example.com/token, without user and password")
    return text


def urls(text: str) -> tuple[str, ...]:
    """Return addresses of a registry."""
    urls = tuple(url.strip().rstrip("/") for url in text.split(","))
    for url in urls:
        if not _URL.fullmatch(url):
            told = "that" if "@" in url else repr(url)  # a secret is not said again
            raise ValueError(f"{told} is no address such as http://registry:8081, without user and password")
    return urls


def choice(*names: str) -> Callable[[str], str]:
    """Return how one of these names is read, in any case."""

    def parse(text: str) -> str:
        for name in names:
            if name.lower() == text.lower():
                return name
        raise ValueError(f"{text!r} is none of {', '.join(names)}")

    return parse

"""The file of `--web-config`: TLS, users and headers as Prometheus' exporter-toolkit has them; tokens are ours.

Read whole and strictly: what is not known here is named, for a mistyped key would leave a door open.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import yaml

from streams.errors import UsageError
from streams.renewed import why_unusable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


class ClientAuth(Enum):
    """What a client must show of itself, as the toolkit (and Go) names it."""

    NONE = "NoClientCert"
    IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRED = "RequireAndVerifyClientCert"


_VERIFYING = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
}
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_KNOWN = ("tls_server_config", "http_server_config", "basic_auth_users", "bearer_tokens", "health_without_auth")
_OF_TLS = ("cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version")
_HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
"""Those that the toolkit lets be set."""
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
COST_LIMIT = 15
"""The largest cost of bcrypt: one more doubles the time, and this one takes two seconds of a CPU."""
_TOKEN = re.compile(r"sha256:([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Tls:
    """How the server shows itself, and what it wants to see."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth: ClientAuth = ClientAuth.NONE
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED

    @property
    def files(self) -> list[Path]:
        """Return the files it is made of."""
        return [file for file in (self.cert_file, self.key_file, self.client_ca_file) if file is not None]

    def context(self) -> ssl.SSLContext:
        """Return what connections are made with; reads the files. Raises `ValueError` where they cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self.min_version, self.max_version
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        except (OSError, ValueError) as error:
            raise ValueError(f"cert_file {self.cert_file}, key_file {self.key_file}: {why_unusable(error)}") from error
        if self.client_ca_file is not None:
            try:
                context.load_verify_locations(self.client_ca_file)
            except (OSError, ValueError) as error:
                raise ValueError(f"client_ca_file {self.client_ca_file}: {why_unusable(error)}") from error
        context.verify_mode = _VERIFYING[self.client_auth]
        return context


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A whole file; without one nothing is asked of anybody."""

    tls: Tls | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    """Name → bcrypt hash."""
    tokens: Mapping[str, bytes] = field(default_factory=dict)
    """Name → SHA-256 of the token."""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_health_open: bool = False
    """Whether `/livez` and `/readyz` are told to everybody."""


def read_web_config(file: Path) -> WebConfig:
    """Return what a file says. Raises `UsageError` with everything that is wrong."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--web-config: {file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # The error quotes the line it stands in: a hash of a password is not for the log.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise UsageError(f"--web-config: {file}{where}: that is no YAML") from None
    reader = _Reader(file.parent)
    config = reader.whole({} if document is None else document)
    if reader.problems:
        raise UsageError("\n".join(f"--web-config: {file}: {problem}" for problem in reader.problems))
    return config


class _Reader:
    """Reads one part after another and collects what is wrong."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[str] = []

    def whole(self, document: Any) -> WebConfig:  # noqa: ANN401 - YAML
        table = self._table("", document, _KNOWN)
        is_open = table.get("health_without_auth", False)
        if not isinstance(is_open, bool):
            self.problems.append("health_without_auth: true or false")
        return WebConfig(
            self._tls(table["tls_server_config"]) if "tls_server_config" in table else None,
            self._each(table, "basic_auth_users", _hash),
            self._each(table, "bearer_tokens", _digest),
            self._headers(table.get("http_server_config", {})),
            is_open is True,
        )

    def _table(self, place: str, value: Any, known: Collection[str] | None) -> dict[str, Any]:  # noqa: ANN401 - YAML
        """Return a mapping from texts; what it may not hold is complained of."""
        if not isinstance(value, dict):
            self.problems.append(f"{place or 'the file'}: keys with values are due")
            return {}
        for key in value:
            if not isinstance(key, str) or not key:
                self.problems.append(f"{place or 'the file'}: {key!r} is no name")
            elif known is not None and key not in known:
                dotted = f"{place}.{key}" if place else key
                self.problems.append(f"{dotted} is not known; there are {', '.join(known)}")
        return {key: found for key, found in value.items() if isinstance(key, str)}

    def _tls(self, value: Any) -> Tls | None:  # noqa: ANN401 - YAML
        place = "tls_server_config"
        table = self._table(place, value, _OF_TLS)
        before = len(self.problems)
        for key, told in table.items():
            if key in _OF_TLS and (not isinstance(told, str) or not told):
                self.problems.append(f"{place}.{key}: a text is due")
        self.problems += [f"{place}.{key}: missing" for key in ("cert_file", "key_file") if key not in table]
        auth = self._one_of(table, "client_auth_type", {one.value: one for one in ClientAuth}, ClientAuth.NONE)
        lowest = self._one_of(table, "min_version", _VERSIONS, ssl.TLSVersion.TLSv1_2)
        highest = self._one_of(table, "max_version", _VERSIONS, ssl.TLSVersion.MAXIMUM_SUPPORTED)
        if highest is not ssl.TLSVersion.MAXIMUM_SUPPORTED and lowest > highest:
            self.problems.append(f"{place}: min_version is above max_version")
        if (auth is ClientAuth.NONE) is ("client_ca_file" in table):
            self.problems.append(f"{place}: client_ca_file and a client_auth_type that verifies go together")
        if len(self.problems) > before:
            return None
        cert, key = (self._folder / table[name] for name in ("cert_file", "key_file"))
        authority = self._folder / table["client_ca_file"] if "client_ca_file" in table else None
        return self._usable(Tls(cert, key, authority, auth, lowest, highest))

    def _usable(self, tls: Tls) -> Tls:
        try:
            tls.context()
        except ValueError as error:
            self.problems.append(f"tls_server_config: {error}")
        return tls

    def _one_of(self, table: Mapping[str, Any], key: str, known: Mapping[str, Any], default: Any) -> Any:  # noqa: ANN401
        told = table.get(key)
        if told is None or not isinstance(told, str):
            return default
        if told not in known:
            self.problems.append(f"tls_server_config.{key}: {told!r} is none of {', '.join(known)}")
        return known.get(told, default)

    def _each(self, table: Mapping[str, Any], key: str, read: Any) -> dict[str, bytes]:  # noqa: ANN401 - see its callers
        """Return the secrets of each name."""
        found = {}
        for name, told in self._table(key, table.get(key, {}), None).items():
            try:
                found[name] = read(name, told)
            except ValueError as error:
                self.problems.append(f"{key}.{name}: {error}")
        return found

    def _headers(self, value: Any) -> dict[str, str]:  # noqa: ANN401 - YAML
        server = self._table("http_server_config", value, ("headers",))
        headers = self._table("http_server_config.headers", server.get("headers", {}), _HEADERS)
        for name, told in headers.items():
            if not isinstance(told, str) or not told.isprintable() or not told.isascii():
                self.problems.append(f"http_server_config.headers.{name}: a line of text is due")
        return headers


def _hash(name: str, told: object) -> bytes:
    if ":" in name:
        raise ValueError("a user's name cannot have a colon")
    found = _BCRYPT.fullmatch(told) if isinstance(told, str) else None
    if found is None:
        raise ValueError("a bcrypt hash is due, such as `htpasswd -nBC 10 NAME` prints behind the colon")
    if int(found[1]) > COST_LIMIT:
        raise ValueError(f"a cost of {found[1]} takes too long for each password: at most {COST_LIMIT}")
    return found[0].encode()


def _digest(_: str, told: object) -> bytes:
    found = _TOKEN.fullmatch(told) if isinstance(told, str) else None
    if found is None:
        raise ValueError("sha256: and 64 hex digits are due: `printf %s TOKEN | sha256sum`")
    return bytes.fromhex(found[1])


def _no_password() -> str:
    raise ValueError("the key is encrypted: give one that is not, readable to this process alone")

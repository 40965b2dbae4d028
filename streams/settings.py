"""Settings: the environment and a command's flags, read once into one frozen value.

What there is to set is declared in `streams.configuration`; a flag wins over its variable. Whatever is wrong is
reported at once, in one `UsageError`. Read by the composition root and the command line; handed to everything else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from streams import configuration
from streams import security_configuration as access_to
from streams.errors import UsageError
from streams.renewed import ClientTls
from streams.security import Security, check_files, read_security, secret_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.renewed import Secret
    from streams.setting_values import Setting

T = TypeVar("T")


RETENTION_SLACK_MS = 3_600_000
"""By so much a clock may differ from the broker's, which deletes what is too old."""


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """Where the schema registry is, and who asks it."""

    urls: tuple[str, ...] = access_to.REGISTRY_URL.default
    """Empty: those of the map."""
    user: str | None = access_to.REGISTRY_USER.default
    password: Secret | None = field(default=None, repr=False)
    token: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = access_to.REGISTRY_CA_FILE.default
    cert_file: Path | None = access_to.REGISTRY_CERT_FILE.default
    key_file: Path | None = access_to.REGISTRY_KEY_FILE.default

    def tls(self) -> ClientTls:
        """Return whom we trust and what we show."""
        return ClientTls(self.ca_file, self.cert_file, self.key_file)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is set from outside, as `streams.configuration` says. Immutable: a process reads it once."""

    broker: str | None = configuration.BROKER.default
    prefix: str = configuration.PREFIX.default
    festivals_dir: Path | None = configuration.FESTIVALS_DIR.default
    declarations: Path | None = configuration.DECLARATIONS.default
    data_dir: Path = Path("data")
    security: Security = field(default_factory=Security)
    web_host: str = configuration.WEB_HOST.default
    web_port: int = configuration.WEB_PORT.default
    is_web_port_explicit: bool = False
    """A default port that is taken gives way to the next free one, an explicit one does not."""
    web_allowed_hosts: tuple[str, ...] | None = configuration.WEB_ALLOWED_HOSTS.default
    web_connections: int | None = configuration.WEB_CONNECTIONS.default
    web_path: str = configuration.WEB_PATH.default
    web_frame_ancestors: str = configuration.WEB_FRAME_ANCESTORS.default
    web_config: Path | None = configuration.WEB_CONFIG.default
    publish: bool = configuration.PUBLISH.default
    show: bool = configuration.SHOW.default
    name: str | None = configuration.NAME.default
    checkpoint_interval_ms: int = configuration.CHECKPOINT_INTERVAL_MS.default
    settle_ms: int = configuration.SETTLE_MS.default
    dedup_horizon_minutes: int = configuration.DEDUP_HORIZON_MINUTES.default
    rejected_retention: int = configuration.REJECTED_RETENTION.default
    """Days."""
    session_timeout_ms: int = configuration.SESSION_TIMEOUT_MS.default
    log_level: str = configuration.LOG_LEVEL.default
    log_format: str = configuration.LOG_FORMAT.default
    chromium: Path | None = configuration.CHROMIUM.default
    registry: RegistryAccess = RegistryAccess()
    hash_key_file: Path | None = configuration.HASH_KEY_FILE.default

    def rejected_kept_from_ms(self, now_ms: int) -> int:
        """Return the record time from which on a rejected record is still kept for certain."""
        return now_ms - self.rejected_retention * configuration.DAY_MS + RETENTION_SLACK_MS

    @property
    def bootstrap_servers(self) -> str:
        """Return the broker's address; the command line has looked it up before anybody asks."""
        assert self.broker is not None, "resolve the broker first (streams.broker.address.resolve)"
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
        broker=reader.read(configuration.BROKER),
        prefix=reader.read(configuration.PREFIX),
        festivals_dir=reader.read(configuration.FESTIVALS_DIR),
        declarations=reader.read(configuration.DECLARATIONS),
        data_dir=reader.read(configuration.DATA_DIR) or default_data_dir(Path(__file__).parent, reader.environ),
        security=read_security(reader),
        web_host=reader.read(configuration.WEB_HOST),
        web_port=reader.read(configuration.WEB_PORT),
        is_web_port_explicit=reader.text(configuration.WEB_PORT) is not None,
        web_allowed_hosts=reader.read(configuration.WEB_ALLOWED_HOSTS),
        web_connections=reader.read(configuration.WEB_CONNECTIONS),
        web_path=reader.read(configuration.WEB_PATH),
        web_frame_ancestors=reader.read(configuration.WEB_FRAME_ANCESTORS),
        web_config=reader.read(configuration.WEB_CONFIG),
        publish=reader.read(configuration.PUBLISH),
        show=reader.read(configuration.SHOW),
        name=reader.read(configuration.NAME),
        checkpoint_interval_ms=reader.read(configuration.CHECKPOINT_INTERVAL_MS),
        settle_ms=reader.read(configuration.SETTLE_MS),
        dedup_horizon_minutes=reader.read(configuration.DEDUP_HORIZON_MINUTES),
        rejected_retention=reader.read(configuration.REJECTED_RETENTION),
        session_timeout_ms=reader.read(configuration.SESSION_TIMEOUT_MS),
        log_level=reader.read(configuration.LOG_LEVEL),
        log_format=reader.read(configuration.LOG_FORMAT),
        chromium=reader.read(configuration.CHROMIUM),
        registry=_registry(reader),
        hash_key_file=reader.read(configuration.HASH_KEY_FILE),
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

    def text(self, setting: Setting[object]) -> str | None:
        """Return the setting as text, None where it is not given; an empty variable is none."""
        flag = self.flags.get(setting.name)
        return str(flag) if flag is not None else self.environ.get(setting.variable) or None

    def read(self, setting: Setting[T]) -> T:
        """Return the parsed setting, or its default: where it is not given, and where it is wrong."""
        text = self.text(setting)
        if text is None:
            return setting.default
        try:
            return setting.parse(text)
        except (ValueError, OSError) as error:
            is_flag = self.flags.get(setting.name) is not None
            self.problems.append(f"{setting.flag if is_flag else setting.variable}: {error}")
            return setting.default


def _registry(reader: _Reader) -> RegistryAccess:
    """Return who asks the registry; secrets come from the environment only."""
    access = RegistryAccess(
        urls=reader.read(access_to.REGISTRY_URL),
        user=reader.read(access_to.REGISTRY_USER),
        password=secret_of(reader, access_to.REGISTRY_PASSWORD, access_to.REGISTRY_PASSWORD_FILE),
        token=secret_of(reader, access_to.REGISTRY_TOKEN, access_to.REGISTRY_TOKEN_FILE),
        ca_file=reader.read(access_to.REGISTRY_CA_FILE),
        cert_file=reader.read(access_to.REGISTRY_CERT_FILE),
        key_file=reader.read(access_to.REGISTRY_KEY_FILE),
    )
    user, token = access_to.REGISTRY_USER.variable, access_to.REGISTRY_TOKEN.variable
    if (access.user is None) is not (access.password is None):
        reader.problems.append(f"{user}: user and password go together, set both or none")
    if access.user is not None and access.token is not None:
        reader.problems.append(f"{token}: given besides {user}, set one of them")
    if access.key_file is not None and access.cert_file is None:
        key, certificate = (
            access_to.REGISTRY_KEY_FILE.variable,
            access_to.REGISTRY_CERT_FILE.variable,
        )
        reader.problems.append(f"{key}: a key is only used with a certificate, set {certificate}")
    check_files(reader, access.tls(), access_to.REGISTRY_CA_FILE, access_to.REGISTRY_CERT_FILE)
    return access

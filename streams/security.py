"""Access to Kafka: TLS, who we are, and tokens. Read once (`streams.settings`); the files behind it are read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from streams import security_configuration as declared
from streams.renewed import ClientTls, Secret
from streams.token_source import PROVIDERS, TokenSource

if TYPE_CHECKING:
    from streams.setting_values import Setting

T = TypeVar("T")
OAUTHBEARER = "OAUTHBEARER"


class Reader(Protocol):
    """Reads settings, and collects what is wrong (`streams.settings`)."""

    problems: list[str]

    def text(self, setting: Setting[object]) -> str | None:
        """Return the setting as text, None where it is not given."""

    def read(self, setting: Setting[T]) -> T:
        """Return the parsed setting, or its default."""


@dataclass(frozen=True, slots=True)
class Security:
    """How to speak to the broker."""

    protocol: str = declared.PROTOCOL.default
    mechanism: str | None = declared.MECHANISM.default
    username: str | None = declared.USER.default
    password: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = declared.CA_FILE.default
    cert_file: Path | None = declared.CERT_FILE.default
    key_file: Path | None = declared.KEY_FILE.default
    key_password: Secret | None = field(default=None, repr=False)
    token: TokenSource = field(default_factory=TokenSource)

    @property
    def has_sasl(self) -> bool:
        """Whether the broker asks who we are."""
        return self.protocol.startswith("SASL_")

    @property
    def has_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol.endswith("SSL")

    @property
    def has_token(self) -> bool:
        """Whether a token says who we are."""
        return self.has_sasl and self.mechanism == OAUTHBEARER

    @property
    def principal(self) -> str:
        """Return as whom the broker knows us; what only it can tell is described in brackets."""
        if self.has_token:
            return "<the subject of our token>"
        if self.has_sasl:
            return self.username or ""
        return "<the subject of our certificate>" if self.cert_file is not None else "ANONYMOUS"

    def tls(self) -> ClientTls:
        """Return whom we trust and what we show."""
        return ClientTls(self.ca_file, self.cert_file, self.key_file, self.key_password)

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments every aiokafka client takes."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.has_tls:
            options["ssl_context"] = self.tls().renewed()
        if self.has_token:
            # It brings aiokafka, without which most commands start sooner.
            from streams.tokens import provider_of  # noqa: PLC0415

            options |= {"sasl_mechanism": self.mechanism, "sasl_oauth_token_provider": provider_of(self.token)}
        elif self.has_sasl:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


def read_security(reader: Reader) -> Security:
    """Return the security settings; what does not fit together is told to `reader`."""
    security = Security(
        protocol=reader.read(declared.PROTOCOL),
        mechanism=reader.read(declared.MECHANISM),
        username=reader.read(declared.USER),
        password=secret_of(reader, declared.PASSWORD, declared.PASSWORD_FILE),
        ca_file=reader.read(declared.CA_FILE),
        cert_file=reader.read(declared.CERT_FILE),
        key_file=reader.read(declared.KEY_FILE),
        key_password=secret_of(reader, declared.KEY_PASSWORD, declared.KEY_PASSWORD_FILE),
        token=_token_source(reader),
    )
    if not reader.problems:
        _check_who(reader, security)
        _check_tls(reader, security)
    return security


def secret_of(reader: Reader, plain: Setting[str | None], in_file: Setting[str | None]) -> Secret | None:
    """Return a secret that is set as text or as a file, not both."""
    if reader.text(plain) and reader.text(in_file):
        reader.problems.append(f"{plain.variable}: given besides {in_file.variable}, set one of them")
    found = reader.read(in_file)
    if found:
        return Secret(found, Path(reader.text(in_file) or ""))
    text = reader.read(plain)
    return Secret(text) if text else None


def _token_source(reader: Reader) -> TokenSource:
    file = reader.read(declared.TOKEN_FILE)
    return TokenSource(
        url=reader.read(declared.TOKEN_URL),
        client_id=reader.read(declared.TOKEN_CLIENT_ID),
        client_secret=secret_of(reader, declared.TOKEN_CLIENT_SECRET, declared.TOKEN_CLIENT_SECRET_FILE),
        scope=reader.read(declared.TOKEN_SCOPE),
        ca_file=reader.read(declared.TOKEN_CA_FILE),
        file=Secret(file, Path(reader.text(declared.TOKEN_FILE) or "")) if file else None,
        provider=reader.read(declared.TOKEN_PROVIDER),
        extensions=reader.read(declared.TOKEN_EXTENSIONS),
    )


def _check_who(reader: Reader, security: Security) -> None:
    """Complain of a mechanism that lacks what it needs, and of what nobody would be told."""
    token, protocol = security.token, declared.PROTOCOL.variable
    password = f"{declared.PASSWORD.variable} or {declared.PASSWORD_FILE.variable}"
    known = {declared.USER.variable: security.username, password: security.password}
    sources = [declared.TOKEN_URL, declared.TOKEN_FILE, declared.TOKEN_PROVIDER]
    names = ", ".join(source.variable for source in sources)
    problems = reader.problems
    if security.has_token:
        problems += [f"{name}: {OAUTHBEARER} takes no user or password" for name, value in known.items() if value]
        if sum(value is not None for value in (token.url, token.file, token.provider)) != 1:
            problems.append(f"{declared.MECHANISM.variable}: {OAUTHBEARER} needs exactly one of {names}")
        problems += _problems_of(token)
        return
    if token != TokenSource():
        problems.append(f"{declared.MECHANISM.variable}: settings of tokens go with {OAUTHBEARER}")
    if security.has_sasl:
        needed = {declared.MECHANISM.variable: security.mechanism, **known}
        problems += [f"{name}: {security.protocol} needs it" for name, value in needed.items() if not value]
    elif security.mechanism or any(known.values()):
        problems.append(f"{protocol}: a user or password is only sent with SASL_PLAINTEXT or SASL_SSL")


def _problems_of(token: TokenSource) -> list[str]:
    """Return what is wrong with a source of tokens."""
    secret = f"{declared.TOKEN_CLIENT_SECRET.variable} or {declared.TOKEN_CLIENT_SECRET_FILE.variable}"
    credentials = {declared.TOKEN_CLIENT_ID.variable: token.client_id, secret: token.client_secret}
    if token.url is not None:
        problems = [
            f"{name}: {declared.TOKEN_URL.variable} needs it" for name, value in credentials.items() if not value
        ]
        try:
            ClientTls(token.ca_file).check_authorities()
        except ValueError as error:
            problems.append(f"{declared.TOKEN_CA_FILE.variable}: {error}")
        return problems
    known = {
        **credentials,
        declared.TOKEN_SCOPE.variable: token.scope,
        declared.TOKEN_CA_FILE.variable: token.ca_file,
    }
    problems = [f"{name}: goes with {declared.TOKEN_URL.variable}" for name, value in known.items() if value]
    if token.provider is not None:
        installed = sorted(entry_points(group=PROVIDERS).names)
        if token.provider not in installed:
            told = ", ".join(installed) or "none is installed"
            problems.append(
                f"{declared.TOKEN_PROVIDER.variable}: {token.provider!r} is no entry point of {PROVIDERS} ({told})"
            )
    return problems


def _check_tls(reader: Reader, security: Security) -> None:
    """Complain of files that cannot be used, and of those that nobody would use."""
    files = {
        declared.CA_FILE.variable: security.ca_file,
        declared.CERT_FILE.variable: security.cert_file,
        declared.KEY_FILE.variable: security.key_file,
        declared.KEY_PASSWORD.variable: security.key_password,
    }
    if not security.has_tls:
        words = "is only used with SSL or SASL_SSL"
        reader.problems += [f"{name}: {words}" for name, value in files.items() if value]
        return
    if security.cert_file is None:
        needs = f"is only used with a certificate, set {declared.CERT_FILE.variable}"
        for setting, value in ((declared.KEY_FILE, security.key_file), (declared.KEY_PASSWORD, security.key_password)):
            if value:
                reader.problems.append(f"{setting.variable}: {needs}")
    check_files(reader, security.tls(), declared.CA_FILE, declared.CERT_FILE)


def check_files(
    reader: Reader, tls: ClientTls, authorities: Setting[Path | None], certificate: Setting[Path | None]
) -> None:
    """Complain of files of certificates that cannot be used, by the settings that name them."""
    for setting, check in ((authorities, tls.check_authorities), (certificate, tls.check_certificate)):
        try:
            check()
        except ValueError as error:
            reader.problems.append(f"{setting.variable}: {error}")

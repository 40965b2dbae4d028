"""Settings of access to Kafka and to the schema registry, each declared once (`streams.configuration`).

They come from the environment alone: everybody can list a process's flags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams import setting_values as values
from streams.setting_values import Setting

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = Setting(
    "security_protocol",
    values.choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "PLAINTEXT",
    "How to speak to Kafka: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.",
)
MECHANISM: Setting[str | None] = Setting(
    "security_mechanism",
    values.choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
    None,
    "With SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.",
    unset="none",
)
USER: Setting[str | None] = Setting("security_user", str, None, "With SASL: who we are.", unset="none")
PASSWORD: Setting[str | None] = Setting(
    "security_password", str, None, "With SASL; never shown or logged.", unset="none"
)
PASSWORD_FILE: Setting[str | None] = Setting(
    "security_password_file",
    values.first_line,
    None,
    "Instead: a file whose first line is the password, as mounted secrets are. It is read again when it changes, "
    "as all files of secrets and certificates are.",
    unset="none",
)
CA_FILE: Setting[Path | None] = Setting(
    "security_ca_file", values.file, None, "With TLS: the certificates to trust, PEM.", unset="the system's"
)
CERT_FILE: Setting[Path | None] = Setting(
    "security_cert_file", values.file, None, "With TLS: our own certificate with its chain, PEM.", unset="none"
)
KEY_FILE: Setting[Path | None] = Setting(
    "security_key_file", values.file, None, "The key of that certificate, PEM.", unset="in the certificate's file"
)
KEY_PASSWORD: Setting[str | None] = Setting(
    "security_key_password", str, None, "The password of that key; never shown or logged.", unset="none"
)
KEY_PASSWORD_FILE: Setting[str | None] = Setting(
    "security_key_password_file",
    values.first_line,
    None,
    "Instead: a file whose first line is that password.",
    unset="none",
)
TOKEN_URL: Setting[str | None] = Setting(
    "security_token_url",
    values.url,
    None,
    "With OAUTHBEARER: where a token is got by client credentials (OAuth 2), and again before it expires. Exactly one "
    "of this, a file and a provider is set.",
    unset="none",
)
TOKEN_CLIENT_ID: Setting[str | None] = Setting("security_token_client_id", str, None, "Who we are there.", unset="none")
TOKEN_CLIENT_SECRET: Setting[str | None] = Setting(
    "security_token_client_secret", str, None, "That client's secret; never shown or logged.", unset="none"
)
TOKEN_CLIENT_SECRET_FILE: Setting[str | None] = Setting(
    "security_token_client_secret_file",
    values.first_line,
    None,
    "Instead: a file whose first line is the secret.",
    unset="none",
)
TOKEN_SCOPE: Setting[str | None] = Setting(
    "security_token_scope", str, None, "The scope that is asked for.", unset="none"
)
TOKEN_EXTENSIONS: Setting[tuple[tuple[str, str], ...]] = Setting(
    "security_token_extensions",
    values.pairs,
    (),
    "SASL extensions that the broker is told beside the token, as `logicalCluster=lkc-1,identityPoolId=pool-2`.",
    unset="none",
)
TOKEN_CA_FILE: Setting[Path | None] = Setting(
    "security_token_ca_file",
    values.file,
    None,
    "The certificates to trust of that address, PEM.",
    unset="the system's",
)
TOKEN_FILE: Setting[str | None] = Setting(
    "security_token_file",
    values.first_line,
    None,
    "In place of an address: a file whose first line is the token, renewed by somebody else.",
    unset="none",
)
TOKEN_PROVIDER: Setting[str | None] = Setting(
    "security_token_provider",
    str,
    None,
    "In place of both: the name of an entry point of the group `festival.token_providers`, a callable without "
    "arguments that returns the token and when it expires, in ms since the epoch.",
    unset="none",
)
REGISTRY_URL: Setting[tuple[str, ...]] = Setting(
    "registry_url",
    values.urls,
    (),
    "Addresses of the schema registry, separated by commas and tried in turn; they stand above those of a map.",
    unset="those of the map",
)
REGISTRY_USER: Setting[str | None] = Setting("registry_user", str, None, "The registry's user.", unset="none")
REGISTRY_PASSWORD: Setting[str | None] = Setting(
    "registry_password", str, None, "That user's password; never shown or logged.", unset="none"
)
REGISTRY_PASSWORD_FILE: Setting[str | None] = Setting(
    "registry_password_file",
    values.first_line,
    None,
    "Instead: a file whose first line is the password.",
    unset="none",
)
REGISTRY_TOKEN: Setting[str | None] = Setting(
    "registry_token", str, None, "In place of user and password: a bearer token.", unset="none"
)
REGISTRY_TOKEN_FILE: Setting[str | None] = Setting(
    "registry_token_file",
    values.first_line,
    None,
    "Instead: a file whose first line is the token.",
    unset="none",
)
REGISTRY_CA_FILE: Setting[Path | None] = Setting(
    "registry_ca_file",
    values.file,
    None,
    "The certificates to trust of the registry, PEM.",
    unset="the system's",
)
REGISTRY_CERT_FILE: Setting[Path | None] = Setting(
    "registry_cert_file", values.file, None, "A client certificate for the registry, PEM.", unset="none"
)
REGISTRY_KEY_FILE: Setting[Path | None] = Setting(
    "registry_key_file",
    values.file,
    None,
    "The key of that certificate, PEM.",
    unset="in the certificate's file",
)
SECURITY: tuple[Setting[object], ...] = (
    PROTOCOL,
    MECHANISM,
    USER,
    PASSWORD,
    PASSWORD_FILE,
    CA_FILE,
    CERT_FILE,
    KEY_FILE,
    KEY_PASSWORD,
    KEY_PASSWORD_FILE,
    TOKEN_URL,
    TOKEN_CLIENT_ID,
    TOKEN_CLIENT_SECRET,
    TOKEN_CLIENT_SECRET_FILE,
    TOKEN_SCOPE,
    TOKEN_EXTENSIONS,
    TOKEN_CA_FILE,
    TOKEN_FILE,
    TOKEN_PROVIDER,
)
REGISTRY: tuple[Setting[object], ...] = (
    REGISTRY_URL,
    REGISTRY_USER,
    REGISTRY_PASSWORD,
    REGISTRY_PASSWORD_FILE,
    REGISTRY_TOKEN,
    REGISTRY_TOKEN_FILE,
    REGISTRY_CA_FILE,
    REGISTRY_CERT_FILE,
    REGISTRY_KEY_FILE,
)

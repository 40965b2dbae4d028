"""The file of `--web-config`: what it may say, and what is told of everything else."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import bcrypt
import pytest

from streams.errors import UsageError
from streams.web.web_config import ClientAuth, WebConfig, read_web_config
from tests.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TOKEN = "sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def write(folder: Path, text: str) -> Path:
    file = folder / "web.yml"
    file.write_text(text, "utf-8")
    return file


def problems(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as error:
        read_web_config(write(folder, text))
    return str(error.value)


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    assert read_web_config(write(tmp_path, "# nothing\n")) == WebConfig()


def test_the_example_of_the_toolkit_is_read(tmp_path: Path, authority: Authority) -> None:
    """Paths begin at the file's folder."""
    issued = authority.issue("server")
    for name, file in (("s.crt", issued.cert), ("s.key", issued.key), ("ca.pem", authority.ca)):
        (tmp_path / name).write_bytes(file.read_bytes())
    text = f"""
tls_server_config: {{ cert_file: s.crt, key_file: s.key, client_auth_type: RequireAndVerifyClientCert,
    client_ca_file: ca.pem, min_version: TLS12, max_version: TLS13 }}
http_server_config:
  headers: {{ Strict-Transport-Security: max-age=31536000 }}
basic_auth_users: {{ hall: {HASH.replace("$2b$", "$2y$")} }}
bearer_tokens: {{ prometheus: {TOKEN} }}
health_without_auth: true
"""
    found = read_web_config(write(tmp_path, text))
    assert found.tls is not None
    assert found.tls.cert_file == tmp_path / "s.crt"
    assert found.tls.client_auth is ClientAuth.REQUIRED
    assert (found.tls.min_version, found.tls.max_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert found.users == {"hall": HASH.replace("$2b$", "$2y$").encode()}
    assert found.tokens == {"prometheus": bytes.fromhex("ab" * 32)}
    assert found.headers == {"Strict-Transport-Security": "max-age=31536000"}
    assert found.is_health_open


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("basic_auth: {}", ["basic_auth is not known; there are tls_server_config"]),
        ("tls_server_config: {cipher_suites: []}", ["tls_server_config.cipher_suites is not known"]),
        ("tls_server_config: {}", ["tls_server_config.cert_file: missing", "tls_server_config.key_file: missing"]),
        (
            "tls_server_config: {cert_file: 1, key_file: '', client_auth_type: RequestClientCert, min_version: TLS14}",
            [
                "tls_server_config.cert_file: a text is due",
                "tls_server_config.key_file: a text is due",
                "client_auth_type: 'RequestClientCert' is none of NoClientCert",
                "min_version: 'TLS14' is none of TLS10",
            ],
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: VerifyClientCertIfGiven}",
            ["client_ca_file and a client_auth_type that verifies go together"],
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
            ["client_ca_file and a client_auth_type that verifies go together"],
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: TLS13, max_version: TLS12}",
            ["min_version is above max_version"],
        ),
        ("tls_server_config: {cert_file: a, key_file: b}", ["cert_file", "No such file"]),
        ("http_server_config: {http2: true}", ["http_server_config.http2 is not known; there are headers"]),
        (
            "http_server_config: {headers: {Content-Length: '0', X-Frame-Options: \"a\\nb\"}}",
            ["headers.Content-Length is not known", "headers.X-Frame-Options: a line of text is due"],
        ),
        (
            "basic_auth_users: {a: plain, 'b:c': x, d: 5, e: $2b$31$" + "a" * 53 + "}",
            [
                "basic_auth_users.a: a bcrypt hash is due",
                "basic_auth_users.b:c: a user's name cannot have a colon",
                "basic_auth_users.d: a bcrypt hash is due",
                "basic_auth_users.e: a cost of 31 takes too long",
            ],
        ),
        ("bearer_tokens: {a: secret}", ["bearer_tokens.a: sha256: and 64 hex digits are due"]),
        ("bearer_tokens: []", ["bearer_tokens: keys with values are due"]),
        ("health_without_auth: sometimes", ["health_without_auth: true or false"]),
        ("- a", ["the file: keys with values are due"]),
        ("7: a", ["the file: 7 is no name"]),
    ],
)
def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path, text: str, words: list[str]) -> None:
    told = problems(tmp_path, text)
    for word in words:
        assert word in told


def test_what_is_no_yaml_is_told_by_its_line_and_not_by_what_stands_there(tmp_path: Path) -> None:
    told = problems(tmp_path, f"a: b\nbasic_auth_users: {{ hall: [{HASH}\n")
    assert "line 3: that is no YAML" in told
    assert HASH not in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_web_config(tmp_path / "none.yml")


def test_files_that_do_not_fit_are_told(tmp_path: Path, authority: Authority) -> None:
    server, other, hidden = authority.issue("s"), authority.issue("o"), authority.issue("h", password="long enough")  # noqa: S106
    broken = tmp_path / "broken.pem"
    broken.write_text("no PEM")
    mismatch = problems(tmp_path, f"tls_server_config: {{cert_file: {server.cert}, key_file: {other.key}}}")
    assert "the key is not that of the certificate" in mismatch
    assert "that is not PEM" in problems(
        tmp_path, f"tls_server_config: {{cert_file: {broken}, key_file: {server.key}}}"
    )
    encrypted = problems(tmp_path, f"tls_server_config: {{cert_file: {hidden.cert}, key_file: {hidden.key}}}")
    assert "the key is encrypted" in encrypted
    verified = f"client_auth_type: VerifyClientCertIfGiven, client_ca_file: {broken}"
    told = problems(tmp_path, f"tls_server_config: {{cert_file: {server.cert}, key_file: {server.key}, {verified}}}")
    assert "client_ca_file" in told

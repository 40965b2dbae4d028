"""Settings: what wins, what is refused, and that a password shows nowhere."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from streams.configuration import DAY_MS
from streams.errors import UsageError
from streams.renewed import Secret
from streams.security import Security
from streams.settings import Settings, default_data_dir, load_settings

SASL = {
    "FESTIVAL_SECURITY_PROTOCOL": "SASL_SSL",
    "FESTIVAL_SECURITY_MECHANISM": "scram-sha-512",
    "FESTIVAL_SECURITY_USER": "festival",
    "FESTIVAL_SECURITY_PASSWORD": "hunter2",
}
SSL = {"FESTIVAL_SECURITY_PROTOCOL": "SSL"}
OAUTH = {"FESTIVAL_SECURITY_PROTOCOL": "SASL_SSL", "FESTIVAL_SECURITY_MECHANISM": "OAUTHBEARER"}
URL = {"FESTIVAL_SECURITY_TOKEN_URL": "https://login.example.com/token"}
FILE = {"FESTIVAL_SECURITY_TOKEN_FILE": __file__}


def test_nothing_given_is_the_contracts_defaults() -> None:
    settings = load_settings(environ={})
    assert settings.broker is None
    assert settings.prefix == ""
    assert (settings.web_host, settings.web_port, settings.is_web_port_explicit) == ("127.0.0.1", 6066, False)
    assert (settings.settle_ms, settings.dedup_horizon_minutes) == (30 * DAY_MS, 10)
    assert (settings.checkpoint_interval_ms, settings.session_timeout_ms) == (500, 6000)
    assert (settings.log_level, settings.log_format) == ("info", "text")
    assert settings.security == Security()


def test_a_flag_wins_over_its_variable_and_an_empty_variable_is_none() -> None:
    environ = {"FESTIVAL_BROKER": "a:1", "FESTIVAL_PREFIX": "test-", "FESTIVAL_NAME": "", "FESTIVAL_WEB_PORT": "7000"}
    settings = load_settings({"broker": "b:2, c:3", "prefix": None}, environ)
    assert settings.broker == "b:2,c:3"
    assert settings.prefix == "test-"
    assert settings.name is None
    assert (settings.web_port, settings.is_web_port_explicit) == (7000, True)


def test_all_that_is_wrong_is_told_at_once_and_by_the_name_it_was_given() -> None:
    environ = {
        "FESTIVAL_PREFIX": "no spaces",
        "FESTIVAL_SETTLE_MS": "1e3",
        "FESTIVAL_LOG_LEVEL": "loud",
        "FESTIVAL_SECURITY_PROTOCOL": "TLS",
    }
    with pytest.raises(UsageError) as caught:
        load_settings({"broker": "nowhere", "web_port": "70000", "festivals_dir": "/does/not/exist"}, environ)
    lines = str(caught.value).splitlines()
    named = sorted(line.partition(":")[0] for line in lines)
    assert named == [
        "--broker",
        "--festivals",
        "--web-port",
        "FESTIVAL_LOG_LEVEL",
        "FESTIVAL_PREFIX",
        "FESTIVAL_SECURITY_PROTOCOL",
        "FESTIVAL_SETTLE_MS",
    ]


@pytest.mark.parametrize(
    "broker", ["host", ":9092", "host:", "host:0", "host:65536", "host:x", "a:1,,b:2", "host:\u0661"]
)
def test_a_broker_that_is_no_host_and_port_is_refused(broker: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        load_settings({"broker": broker}, {})


def test_allowed_hosts_are_names_without_ports() -> None:
    given = "Board.Example.com, board.example.com.:8443,::1,[FE80::1]:80, 10.0.0.7,*"
    found = load_settings(environ={"FESTIVAL_WEB_ALLOWED_HOSTS": given}).web_allowed_hosts
    assert found == ("board.example.com", "board.example.com", "[::1]", "[fe80::1]", "10.0.0.7", "*")
    assert load_settings(environ={}).web_allowed_hosts is None


@pytest.mark.parametrize("hosts", ["https://board", "a b", "a,,b", "*.example.com", "board:x", "[::1", "a/b", "a@b"])
def test_what_is_no_host_is_refused(hosts: str) -> None:
    with pytest.raises(UsageError, match=r"FESTIVAL_WEB_ALLOWED_HOSTS: .* is no host"):
        load_settings(environ={"FESTIVAL_WEB_ALLOWED_HOSTS": hosts})


@pytest.mark.parametrize("connections", ["0", "-1", "many", "1e3", "9" * 5_000])
def test_a_number_of_connections_that_is_none_is_refused(connections: str) -> None:
    with pytest.raises(UsageError, match="FESTIVAL_WEB_CONNECTIONS"):
        load_settings(environ={"FESTIVAL_WEB_CONNECTIONS": connections})


@pytest.mark.parametrize("name", ["..", "a/b", "a b", "x" * 201])
def test_a_worker_name_that_cannot_be_a_directory_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name"):
        load_settings({"name": name}, {})


def test_credentials_reach_the_client_and_nobody_else() -> None:
    settings = load_settings({"broker": "kafka:9093"}, SASL)
    options = settings.client_options()
    assert options["bootstrap_servers"] == "kafka:9093"
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "festival"
    assert options["sasl_plain_password"] == "hunter2"  # noqa: S105 - the one of this test
    assert isinstance(options["ssl_context"], ssl.SSLContext)
    for shown in (repr(settings), repr(settings.security), repr(options), f"{settings}", str(options)):
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("security", "principal"),
    [
        (Security(), "ANONYMOUS"),
        (Security("SASL_SSL", "SCRAM-SHA-512", "festival"), "festival"),
        (Security("SASL_SSL", "OAUTHBEARER"), "<the subject of our token>"),
        (Security("SSL", cert_file=Path("own.crt")), "<the subject of our certificate>"),
    ],
)
def test_the_commands_that_mend_rights_name_whom_the_broker_knows(security: Security, principal: str) -> None:
    assert security.principal == principal


def test_plaintext_asks_for_nothing_more() -> None:
    assert Settings(broker="a:1").client_options() == {"bootstrap_servers": "a:1", "security_protocol": "PLAINTEXT"}


def test_a_password_may_lie_in_a_file_and_its_line_end_is_not_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"from file \r\n")
    environ = {key: value for key, value in SASL.items() if key != "FESTIVAL_SECURITY_PASSWORD"}
    settings = load_settings(environ=environ | {"FESTIVAL_SECURITY_PASSWORD_FILE": str(file)})
    assert settings.security.password == "from file "  # noqa: S105 - the one of this test
    with pytest.raises(UsageError, match="set one of them"):
        load_settings(environ=SASL | {"FESTIVAL_SECURITY_PASSWORD_FILE": str(file)})
    file.write_bytes(b"\nsecond line")
    with pytest.raises(UsageError, match="empty line"):
        load_settings(environ=environ | {"FESTIVAL_SECURITY_PASSWORD_FILE": str(file)})


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"FESTIVAL_SECURITY_PROTOCOL": "SASL_SSL"}, "FESTIVAL_SECURITY_USER: SASL_SSL needs it"),
        ({"FESTIVAL_SECURITY_USER": "me"}, "only sent with SASL_PLAINTEXT or SASL_SSL"),
        ({"FESTIVAL_SECURITY_CA_FILE": __file__}, "only used with SSL"),
        ({"FESTIVAL_SECURITY_CA_FILE": "/does/not/exist"}, "FESTIVAL_SECURITY_CA_FILE: .*No such file"),
        (SSL | {"FESTIVAL_SECURITY_CA_FILE": __file__}, "FESTIVAL_SECURITY_CA_FILE: .*not PEM"),
        (SSL | {"FESTIVAL_SECURITY_CERT_FILE": __file__}, "FESTIVAL_SECURITY_CERT_FILE: .*not PEM"),
        (SSL | {"FESTIVAL_SECURITY_KEY_FILE": __file__}, "FESTIVAL_SECURITY_KEY_FILE: is only used with a certificate"),
        ({"FESTIVAL_SECURITY_CERT_FILE": __file__}, "FESTIVAL_SECURITY_CERT_FILE: is only used with SSL"),
        ({"FESTIVAL_REGISTRY_CA_FILE": __file__}, "FESTIVAL_REGISTRY_CA_FILE: .*not PEM"),
        (OAUTH, "OAUTHBEARER needs exactly one of FESTIVAL_SECURITY_TOKEN_URL"),
        (OAUTH | URL | {"FESTIVAL_SECURITY_TOKEN_FILE": __file__}, "exactly one of"),
        (OAUTH | URL, "FESTIVAL_SECURITY_TOKEN_CLIENT_ID: FESTIVAL_SECURITY_TOKEN_URL needs it"),
        (
            OAUTH | URL,
            "FESTIVAL_SECURITY_TOKEN_CLIENT_SECRET or .*_FILE: .* needs it",
        ),
        (OAUTH | URL | {"FESTIVAL_SECURITY_TOKEN_CA_FILE": __file__}, "FESTIVAL_SECURITY_TOKEN_CA_FILE: .*not PEM"),
        (OAUTH | URL | {"FESTIVAL_SECURITY_USER": "me"}, "FESTIVAL_SECURITY_USER: OAUTHBEARER takes no user"),
        (OAUTH | {"FESTIVAL_SECURITY_TOKEN_PROVIDER": "none"}, "'none' is no entry point of festival.token_providers"),
        (OAUTH | FILE | {"FESTIVAL_SECURITY_TOKEN_SCOPE": "x"}, "TOKEN_SCOPE: goes with FESTIVAL_SECURITY_TOKEN_URL"),
        (SASL | FILE, "settings of tokens go with OAUTHBEARER"),
        (OAUTH | FILE | {"FESTIVAL_SECURITY_TOKEN_EXTENSIONS": "a"}, "TOKEN_EXTENSIONS: 'a': write name=value"),
        (OAUTH | {"FESTIVAL_SECURITY_TOKEN_URL": "login"}, "FESTIVAL_SECURITY_TOKEN_URL: 'login' is no address"),
    ],
)
def test_security_settings_that_do_not_fit_together_are_refused(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        load_settings(environ=environ)


def test_a_secret_works_as_text_and_hides_from_repr() -> None:
    secret = Secret("hunter2")
    assert f"{secret}" == "hunter2"
    assert secret.encode() == b"hunter2"
    assert json.dumps(secret) == '"hunter2"'
    assert repr({"password": secret}) == "{'password': '***'}"


def test_data_lies_in_the_checkout_or_with_the_user(tmp_path: Path) -> None:
    package = tmp_path / "streams"
    assert default_data_dir(package, {"XDG_DATA_HOME": "/x"}) == Path("/x/festival")
    assert default_data_dir(package, {"HOME": "/h"}) == Path("/h/.local/share/festival")
    (tmp_path / "pyproject.toml").touch()
    assert default_data_dir(package, {"HOME": "/h"}) == tmp_path / "data"

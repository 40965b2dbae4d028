"""Kafka behind TLS, passwords and tokens: counted through each door, and a sentence for whoever is not let in."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
import urllib.request
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from streams.broker.embedded import any_free_port
from streams.cli.main import run
from streams.errors import UnreachableError
from streams.settings import load_settings
from tests.conftest import skip
from tests.integration.secured_broker import PASSWORD, USER, SecuredKafka, TokenServer
from tests.integration.worker_processes import WorkerProcess, ended
from tests.unit.audit.bench import encode, order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
COUNTED_SECONDS = 60


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    try:
        with SecuredKafka(tmp_path_factory.mktemp("secured")) as broker:
            yield broker
    except UnreachableError as error:
        skip(str(error))


@pytest.fixture
def prefix() -> str:
    return f"s{uuid.uuid4().hex[:8]}-"


def tls(broker: SecuredKafka, door: str) -> dict[str, str]:
    protocol = "SASL_SSL" if door in ("SCRAM", "OAUTH") else "SSL"
    place = {"FESTIVAL_BROKER": broker.door(door), "FESTIVAL_SECURITY_PROTOCOL": protocol}
    return {**place, "FESTIVAL_SECURITY_CA_FILE": str(broker.authority.ca)}


def mutual(broker: SecuredKafka) -> dict[str, str]:
    friend = broker.authority.issue("friend", password="hidden well")  # noqa: S106 - a test's
    files = {"CERT_FILE": friend.cert, "KEY_FILE": friend.key, "KEY_PASSWORD": "hidden well"}
    return tls(broker, "TLS") | {f"FESTIVAL_SECURITY_{name}": str(value) for name, value in files.items()}


def scram(broker: SecuredKafka, password: str = PASSWORD, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
    told = {"USER": USER, "PASSWORD": password, "MECHANISM": mechanism}
    return tls(broker, "SCRAM") | {f"FESTIVAL_SECURITY_{name}": value for name, value in told.items()}


def oauth(broker: SecuredKafka, **told: str) -> dict[str, str]:
    named = {f"FESTIVAL_SECURITY_TOKEN_{name}": value for name, value in told.items()}
    return tls(broker, "OAUTH") | {"FESTIVAL_SECURITY_MECHANISM": "OAUTHBEARER", **named}


def asked_at(server: TokenServer) -> dict[str, str]:
    return {"URL": server.url, "CLIENT_ID": "festival", "CLIENT_SECRET": server.secret, "SCOPE": "count"}


def said(
    environ: dict[str, str], command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Run a command under an environment; return its status and what it said."""
    with monkeypatch.context() as patched:
        for name, value in environ.items():
            patched.setenv(name, value)
        status = run(command)
    told = capsys.readouterr()
    return status, told.out + told.err


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_user_and_a_password_let_in(
    broker: SecuredKafka,
    prefix: str,
    mechanism: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["topics", "--prefix", prefix, "--partitions", "1"]
    assert said(scram(broker, mechanism=mechanism), command, monkeypatch, capsys)[0] == 0


def test_a_certificate_lets_in(
    broker: SecuredKafka, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["topics", "--prefix", prefix, "--partitions", "1"]
    assert said(mutual(broker), command, monkeypatch, capsys)[0] == 0


def plain(address: str) -> dict[str, str]:
    return {"FESTIVAL_BROKER": address}


CASES: dict[str, Any] = {
    "wrong CA": (
        lambda b: scram(b) | {"FESTIVAL_SECURITY_CA_FILE": str(b.stranger.ca)},
        "of nobody whom FESTIVAL_SECURITY_CA_FILE trusts",
    ),
    "expired": (lambda b: tls(b, "EXPIRED"), "its certificate has expired"),
    "host name": (lambda b: tls(b, "OTHER"), "its certificate is of another host: see FESTIVAL_BROKER"),
    "no client certificate": (lambda b: tls(b, "TLS"), "see FESTIVAL_SECURITY_CERT_FILE"),
    "wrong password": (lambda b: scram(b, "guessed"), "see FESTIVAL_SECURITY_USER, FESTIVAL_SECURITY_PASSWORD"),
    "wrong mechanism": (lambda b: scram(b, mechanism="PLAIN"), "it does not take FESTIVAL_SECURITY_MECHANISM"),
    "TLS against plaintext": (
        lambda b: tls(b, "TLS") | {"FESTIVAL_BROKER": b.address},
        "it speaks no TLS: see FESTIVAL_SECURITY_PROTOCOL",
    ),
    "plaintext against TLS": (
        lambda b: plain(b.door("SCRAM")),
        "it speaks TLS: see FESTIVAL_SECURITY_PROTOCOL",
    ),
    "TLS without a user": (
        lambda b: tls(b, "SCRAM") | {"FESTIVAL_SECURITY_PROTOCOL": "SSL"},
        "does it ask who we are? See FESTIVAL_SECURITY_PROTOCOL",
    ),
    "a user where nobody is asked": (
        lambda b: scram(b) | {"FESTIVAL_BROKER": b.door("OTHER"), "FESTIVAL_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
        | {"FESTIVAL_BROKER": b.address, "FESTIVAL_SECURITY_CA_FILE": ""},
        "it asks nobody who they are: see FESTIVAL_SECURITY_PROTOCOL",
    ),
    "no token server": (
        lambda b: oauth(b, URL="http://127.0.0.1:1/token", CLIENT_ID="festival", CLIENT_SECRET="x"),  # noqa: S106
        "FESTIVAL_SECURITY_TOKEN_URL (http://127.0.0.1:1/token) does not answer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_whoever_is_not_let_in_is_told_which_setting_it_is(
    broker: SecuredKafka, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ, words = CASES[case]
    status, told = said(environ(broker), ["totals"], monkeypatch, capsys)
    assert status == 3, told
    assert words in told
    assert PASSWORD not in told


@pytest.mark.parametrize("command", ["topics", "check", "audit", "recount", "rejected"])
def test_every_command_tells_it(
    broker: SecuredKafka, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = said(scram(broker, "guessed"), [command], monkeypatch, capsys)
    assert status == 3, told
    assert "see FESTIVAL_SECURITY_USER" in told


def test_a_client_that_the_token_server_does_not_know_is_told_so(
    broker: SecuredKafka, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with TokenServer() as server:
        environ = oauth(broker, **(asked_at(server) | {"CLIENT_SECRET": "wrong"}))
        status, told = said(environ, ["totals"], monkeypatch, capsys)
    assert status == 3
    assert "answers 401 invalid_client: see FESTIVAL_SECURITY_TOKEN_CLIENT_ID" in told


def send(broker: SecuredKafka, prefix: str, begin: int, count: int) -> None:
    producer = Producer({"bootstrap.servers": broker.address})
    for number in range(begin, begin + count):
        producer.produce(f"{prefix}orders", encode(order(f"e{number}")), str(number))
    assert producer.flush(30) == 0
    producer.close()


class Counted:
    """A worker that counts through a door, and what it shows."""

    def __init__(self, broker: SecuredKafka, prefix: str, directory: Path, environ: dict[str, str]) -> None:
        assert run(["topics", "--broker", broker.address, "--prefix", prefix, "--partitions", "2"]) == 0
        settings = load_settings({"broker": environ["FESTIVAL_BROKER"], "prefix": prefix, "data_dir": directory}, {})
        self.worker = WorkerProcess(settings, "w", environ)
        self._port = any_free_port()

    def start(self) -> None:
        """Start it, and return once it counts."""
        self.worker.start("--web-port", str(self._port))
        asyncio.run(self.worker.working())

    def until(self, orders: int) -> None:
        """Wait until it shows so many."""
        deadline = time.monotonic() + COUNTED_SECONDS
        while (found := self._orders()) != orders:
            assert not self.worker.has_ended(), self.worker.log()
            assert time.monotonic() < deadline, f"{found} of {orders} are counted"
            time.sleep(0.2)

    def _orders(self) -> int:
        url = f"http://127.0.0.1:{self._port}/api/totals?festival=singles-day-2019"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(json.load(answer)["orders"])
        except OSError:
            return -1


def test_tokens_are_got_again_and_the_count_goes_on(broker: SecuredKafka, prefix: str, tmp_path: Path) -> None:
    """They live for 3 s, and the broker closes connections whose token has expired; the secret changes in its file."""
    with TokenServer() as server:
        secret = tmp_path / "secret"
        secret.write_text(server.secret)
        told = {name: value for name, value in asked_at(server).items() if name != "CLIENT_SECRET"}
        counted = Counted(broker, prefix, tmp_path, oauth(broker, **told, CLIENT_SECRET_FILE=str(secret)))
        with ended(counted.worker):
            counted.start()
            sent = 0
            until = time.monotonic() + 8
            while time.monotonic() < until:
                send(broker, prefix, sent, 50)
                sent += 50
                time.sleep(0.2)
                if sent == 400:
                    server.secret = "a new one"  # noqa: S105 - a test's
                    secret.write_text(server.secret)
            counted.until(sent)
            assert server.given >= 3
            assert set(server.scopes) == {"count"}
            assert counted.worker.stop() == 0
        assert "a new one" not in counted.worker.log()


def test_a_password_that_changes_in_its_file_is_used_from_then_on(
    broker: SecuredKafka, prefix: str, tmp_path: Path
) -> None:
    """As an operator does it: the user's password, the file, and then the brokers one by one."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    environ = {name: value for name, value in scram(broker).items() if name != "FESTIVAL_SECURITY_PASSWORD"}
    counted = Counted(broker, prefix, tmp_path, environ | {"FESTIVAL_SECURITY_PASSWORD_FILE": str(file)})
    with ended(counted.worker):
        counted.start()
        send(broker, prefix, 0, 100)
        counted.until(100)
        change_password(broker, "a new one")
        file.write_text("a new one\n")
        try:
            broker.kill()
            broker.start()
            send(broker, prefix, 100, 100)
            counted.until(200)
            assert counted.worker.stop() == 0
        finally:
            change_password(broker, PASSWORD)


def change_password(broker: SecuredKafka, password: str) -> None:
    admin: Any = importlib.import_module("confluent_kafka.admin")
    info = admin.ScramCredentialInfo(admin.ScramMechanism.SCRAM_SHA_512, 4096)
    change = admin.UserScramCredentialUpsertion(USER, info, password.encode())
    client = admin.AdminClient({"bootstrap.servers": broker.address})
    for changed in client.alter_user_scram_credentials([change]).values():
        changed.result(20)

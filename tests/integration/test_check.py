"""`festival check` against real Kafka: what it finds, what it tells to do, and its exit status."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.cli.check import check_festivals
from streams.cli.main import run
from streams.errors import UnreachableError
from streams.festivals import load_festivals
from tests.conftest import skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

acl: Any = importlib.import_module("confluent_kafka.admin")  # exports its names without saying so
COMING = """
id = "next"
starts = 2099-11-11T00:00:00
timezone = "Asia/Shanghai"
"""


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, list[str]]]:
    """Return the exit status, and the texts of what is wrong or noted by subject."""
    status = run(["check", "--json", *arguments])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["ready"] == (status == 0)
    told: dict[str, list[str]] = {}
    for found in document["checks"]:
        if not found["ok"] or found["mend"] is not None:
            told.setdefault(found["name"], []).append(f"{found['detail']}: {found['mend']}")
    assert document["ready"] == all(found["ok"] for found in document["checks"])
    return status, told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the festival of the coming night."""
    (tmp_path / "festivals").mkdir()
    (tmp_path / "festivals" / "next.toml").write_text(COMING)
    return tmp_path / "festivals"


@pytest.mark.kafka
def test_topics_that_are_missing_are_named_with_what_makes_them_and_then_all_is_ready(
    kafka: str, prefix: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--broker", kafka, "--prefix", prefix, "--festivals", str(folder)]
    status, told = check(capsys, *place)
    assert status == 1
    assert f"festival topics --broker {kafka} --prefix {prefix}" in told["topics"][0]
    assert run(["topics", *place, "--partitions", "2"]) == 0
    capsys.readouterr()
    status, told = check(capsys, *place, "--workers", "2")
    assert status == 0, told
    assert "bounds" in told["festival next"][1]
    status, told = check(capsys, *place, "--workers", "3")
    assert status == 1
    assert told == {**told, "workers": [text for text in told["workers"] if "1 of them will count nothing" in text]}


def test_a_broker_nobody_reaches_and_a_festival_nobody_can_read_are_told_together(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = f"127.0.0.1:{any_free_port()}"
    status, told = check(capsys, "--broker", broker, "--festivals", str(folder))
    assert status == 3
    assert "cannot be reached" in told["broker"][0]
    (folder / "wrong.toml").write_text('id = "wrong"')
    status, told = check(capsys, "--broker", broker, "--festivals", str(folder))
    assert status == 2
    assert "`timezone` is missing" in told["festivals"][0]
    assert "broker" in told
    assert run(["check", "--broker", "nonsense"]) == 2


def test_the_festival_of_the_night_is_the_one_that_runs_or_comes_next(folder: Path) -> None:
    festivals = load_festivals(folder)
    start_ms = festivals["next"].start_ms
    assert check_festivals(festivals, None, start_ms - 1)[1].subject == "festival next"
    assert "none is to come" in check_festivals(festivals, None, festivals["next"].end_ms)[1].text()
    assert "is over" in check_festivals(festivals, "next", festivals["next"].end_ms)[2].text()
    assert "more than a year away" in check_festivals(festivals, "next", 0)[2].text()
    assert "not known" in check_festivals(festivals, "other", 0)[1].text()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a broker of our own that looks at access rights."""
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    try:
        directory = tmp_path_factory.mktemp("guarded")
        with EmbeddedKafka(directory, port=any_free_port(), properties=properties) as broker:
            yield broker.address
    except UnreachableError as error:
        skip(str(error))


def forbid(
    broker: str, kind: str, name: str, operation: str, pattern: object = acl.ResourcePatternType.LITERAL
) -> None:
    """Take an operation on something away from everybody."""
    admin = acl.AdminClient({"bootstrap.servers": broker})
    place = (acl.ResourceType[kind], name, pattern, "User:*", "*")
    rules = [
        acl.AclBinding(*place, acl.AclOperation[operation], acl.AclPermissionType.DENY),
        acl.AclBinding(*place, acl.AclOperation.ALL, acl.AclPermissionType.ALLOW),
    ]
    for made in admin.create_acls(rules).values():
        made.result(20)


@pytest.mark.kafka
def test_what_the_user_may_not_do_is_named_with_the_command_that_allows_it(
    guarded: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--broker", guarded, "--festivals", str(folder)]
    assert run(["topics", *place, "--partitions", "1"]) == 0
    capsys.readouterr()
    assert check(capsys, *place) == (0, {"festival next": ANY})
    forbid(guarded, "TOPIC", "orders", "READ")
    forbid(guarded, "TOPIC", "festival.ledger", "WRITE")
    forbid(guarded, "GROUP", "festival", "READ")
    forbid(guarded, "TRANSACTIONAL_ID", "festival-check", "WRITE")
    status, told = check(capsys, *place)
    assert status == 1
    mended = " ".join(told["permissions"])
    for wanted in (
        "--operation Read --topic orders",
        "--operation Write --topic festival.ledger",
        "--operation Read --group festival",
        "--transactional-id festival- --resource-pattern-type prefixed",
    ):
        assert wanted in mended
    assert len(told["permissions"]) == 4


@pytest.mark.kafka
def test_a_rehearsal_whose_workers_could_not_count_is_not_begun(
    guarded: str, capsys: pytest.CaptureFixture[str]
) -> None:
    forbid(guarded, "TRANSACTIONAL_ID", "x-rehearsal.", "WRITE", acl.ResourcePatternType.PREFIXED)
    assert run(["rehearse", "--broker", guarded, "--prefix", "x-", "--partitions", "1"]) == 3
    told = capsys.readouterr().err
    assert "not allowed: Write, Describe on transactional-id x-rehearsal." in told
    assert "names that begin with x-rehearsal.:" in told


@pytest.mark.kafka
def test_boards_that_publish_need_their_topic(
    kafka: str, prefix: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ["--broker", kafka, "--prefix", prefix, "--festivals", str(folder)]
    assert run(["topics", *place, "--partitions", "1"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("FESTIVAL_PUBLISH", "yes")
    status, told = check(capsys, *place)
    assert status == 1
    topic, command = f"{prefix}festival.totals", f"festival topics --broker {kafka} --prefix {prefix}"
    assert told["publishing"] == [f"{topic} is missing: with FESTIVAL_PUBLISH=yes: {command}"]
    assert run(["topics", *place]) == 0
    capsys.readouterr()
    status, told = check(capsys, *place)
    assert (status, told.get("publishing")) == (0, None)

"""Every command but a rehearsal does its work with the rights of `streams.kafka.cluster.rights`, and with no others."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.cli.main import run
from streams.errors import UnreachableError
from streams.kafka.cluster.rights import RIGHTS, table
from streams.settings import Settings
from tests.conftest import skip
from tests.integration.bridge_processes import BridgeProcess
from tests.integration.worker_processes import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.kafka

acl: Any = importlib.import_module("confluent_kafka.admin")  # exports its names without saying so
ROOT = Path(__file__).parents[2]
ORDERS = ROOT / "docs" / "examples"
RESOURCES = {"topic": "TOPIC", "group": "GROUP", "transactional-id": "TRANSACTIONAL_ID"}
COUNTED_SECONDS = 60.0
ACLS_SECONDS = 20.0


class Guarded:
    """A broker of our own on which nobody may do anything with names of `prefix`, but for what is allowed."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.prefix = f"rights-{uuid.uuid4().hex[:6]}."
        self.admin = acl.AdminClient({"bootstrap.servers": address})

    def place(self) -> list[str]:
        return ["--broker", self.address, "--prefix", self.prefix]

    def forbid_all(self) -> None:
        """Allow everything to somebody else: what anybody is allowed, others are not."""
        self._add("User:nobody", [self._binding(kind, "", "ALL", "User:nobody", prefixed=True) for kind in RESOURCES])

    @contextmanager
    def allowed(self, command: str) -> Iterator[None]:
        """Allow what the list says of a command; foreign topics have no prefix, so anybody may read them."""
        rules = [
            self._binding(right.resource, name, operation.name, "User:ANONYMOUS",
                          prefixed=right.resource == "transactional-id" or name.endswith("-"))
            for right in RIGHTS[command]
            for name in right.names
            for operation in right.operations
        ]  # fmt: skip
        self._add("User:ANONYMOUS", rules)
        try:
            yield
        finally:
            for removed in self.admin.delete_acls([self._all_of("User:ANONYMOUS")]).values():
                removed.result(20)
            self._await("User:ANONYMOUS", 0)

    def _binding(self, resource: str, name: str, operation: str, user: str, *, prefixed: bool) -> object:
        pattern = acl.ResourcePatternType.PREFIXED if prefixed else acl.ResourcePatternType.LITERAL
        place = (acl.ResourceType[RESOURCES[resource]], self.prefix + name, pattern, user, "*")
        return acl.AclBinding(*place, acl.AclOperation[operation], acl.AclPermissionType.ALLOW)

    def _all_of(self, user: str) -> object:
        place = (acl.ResourceType.ANY, None, acl.ResourcePatternType.ANY, user, None)
        return acl.AclBindingFilter(*place, acl.AclOperation.ANY, acl.AclPermissionType.ANY)

    def _add(self, user: str, rules: list[object]) -> None:
        for made in self.admin.create_acls(rules).values():
            made.result(20)
        self._await(user, len(set(rules)))

    def _await(self, user: str, rules: int) -> None:
        """Wait until the broker goes by so many rules of a user: the controller answers before it does."""
        deadline = time.monotonic() + ACLS_SECONDS
        while len(self.admin.describe_acls(self._all_of(user)).result(20)) != rules:
            assert time.monotonic() < deadline, "the broker does not take the rules over"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    try:
        directory = tmp_path_factory.mktemp("guarded")
        with EmbeddedKafka(directory, port=any_free_port(), properties=properties) as broker:
            yield Guarded(broker.address)
    except UnreachableError as error:
        skip(str(error))


def totals(guarded: Guarded, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with guarded.allowed("totals"):
        assert run(["totals", *guarded.place(), "--festival", "singles-day-2019", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def count(guarded: Guarded, tmp_path: Path) -> None:
    """Let a worker count what there is, and stop it."""
    settings = Settings(broker=guarded.address, prefix=guarded.prefix, data_dir=tmp_path)
    port = any_free_port()
    worker = WorkerProcess(settings, "w").start("--web-port", str(port))
    try:
        deadline = time.monotonic() + COUNTED_SECONDS
        while not has_counted(port):
            assert not worker.has_ended(), worker.log()
            assert time.monotonic() < deadline, worker.log()
            time.sleep(0.2)
        assert worker.stop() == 0, worker.log()
    finally:
        worker.end()


def foreign_topic(guarded: Guarded) -> str:
    """Return a topic of a shop's with a good and a bad record; it has no prefix."""
    name = f"shop-{uuid.uuid4().hex[:6]}"
    for made in guarded.admin.create_topics([acl.NewTopic(name, 1)]).values():
        made.result(20)
    producer: Any = importlib.import_module("confluent_kafka").Producer({"bootstrap.servers": guarded.address})
    record = {"id": "6600123", "created_at": "2026-11-10T11:00:00-05:00", "currency": "USD"}
    producer.produce(name, json.dumps({**record, "total_line_items_price": "84.00"}))
    producer.produce(name, "{")
    producer.flush(20)
    return name


def translate(guarded: Guarded, tmp_path: Path, map_file: Path) -> None:
    """Let a bridge translate what there is, and stop it."""
    settings = Settings(broker=guarded.address, prefix=guarded.prefix, data_dir=tmp_path)
    bridge = BridgeProcess(settings, "b").start("--map", str(map_file))
    try:
        deadline = time.monotonic() + COUNTED_SECONDS
        while "first rejected record" not in bridge.log():
            assert not bridge.has_ended(), bridge.log()
            assert time.monotonic() < deadline, bridge.log()
            time.sleep(0.2)
        assert bridge.stop() == 0, bridge.log()
    finally:
        bridge.end()


def show(guarded: Guarded, tmp_path: Path, *, until: Callable[[], bool] = lambda: True) -> None:
    """Let a board show what was counted, and stop it once `until` is so too."""
    port = any_free_port()
    command = [sys.executable, "-m", "streams.cli", "board", *guarded.place(), "--web-port", str(port)]
    with (tmp_path / "board.log").open("wb") as log:
        board = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + COUNTED_SECONDS
        while not (has_counted(port) and until()):
            assert time.monotonic() < deadline, (tmp_path / "board.log").read_text()
            time.sleep(0.2)
        board.terminate()
        assert board.wait(20) == 0
    finally:
        board.kill()


def has_published(guarded: Guarded) -> bool:
    """Return whether there is something on the topic of totals."""
    reader = Consumer({"bootstrap.servers": guarded.address, "group.id": f"{guarded.prefix}none", "log_level": 0})
    try:
        _, end = reader.get_watermark_offsets(TopicPartition(f"{guarded.prefix}festival.totals", 0), timeout=10)
    finally:
        reader.close()
    return bool(end > 0)


def has_counted(port: int) -> bool:
    """Return whether the worker shows a complete total without lag."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/totals?festival=singles-day-2019", timeout=5
        ) as answer:
            shown = json.load(answer)
    except OSError:
        return False
    return bool(shown["complete"] and shown["lag_records"] == 0 and shown["orders"])


def test_every_command_works_with_the_rights_that_are_listed_for_it(
    guarded: Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESTIVAL_PUBLISH", "yes")
    place = guarded.place()
    guarded.forbid_all()
    assert run(["topics", *place, "--partitions", "1"]) != 0, "nothing is allowed"
    with guarded.allowed("topics"):
        assert run(["topics", *place, "--partitions", "1"]) == 0
    with guarded.allowed("replay"):
        load = ["--orders", "200", "--poison", "0.01", "--speed", "max", "--facts", "orders,payments,parcels,recycling"]
        assert run(["replay", *place, *load]) == 0
    with guarded.allowed("import"):
        files = ["--map", str(ORDERS / "shop.toml"), str(ORDERS / "shop.csv")]
        assert run(["import", *place, *files]) == 1, "two rows are bad"
    with guarded.allowed("worker"):
        assert run(["check", *place, "--json"]) == 0
        count(guarded, tmp_path)
    capsys.readouterr()
    counted = totals(guarded, capsys)
    assert counted["complete"]
    assert counted["orders"] >= 206
    with guarded.allowed("board"):
        show(guarded, tmp_path)
    with guarded.allowed("top"):
        assert run(["top", *place, "--once", "--json"]) == 0, capsys.readouterr().err
    with guarded.allowed("report"):
        out = ["--festival", "singles-day-2019", "--out", str(tmp_path / "report.html")]
        assert run(["report", *place, *out]) == 0, capsys.readouterr().err
    with guarded.allowed("festivals"):
        next_one = ["--id", "next", "--starts", "2030-11-11", "--from", "singles-day-2019"]
        assert run(["festivals", "new", *place, *next_one]) == 0, capsys.readouterr().err
    with guarded.allowed("board with FESTIVAL_PUBLISH=yes"):
        assert not has_published(guarded), "a board that may not publish shows all the same"
        show(guarded, tmp_path, until=lambda: has_published(guarded))
    with guarded.allowed("export"):
        assert run(["export", *place, "--out", str(tmp_path / "told"), "--format", "csv"]) == 0
    with guarded.allowed("seal"):
        out = ["--festival", "singles-day-2019", "--out", str(tmp_path / "sealed.zip")]
        assert run(["seal", *place, *out]) == 0, capsys.readouterr().err
    with guarded.allowed("audit --sealed"):
        assert run(["audit", *place, "--sealed", str(tmp_path / "sealed.zip")]) == 0, capsys.readouterr().err
    for command in ("audit", "rejected", "recount"):
        with guarded.allowed(command):
            assert run([command, *place]) == 0, capsys.readouterr().err


def test_a_bridge_works_with_the_rights_that_are_listed_for_it(guarded: Guarded, tmp_path: Path) -> None:
    place = guarded.place()
    guarded.forbid_all()
    with guarded.allowed("topics"):
        assert run(["topics", *place]) == 0
    foreign = foreign_topic(guarded)
    example = (ORDERS / "bridge" / "json" / "map.toml").read_text("utf-8").replace("shopify.orders-create", foreign)
    for header in ("X-Shopify-Webhook-Id", "X-Shopify-Shop-Domain"):
        example = example.replace(f'{{ header = "{header}" }}', '"id"')
    map_file = tmp_path / "rights.toml"
    map_file.write_text(example.replace('name = "webhooks"', ""), "utf-8")
    assert run(["bridge", *place, "--map", str(map_file), "--check"]) == 1, "a record is bad; of ours nothing is needed"
    with guarded.allowed("bridge"):
        translate(guarded, tmp_path, map_file)
    with guarded.allowed("audit --bridge"):
        assert run(["audit", *place, "--bridge"]) == 0
    with guarded.allowed("rejected --bridge"):
        assert run(["rejected", *place, "--bridge"]) == 0


def test_the_rights_in_the_docs_are_those_of_the_list() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    head = "| `festival …` | what on | operations |\n|---|---|---|\n"
    shown = text.partition(head)[2].partition("\n\n")[0]
    assert shown.splitlines() == table()
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "operations.md":
            assert "on transactional ids" not in page.read_text(encoding="utf-8"), f"{page.name}: point to the table"

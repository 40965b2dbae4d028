"""Java's side of the comparison: the rivals' libraries from Maven Central, and our sources for them, compiled."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jgo

from streams.broker.distribution import KAFKA_VERSION
from streams.errors import UnreachableError

if TYPE_CHECKING:
    from jgo.maven import Artifact

SOURCES = Path(__file__).resolve().parent.parent
SHARED = SOURCES / "rivals"
FLINK_VERSION = "2.2.1"
FLINK_KAFKA_VERSION = "5.0.0-2.2"
"""The newest connector; it decides the version of Flink."""
JVM_OPTIONS = ("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC")
"""A fixed heap with room to spare, and the collector that is meant for throughput."""


@dataclass(frozen=True, slots=True)
class Program:
    """A rival as it is compiled and run."""

    main: str
    folder: str
    libraries: tuple[str, ...]
    """As group:artifact:version; of what two of them bring, the first one's version is taken."""
    options: tuple[str, ...] = ()


STREAMS = Program("StreamsCount", "kafka_streams", (f"org.apache.kafka:kafka-streams:{KAFKA_VERSION}",))
FLINK = Program(
    "FlinkCount",
    "flink",
    (
        f"org.apache.flink:flink-clients:{FLINK_VERSION}",
        f"org.apache.flink:flink-connector-base:{FLINK_VERSION}",
        f"org.apache.flink:flink-connector-kafka:{FLINK_KAFKA_VERSION}",
        f"org.apache.flink:flink-statebackend-rocksdb:{FLINK_VERSION}",
        f"org.apache.flink:flink-statebackend-changelog:{FLINK_VERSION}",
        f"org.apache.flink:flink-dstl-dfs:{FLINK_VERSION}",
    ),
    # What Flink's own start script opens for its serializers.
    ("--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"),
)


def find_javac() -> Path:
    """Return the compiler; the `java` that runs its output lies beside it."""
    found = shutil.which("javac")
    if found is None:
        raise UnreachableError("no javac on PATH: install a JDK of version 17 or later (Debian: default-jdk-headless)")
    return Path(found).resolve()


def build(program: Program, directory: Path) -> list[str]:
    """Fetch the libraries, compile into `directory`, and return the command, to be followed by its arguments."""
    javac = find_javac()
    classes = directory / program.folder
    class_path = ":".join([str(classes), *_jars(program.libraries)])
    sources = [str(path) for folder in (SHARED, SOURCES / program.folder) for path in sorted(folder.glob("*.java"))]
    compiler = [str(javac), "-Xlint:all", "-d", str(classes), "-cp", class_path, *sources]
    done = subprocess.run(compiler, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    java = str(javac.with_name("java"))
    return [java, *JVM_OPTIONS, *program.options, "-cp", class_path, program.main]


def _jars(libraries: tuple[str, ...]) -> list[str]:
    # One by one: resolved together, what the connector asks for would pull Flink's core back to an older version.
    found: dict[tuple[str, str], Artifact] = {}
    for library in libraries:
        for artifact in jgo.resolve(library):
            found.setdefault((artifact.groupId, artifact.artifactId), artifact)
    return [str(artifact.resolve()) for artifact in found.values()]

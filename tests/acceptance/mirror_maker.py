"""MirrorMaker 2 as an operator runs it (`connect-mirror-maker.sh`), and Kafka's other tools, of the embedded version.

`mirror_maker.csv` pins the jars they need besides Kafka's; `bin/lock-kafka` writes it.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

from streams.broker.distribution import KAFKA_VERSION, cache_directory, find_java, jars_in, kafka_jars, pinned_jars

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

JARS_FILE = Path(__file__).with_name("mirror_maker.csv")
STOP_SECONDS = 60
_LOGGING = """\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.mirror.name = org.apache.kafka.connect.mirror
logger.mirror.level = INFO
"""


def java(logging: Path | None = None) -> list[str]:
    """Return what runs a class of the mirror's or of a tool."""
    cache = cache_directory()
    own = jars_in(cache / f"mirror-maker-{KAFKA_VERSION}", pinned_jars(JARS_FILE), cache)
    told = [] if logging is None else [f"-Dlog4j2.configurationFile={logging}"]
    place = ["-cp", f"{kafka_jars(cache)}/*:{own}/*"]
    return [str(find_java()), "-Xmx512m", "-XX:TieredStopAtLevel=1", *told, *place]


class MirrorMaker:
    """One process, as a context: leaving it stops it in order."""

    def __init__(self, directory: Path, properties: Mapping[str, str]) -> None:
        """`properties` are those of its file."""
        self._directory = directory
        self._properties = dict(properties)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it; it mirrors once it has joined its own group, after half a minute."""
        self._directory.mkdir(parents=True, exist_ok=True)
        config, logging = self._directory / "mm2.properties", self._directory / "log4j2.properties"
        config.write_text("".join(f"{key} = {value}\n" for key, value in self._properties.items()), encoding="utf-8")
        logging.write_text(_LOGGING, encoding="utf-8")
        command = [
            *java(logging),
            "org.apache.kafka.connect.mirror.MirrorMaker",
            str(config),
        ]
        with (self._directory / "mm2.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; where it does not end in time, kill it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def has_ended(self) -> bool:
        """Return whether it ended by itself."""
        assert self._process is not None
        return self._process.poll() is not None

    def log(self) -> str:
        """Return what it wrote."""
        return (self._directory / "mm2.log").read_text(encoding="utf-8", errors="replace")

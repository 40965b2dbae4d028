"""Fixtures for all tests: one broker per session, a prefix of its own for each test, no settings from outside.

The profile `ci` of hypothesis is what the test command runs, `thorough` what a change of the ledger deserves:
bin/test tests/property --hypothesis-profile thorough
"""

from __future__ import annotations

import logging
import os
import uuid
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from streams.broker.embedded import EmbeddedKafka, any_free_port
from streams.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

settings.register_profile("ci", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("ci"), max_examples=1000)
settings.load_profile("ci")

os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
"""For the brokers of the tests: a start takes 3.5 s of CPU and not 6.8, as nothing is compiled for a long life."""
TEST_VARIABLES = {"FESTIVAL_CI", "FESTIVAL_TEST_BROKER"}
"""Variables of the tests themselves: skips are failures; a broker that runs already, to save its start."""


QUICK = {
    "log.cleaner.backoff.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}
"""How often the shared broker looks for logs to compact (else every 15 s), and for late transactions (10 s)."""

UNMENDABLE = ("no IPv6 here", "the system gave out the last port")
"""Reasons to skip that hold in CI too: nobody can install these."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be lacking: there a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("FESTIVAL_CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.endswith(UNMENDABLE):
            report.outcome = "failed"
            report.longrepr = f"in CI nothing may be missing: {reason}"
    return report


def skip(reason: str) -> None:
    """Skip the test because this machine lacks something: in CI it fails with that."""
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in os.environ:
        if name.startswith("FESTIVAL_") and name not in TEST_VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("FESTIVAL_DATA_DIR", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.fixture(autouse=True)
def _no_logging_left_behind() -> Iterator[None]:
    """Undo what a command under test did to the logging of the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return HOST:PORT of a broker that all tests of the session share: take a `prefix`."""
    if running := os.environ.get("FESTIVAL_TEST_BROKER"):
        yield running
        return
    try:
        with EmbeddedKafka(tmp_path_factory.mktemp("kafka"), port=any_free_port(), properties=QUICK) as broker:
            yield broker.address
    except UnreachableError as error:
        skip(str(error))


@pytest.fixture
def prefix() -> str:
    """Return a prefix for topics and groups that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}-"

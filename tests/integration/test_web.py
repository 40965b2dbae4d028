"""`festival board` and `festival totals` on real Kafka: what was committed, seen from outside."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.app import declare
from streams.kafka.cluster.topics import create_topics
from streams.settings import Settings
from streams.web.ports import listen, url_of
from tests.certificates import Authority
from tests.integration.ledgers import PARTITIONS, count, orders, send
from tests.integration.worker_processes import WorkerProcess, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

pytestmark = pytest.mark.kafka
SECONDS = 30


@pytest.fixture
def settings(kafka: str, prefix: str, tmp_path: Path) -> Settings:
    return Settings(broker=kafka, prefix=prefix, data_dir=tmp_path)


def environment(settings: Settings) -> dict[str, str]:
    own = {"FESTIVAL_BROKER": settings.bootstrap_servers, "FESTIVAL_PREFIX": settings.prefix}
    return {**os.environ, **own, "FESTIVAL_DATA_DIR": str(settings.data_dir)}


def festival(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(
        command, env=environment(settings), capture_output=True, text=True, check=False, timeout=SECONDS
    )


@contextmanager
def board(settings: Settings, *arguments: str) -> Iterator[str]:
    """Run `festival board`, give its address, end it with SIGTERM and see that it ends well."""
    command = [sys.executable, "-m", "streams.cli", "board", "--json", *arguments]
    with subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()


def read(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - our own server
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def scraped(url: str) -> dict[str, Metric]:
    with urllib.request.urlopen(f"{url}metrics", timeout=SECONDS) as answer:  # noqa: S310 - our own server
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def scraped_orders(url: str) -> dict[str, float]:
    return {sample.labels["festival"]: sample.value for sample in scraped(url)["festival_orders"].samples}


def served_at(worker: WorkerProcess) -> str:
    found = re.search(r"http://[\d.]+:\d+/", worker.log())
    assert found is not None, worker.log()
    return found[0]


def eventually(read_now: Callable[[], Any], is_wanted: Callable[[Any], bool]) -> Any:  # noqa: ANN401
    """Return the first reading that is wanted; fails with the last one after half a minute."""
    until = time.monotonic() + SECONDS
    while not is_wanted(reading := read_now()):
        assert time.monotonic() < until, reading
        time.sleep(0.05)
    return reading


async def test_a_board_follows_what_is_committed_and_totals_say_the_same(settings: Settings) -> None:
    await create_topics(settings, PARTITIONS)
    _, declarations = declare(settings)
    with board(settings) as url:
        await send(settings, orders(0, 1_000))
        counting = await count(settings, declarations)
        await counting.close()
        _, totals = eventually(lambda: read(f"{url}api/totals"), lambda found: found[1].get("orders") == 1_000)
        assert (totals["complete"], totals["money"]["CNY"]["gross"]) == (True, sum(range(1_000)))
        eventually(lambda: read(f"{url}api/totals"), lambda found: found[1]["lag_records"] == 0)
        assert read(f"{url}readyz")[0] == 200

        shown = festival(settings, "totals", "--json", "--by", "merchant", "--top", "3")
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout) == read(f"{url}api/totals?by=merchant&top=3")[1]

        await send(settings, orders(1_000, 5))
        eventually(lambda: read(f"{url}api/totals"), lambda found: found[1]["lag_records"] == 5)
        counting = await count(settings, declarations)
        await counting.close()
        eventually(lambda: read(f"{url}api/totals"), lambda found: found[1]["orders"] == 1_005)

        assert scraped_orders(url)["singles-day-2019"] == 1_005
        _, series = read(f"{url}api/series?measure=orders&step=hour")
        assert sum(series["values"]) == 1_005


async def test_a_worker_that_shows_nothing_counts_and_leaves_the_totals_to_boards(settings: Settings) -> None:
    await create_topics(settings, PARTITIONS)
    worker = WorkerProcess(settings, "quiet", {"FESTIVAL_SHOW": "no"})
    with ended(worker), board(settings) as url:
        worker.start()
        await send(settings, orders(0, 1_000))
        eventually(lambda: read(f"{url}api/totals"), lambda found: found[1].get("orders") == 1_000)
        own = served_at(worker)
        assert read(f"{own}readyz")[0] == 200
        for path in ("", "api/totals", "api/stream"):
            status, answer = read(f"{own}{path}")
            assert status == 503
            assert "ask a board" in answer["error"]
        counted = [s for s in scraped(own)["streams_events"].samples if s.labels["outcome"] == "counted"]
        assert sum(sample.value for sample in counted) == 1_000
        assert not [name for name in scraped(own) if name.startswith("festival_")]
        assert eventually(lambda: scraped(own)["streams_kafka_contact_timestamp_seconds"].samples, bool)


def test_before_the_topics_exist_a_board_is_live_but_not_ready_and_totals_exit_3(settings: Settings) -> None:
    with board(settings) as url:
        assert read(f"{url}livez")[0] == 200
        status, answer = read(f"{url}readyz")
        assert (status, answer["ready"]) == (503, False)
        status, answer = read(f"{url}api/totals")
        assert (status, answer["loaded"]) == (503, False)
    missing = festival(settings, "totals")
    assert missing.returncode == 3
    assert "create it with `festival topics`" in missing.stderr


def test_an_explicit_port_that_is_taken_exits_2(settings: Settings) -> None:
    with listen("127.0.0.1", 0, is_explicit=True) as taken:
        port = url_of(taken).rstrip("/").rpartition(":")[2]
        refused = festival(settings, "board", "--web-port", port)
    assert refused.returncode == 2
    assert f"{port} on 127.0.0.1 is taken" in refused.stderr


def test_a_board_with_a_web_config_serves_over_tls_to_whom_it_names(settings: Settings, tmp_path: Path) -> None:
    """Workers and bridges take the same option; a file that is wrong ends the command."""
    authority = Authority(tmp_path)
    issued = authority.issue("server")
    known = hashlib.sha256(b"known").hexdigest()
    file = tmp_path / "web.yml"
    tls = f"tls_server_config: {{cert_file: {issued.cert.name}, key_file: {issued.key.name}}}"
    file.write_text(f"{tls}\nbearer_tokens: {{screen: 'sha256:{known}'}}\n", "utf-8")
    trusting = ssl.create_default_context(cafile=authority.ca)
    with board(settings, "--web-port", "0", "--web-config", str(file)) as url:
        assert url.startswith("https://127.0.0.1:")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}livez", timeout=SECONDS, context=trusting)  # noqa: S310 - our own server
        asking = urllib.request.Request(f"{url}livez", headers={"Authorization": "Bearer known"})  # noqa: S310
        with urllib.request.urlopen(asking, timeout=SECONDS, context=trusting) as answer:  # noqa: S310 - our own server
            assert json.load(answer) == {"status": "up"}
    file.write_text("tls: {}", "utf-8")
    done = festival(settings, "board", "--web-port", "0", "--web-config", str(file))
    assert done.returncode == 2, done.stderr
    assert "tls is not known; there are tls_server_config" in done.stderr

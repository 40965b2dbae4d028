"""The stage of the live tests: real Kafka, worker, board, Prometheus and Alertmanager, with the files of `deploy/`.

The servers run with the committed configuration; what differs is said here and nowhere else: the targets, the two
webhook URLs, and where `factor` is not 1, all durations divided by it (the bounds of the tests are divided as well).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.prometheus import build
from streams.broker.embedded import EmbeddedKafka, any_free_port
from tests.deploy.monitoring import ALERTMANAGER_FILE, PROMETHEUS, read, tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

PARTITIONS = 2
NIGHT = "night"
"""A festival that runs now."""
REPLAYED = "replayed"
"""The hours of the 2019 day, with milestones that a small replay reaches."""
START_SECONDS = 60.0
ORDERS_PER_SECOND = 40
FOREIGN = "shop.orders"
"""A topic of a shop's own, which a bridge translates."""

_MAP = f"""
name = "shop"
[[source]]
topic = "{FOREIGN}"
to = "orders"
encoding = "json"
type = {{ path = "status", values = {{ NEW = "order_placed" }}, others = "ignore" }}
[source.fields]
event_id = "id"
order_id = "id"
ts = {{ record = "timestamp" }}
platform = {{ constant = "web" }}
merchant = {{ constant = "m1" }}
market = {{ constant = "DE" }}
currency = {{ constant = "EUR" }}
amount_minor = "cents"
"""
_STATUSES = ("NEW", "NEW", "NEW", "PAID")
"""Some are ignored."""

_FESTIVAL = """
id = "{id}"
name = "A festival for tests"
starts = {starts}
timezone = "{timezone}"
hours = 24
home_currency = "CNY"
display = ["EUR"]
facts = {facts}
milestones = ["1000", "10000"]

[previous]
name = "The one before"
total = "5000000"
curve = [[0, "0"], [43200, "2500000"], [86400, "5000000"]]

[plausible]
average_order_value = ["1", "10000"]
growth = ["-1.0", "1000000.0"]

[rates.EUR]
2000-01-01 = "7.75"
"""


@dataclass
class Notified:
    """One alert in one call of a webhook."""

    path: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    at: float


@dataclass
class Webhook:
    """Takes what Alertmanager sends."""

    received: list[Notified] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def start(self) -> int:
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.extend(
                    Notified(self.path, alert["status"], alert["labels"], alert["annotations"], time.monotonic())
                    for alert in body["alerts"]
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return int(self.server.server_address[1])

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


class Shop(threading.Thread):
    """Sends orders of now, evenly, until it is told otherwise."""

    def __init__(self, broker: str) -> None:
        super().__init__(daemon=True)
        self._producer = Producer({"bootstrap.servers": broker, "log_level": 0, "message.timeout.ms": 300_000})
        self._number, self._foreign = count(1), count(1)
        self._ended = threading.Event()
        self.is_open = True
        """Whether orders are sent."""
        self.is_poisoned = False
        """Whether records that cannot be counted are sent to `payments`."""
        self.has_bridge = False
        """Whether records are sent to the topic that a bridge reads, some of which it cannot translate."""

    def run(self) -> None:
        while not self._ended.wait(0.1):
            for _ in range(ORDERS_PER_SECOND // 10):
                if self.is_open:
                    self._send_order(next(self._number))
                if self.is_poisoned:
                    self._producer.produce("payments", b"{")
            if self.has_bridge:
                self._send_foreign(next(self._foreign))
            self._producer.poll(0)

    def _send_order(self, number: int) -> None:
        order = {
            "type": "order_placed",
            "event_id": f"e{number}",
            "ts": time.time_ns() // 1_000_000,
            "order_id": f"o{number}",
            "platform": "tmall",
            "merchant": "m1",
            "market": "CN",
            "currency": "CNY",
            "amount_minor": 20_600,
        }
        self._producer.produce("orders", json.dumps(order), key=f"o{number}", partition=number % PARTITIONS)

    def _send_foreign(self, number: int) -> None:
        cents = 100 + number if number % 25 else "none"
        record = {"id": f"f{number}", "status": _STATUSES[number % len(_STATUSES)], "cents": cents}
        self._producer.produce(FOREIGN, json.dumps(record))

    def close(self) -> None:
        self._ended.set()
        self.join()
        self._producer.flush(1)


def make_topic(broker: str, name: str) -> None:
    """Make a topic of a shop's."""
    admin = AdminClient({"bootstrap.servers": broker})  # its answers come as long as it is there
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)


class Stage:
    """Everything that runs on a festival's night. A context: leaving it ends every process."""

    def __init__(self, directory: Path, factor: int) -> None:
        self.factor = factor
        self.directory = directory
        self.kafka = EmbeddedKafka(directory / "kafka", port=any_free_port())
        self.webhook = Webhook()
        self.shop: Shop | None = None
        self._ports = {name: any_free_port() for name in ("worker", "board", "bridge", "prometheus", "alertmanager")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start everything, and return once orders are counted and scraped."""
        programs = tool("prometheus"), tool("prometheus-alertmanager", "alertmanager")
        try:
            self._write_festivals()
            self.kafka.start()
            self.festival("topics", "--partitions", str(PARTITIONS))
            self.start_worker()
            self._start_festival("board", "board", "--web-port", str(self._ports["board"]))
            self._start_servers(*programs)
            self.shop = Shop(self.kafka.address)
            self.shop.start()
            # A server that has just started knows no windows yet: wait until every rule was evaluated on real samples.
            self.until(lambda: bool(self.query("topic:streams_events:rate1m > 0")), "orders are counted and scraped")
            self.until(lambda: len(self.query("up == 1")) == 2, "both targets are up")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        if self.shop is not None:
            self.shop.close()
        for process in self._processes.values():
            process.kill()
            process.wait()
        self.webhook.stop()
        self.kafka.stop()

    # -- what an operator does -----------------------------------------------------------------------------------

    def festival(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed; its status must be 0."""
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"festival {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_worker(self) -> None:
        port = str(self._ports["worker"])
        self._start_festival("worker", "worker", "--name", "worker-1", "--web-port", port)

    def start_bridge(self) -> None:
        """Start a bridge that Prometheus knows, and a shop whose records it translates."""
        assert self.shop is not None
        make_topic(self.kafka.address, FOREIGN)
        self.map_file.write_text(_MAP, encoding="utf-8")
        port = str(self._ports["bridge"])
        self._start_festival("bridge", "bridge", "--map", str(self.map_file), "--name", "bridge-1", "--web-port", port)
        self._write_targets("bridges", "bridge")
        self.shop.has_bridge = True

    @property
    def map_file(self) -> Path:
        """Return the map of the bridge."""
        return self.directory / "shop.toml"

    def kill_worker(self) -> None:
        self._processes["worker"].kill()
        self._processes["worker"].wait()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def environment(self) -> dict[str, str]:
        """Return the environment of the commands, without settings of whoever runs the tests."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "FESTIVAL_BROKER": self.kafka.address,
            "FESTIVAL_DATA_DIR": str(self.directory / "data"),
            "FESTIVAL_FESTIVALS_DIR": str(self.directory / "festivals"),
        }

    # -- what Prometheus and Alertmanager say ----------------------------------------------------------------------

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        data = self.get("prometheus", "/api/v1/query", query=expr)["data"]
        result: list[dict[str, Any]] = data["result"]
        return result

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire in Prometheus."""
        alerts = self.get("prometheus", "/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def silenced_by(self, cause: str) -> set[str]:
        """Return the names of the alerts that Alertmanager keeps silent because of another one."""
        alerts = self.get("alertmanager", "/api/v2/alerts")
        causes = {alert["fingerprint"] for alert in alerts if alert["labels"]["alertname"] == cause}
        return {alert["labels"]["alertname"] for alert in alerts if causes & set(alert["status"]["inhibitedBy"])}

    def notified(self, since: float, status: str = "firing") -> set[str]:
        """Return the names of the alerts that reached a webhook after an instant."""
        return {n.labels["alertname"] for n in list(self.webhook.received) if n.at >= since and n.status == status}

    def get(self, name: str, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Return a JSON answer of one of the servers."""
        url = f"{self.url(name)}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return json.load(answer)

    def until(self, is_so: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> float:
        """Return after how many seconds it is so; fails with the ends of all logs."""
        started = time.monotonic()
        while not self._is_so(is_so):
            if time.monotonic() - started > seconds:
                raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.logs()}")
            time.sleep(0.2)
        return time.monotonic() - started

    @staticmethod
    def _is_so(is_so: Callable[[], bool]) -> bool:
        try:
            return is_so()
        except OSError:
            return False

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-2_000:]}"
            for path in sorted(self.directory.glob("*.log"))
        )

    # -- configuration -------------------------------------------------------------------------------------------

    def _write_festivals(self) -> None:
        folder = self.directory / "festivals"
        folder.mkdir()
        starts = (datetime.now(UTC) - timedelta(hours=2)).replace(tzinfo=None, microsecond=0).isoformat()
        night = _FESTIVAL.format(id=NIGHT, starts=starts, timezone="UTC", facts='["orders"]')
        (folder / "night.toml").write_text(night)
        facts = json.dumps(["orders", "payments", "parcels", "recycling"])
        replayed = _FESTIVAL.format(id=REPLAYED, starts="2019-11-11T00:00:00", timezone="Asia/Shanghai", facts=facts)
        (folder / "replayed.toml").write_text(replayed)

    def _start_servers(self, prometheus: str, alertmanager: str) -> None:
        port = self.webhook.start()
        routes = build.faster(ALERTMANAGER_FILE.read_text("utf-8"), self.factor)
        for receiver in read(ALERTMANAGER_FILE)["receivers"]:
            for webhook in receiver.get("webhook_configs", ()):
                assert webhook["url"] in routes
                routes = routes.replace(webhook["url"], f"http://127.0.0.1:{port}/{receiver['name']}")
        (self.directory / "alertmanager.yml").write_text(routes)
        home = self.directory / "prometheus"
        shutil.copytree(PROMETHEUS, home, ignore=shutil.ignore_patterns("*.py", "source", "tests", "__pycache__"))
        server = build.faster((PROMETHEUS / "prometheus.yml").read_text("utf-8"), self.factor)
        (home / "prometheus.yml").write_text(server)
        for name, text in build.rules(self.factor).items():
            (home / "rules" / name).write_text(text)
        for name, target in (("workers", "worker"), ("boards", "board"), ("alertmanagers", "alertmanager")):
            self._write_targets(name, target)
        self._start(
            "alertmanager",
            alertmanager,
            f"--config.file={self.directory / 'alertmanager.yml'}",
            f"--storage.path={self.directory / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self._ports['alertmanager']}",
            "--cluster.listen-address=",
        )
        self._start(
            "prometheus",
            prometheus,
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._ports['prometheus']}",
        )

    def _write_targets(self, name: str, target: str) -> None:
        targets = [{"targets": [f"127.0.0.1:{self._ports[target]}"]}]
        (self.directory / "prometheus" / "targets" / f"{name}.yml").write_text(yaml.safe_dump(targets))

    def _start_festival(self, name: str, *arguments: str) -> None:
        self._start(name, sys.executable, "-m", "streams.cli", *arguments)

    def _start(self, name: str, *command: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

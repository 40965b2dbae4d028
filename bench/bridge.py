"""What a bridge translates in a CPU second: `python -m bench.bridge`.

End to end: an embedded Kafka, a source of 8 partitions, `festival bridge` as a process of its own. The records are the
JSON and the Avro example of docs/bridge.md, each with ids of its own. Beside it the cost of a record in one process
without a broker, by the rules and by the compiled part, relative to writing one event as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson
import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.measures import Run, median_run, spread, tell
from bench.report import machine, write
from bench.topics import Bench, open_bench, prepare
from streams.bridge.given import read_given
from streams.bridge.map import load_map
from streams.bridge.plan import Changes
from streams.bridge.schemas import GivenSchemas
from streams.bridge.translation import Translation
from streams.bridge.whole import translate_whole
from streams.engine.batch import RecordBatch
from streams.kafka.client.internals import install
from streams.native.texts import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.bridge.map import BridgeMap
    from streams.bridge.records import Record

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "bridge"
PARTITIONS = 8
TRIED = 8_000
TRIES = 5
LOAD_RECORDS = 4_000
"""In a batch of a producer."""
POLL_SECONDS = 0.2
DEADLINE_SECONDS = 600
STOP_SECONDS = 15
POSITION = re.compile(r"^streams_bridge_position\{.*\} (\S+)$", re.MULTILINE)


class Example(NamedTuple):
    """One of the examples, and where its records carry an id."""

    name: str
    id_in_value: bytes
    header: str


EXAMPLE_JSON = Example("json", b"6600123", "X-Shopify-Webhook-Id")
EXAMPLE_AVRO = Example("avro", b"3a52c0de0001", "")


def read_example(example: Example) -> tuple[BridgeMap, Record, GivenSchemas]:
    """Return its map, its first record and its schemas."""
    bridge_map = load_map(EXAMPLES / example.name / "map.toml")
    given = read_given(EXAMPLES / example.name / "records.json", bridge_map, None, 0)
    return bridge_map, given.records[0], given.schemas or GivenSchemas()


async def load(bench: Bench, example: Example, records: int) -> str:
    """Fill a topic of the example's name with records and return its name."""
    bridge_map, record, _ = read_example(example)
    topic, width = bridge_map.sources[0].topic, len(example.id_in_value)
    install()
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.broker)
    producer = AIOKafkaProducer(bootstrap_servers=bench.broker, compression_type="snappy", max_batch_size=900_000)
    await admin.start()
    await producer.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        number = 0
        while number < records:
            builder = producer.create_batch()
            while number < records:
                identity = str(number).zfill(width).encode().replace(b"0", b"1", 1)
                value = (record.value or b"").replace(example.id_in_value, identity)
                headers = [(n, v + identity if n == example.header else v) for n, v in record.headers if v is not None]
                if builder.append(timestamp=None, key=None, value=value, headers=headers) is None:
                    break
                number += 1
                if builder.record_count() >= LOAD_RECORDS:
                    break
            builder.close()
            sent = await producer.send_batch(builder, topic, partition=(number // LOAD_RECORDS) % PARTITIONS)
            await sent
    finally:
        await producer.stop()
        await admin.close()
    return topic


@contextmanager
def registry() -> Iterator[str]:
    """Run a schema registry with the schema of the Avro example and return its address."""
    document = json.loads((EXAMPLES / "avro" / "records.json").read_text("utf-8"))["schemas"]["7"]
    answer = json.dumps({"schema": json.dumps(document)}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:  # what is not asked for is not told
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def translate(bench: Bench, example: Example, records: int, number: int, address: str) -> Run:
    """Let a bridge of its own translate the topic; CPU and time run from its first answer to its last record."""
    text = (EXAMPLES / example.name / "map.toml").read_text("utf-8")
    text = re.sub(r"^name = .*$", f'name = "{example.name}-{number}"', text, count=1, flags=re.MULTILINE)
    file, log = bench.directory / f"{example.name}-{number}.toml", bench.directory / f"{example.name}-{number}.log"
    file.write_text(re.sub(r"^url = .*$", f'url = "{address}"', text, flags=re.MULTILINE), "utf-8")
    command = bench.command("bridge", "--map", str(file), "--web-port", "0", "--name", f"bench-{example.name}-{number}")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    watched = psutil.Process(process.pid)
    deadline, begun, peak = time.monotonic() + DEADLINE_SECONDS, None, 0
    try:
        while True:
            assert time.monotonic() < deadline, log.read_text("utf-8")[-2000:]
            assert process.poll() is None, log.read_text("utf-8")[-2000:]
            done = _positions(log)
            times = watched.cpu_times()
            used = times.user + times.system
            peak = max(peak, watched.memory_info().rss)
            if begun is None and done is not None:
                begun = done, used, time.monotonic()
            if begun is not None and done == records:
                break
            time.sleep(POLL_SECONDS)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
    return Run(records - begun[0], used - begun[1], time.monotonic() - begun[2], peak / 2**20)


def _positions(log: Path) -> int | None:
    """Return how many records are translated, None before all partitions are taken over."""
    found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text("utf-8"))
    if found is None:
        return None
    try:
        with urllib.request.urlopen(f"{found[0]}/metrics", timeout=5) as answer:  # noqa: S310 - http, as was matched
            page = answer.read().decode()
    except OSError:
        return None
    positions = [int(float(value)) for value in POSITION.findall(page)]
    return sum(positions) if len(positions) == PARTITIONS else None


def stages(example: Example) -> dict[str, float]:
    """Return the microseconds of a record in one process: by the rules, and in whole batches."""
    bridge_map, record, schemas = read_example(example)
    translation = Translation(bridge_map.sources[0], schemas)
    records, now_ms = [record] * TRIED, record.record_time_ms
    (event,) = translation.translate([record], Changes(), now_ms).results[0].events
    headers = joined([[_section(record)] * TRIED])
    keys, values = joined([[record.key] * TRIED]), joined([[record.value] * TRIED])
    times = np.full(TRIED, record.record_time_ms)
    batch = RecordBatch(record.topic, 0, 0, TRIED, range(TRIED), keys, values, times, headers)
    return {
        "writing one event as JSON": microseconds(lambda: [orjson.dumps(event.fields) for _ in records]),
        "by the rules": microseconds(lambda: translation.translate(records, Changes(), now_ms)),
        "in whole batches": microseconds(lambda: translate_whole(translation, batch, Changes(), now_ms)),
    }


def _section(record: Record) -> bytes:
    """Return a record's headers as Kafka has them in its bytes; all are short."""
    section = bytes([2 * len(record.headers)])
    for name, value in record.headers:
        section += bytes([2 * len(name)]) + name.encode() + bytes([2 * len(value or b"")]) + (value or b"")
    return section


def microseconds(work: Callable[[], object]) -> float:
    """Return the CPU time of a record: the best of some rounds."""
    best = float("inf")
    for _ in range(TRIES):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best / TRIED * 1e6


def rows(example: Example, runs: list[Run]) -> list[str]:
    """Return what was measured of an example."""
    run = median_run(runs)
    found = stages(example)
    base = found.pop("writing one event as JSON")
    cost = ", ".join(f"{stage} {micros:.2f} ({micros / base:.1f} ×)" for stage, micros in found.items())
    rate = f"**{run.events_per_cpu_second:,.0f}** | {spread(runs)} | {run.events_per_second:,.0f}"
    return [f"| {example.name} | {rate} | {run.peak_rss_mb:.0f} MB | {cost} |"]


def main() -> None:
    """Run some rounds of both examples and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.bridge")
    parser.add_argument("--broker", help="HOST:PORT; default: an embedded Kafka of its own")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="Markdown file whose part about the bridge is replaced")
    arguments = parser.parse_args()
    runs: dict[Example, list[Run]] = {EXAMPLE_JSON: [], EXAMPLE_AVRO: []}
    with open_bench(arguments.broker, PARTITIONS) as bench, registry() as address:
        asyncio.run(prepare(bench))
        for example in runs:
            asyncio.run(load(bench, example, arguments.records))
            tell(f"{arguments.records:,} records of {example.name} preloaded")
        for number in range(arguments.rounds):
            for example, found in runs.items():
                found.append(translate(bench, example, arguments.records, number, address))
                tell(f"round {number + 1}, {example.name}: {found[-1].events_per_cpu_second:,.0f} per CPU second")
    lines = [f"Machine: {machine()}. {arguments.rounds} rounds of {arguments.records:,} records, medians.", ""]
    lines += ["| example | records a CPU second | lowest to highest | a second | memory | µs a record, without Kafka |"]
    lines += [
        "|---|---:|---:|---:|---:|---|",
        *(row for example, found in runs.items() for row in rows(example, found)),
    ]
    print("\n".join(lines))  # noqa: T201
    if arguments.write:
        write(arguments.write, lines, "bridge")


if __name__ == "__main__":
    main()

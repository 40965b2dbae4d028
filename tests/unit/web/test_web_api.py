"""The HTTP interface over a board in memory: documents, errors, readiness, the page's files."""

from __future__ import annotations

import dataclasses
import gzip
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from streams.board.view.committed_view import CommittedView
from streams.domain.declarations import Declarations
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.domain.pages import fingerprint_key
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.memory import CellLedger
from streams.engine.status import HeldReason, WorkerStatus
from streams.festivals import load_festivals
from streams.web import openapi
from streams.web.api import INDEX, application
from streams.web.shown import Shown
from tests.unit.looks import judging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
Client = TestClient[web.Request, web.Application]


class Counter:
    """A ledger, its view and what is served of it."""

    def __init__(self, status: WorkerStatus | None = None) -> None:
        self.ledger = CellLedger(1)
        self.view = CommittedView()
        self.ends = {"orders": {0: 9}}
        self.clock = ManualClock(DAY.start_ms)
        self.is_loaded = True
        self.source = Shown(
            FESTIVALS,
            self.view.snapshot,
            judging(self.view.snapshot, lambda: self.ends),
            lambda: self.is_loaded,
            status,
            BrokerClock(self.clock),
        )

    def count(self, orders: int, gross_minor: int = 0, at_ms: int = DAY.start_ms) -> None:
        """Count orders on one platform and commit."""
        for rollup, group in (("orders_by_second", ("CNY",)), ("orders_by_platform", ("tmall", "CNY"))):
            self.ledger.add(0, DAY, rollup, group, at_ms, orders=orders, gross_minor=gross_minor)
        self.ledger.commit(0, {"orders": 7}, {"orders": 1}, {"orders": at_ms})
        self.view.feed(self.ledger.drain())


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
async def client(counter: Counter) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(counter.source))) as client:
        yield client


async def got(client: Client, path: str, status: int = 200) -> Any:  # noqa: ANN401
    answer = await client.get(path)
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/json"
    is_kept = path.startswith("/api/") and status == 200
    assert answer.headers["Cache-Control"] == ("no-cache" if is_kept else "no-store")
    return await answer.json()


async def test_totals_are_the_document_of_the_command_line(client: Client, counter: Counter) -> None:
    counter.count(3, 30_000)
    totals = await got(client, f"/api/totals?festival={DAY.id}&by=platform&top=1")
    assert totals == counter.source.totals(DAY, None, "platform", 1)
    assert (totals["orders"], totals["lag_records"], totals["complete"]) == (3, 2, True)
    assert totals["by"][0]["platform"] == "tmall"


async def test_totals_as_of_an_instant(client: Client, counter: Counter) -> None:
    counter.count(3)
    counter.count(4, at_ms=DAY.start_ms + 60_000)
    for at, orders in (("00:00:59", 3), ("2019-11-10T16:01:00Z", 7), ("2019-11-11T00:01:00%2B08:00", 7)):
        assert (await got(client, f"/api/totals?at={at}"))["orders"] == orders


async def test_the_home_total_is_told_in_the_currencies_asked_for_and_displayed(
    client: Client, counter: Counter
) -> None:
    counter.count(1, 10_000)
    for question in ("in=JPY&in=GBP", "in=JPY,GBP,USD"):
        totals = await got(client, f"/api/totals?{question}")
        assert list(totals["in"]) == ["USD", "EUR", "JPY", "GBP"]
        assert totals["in"]["JPY"]["gross"] == 1_554
    assert list((await got(client, "/api/totals"))["in"]) == ["USD", "EUR"]
    assert (await got(client, "/api/festivals"))["festivals"][-1]["display"] == ["USD", "EUR"]


async def test_totals_beyond_64_bits_arrive_in_full(client: Client, counter: Counter) -> None:
    counter.count(1, 2**70)
    assert (await got(client, "/api/totals"))["money"]["CNY"]["gross"] == 2**70


async def test_without_a_name_the_running_festival_is_shown(client: Client, counter: Counter) -> None:
    counter.count(1)
    assert (await got(client, "/api/totals"))["festival"] == DAY.id
    counter.clock.advance(365 * 86_400_000)
    counter.count(1)
    assert (await got(client, "/api/totals"))["festival"] == DAY.id


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/api/totals?festival=black-friday-1914", "'black-friday-1914' is not known; there are"),
        ("/api/totals?at=noon", "'noon' is no time"),
        ("/api/totals?at=00:00:30&by=platform", "kept per minute"),
        ("/api/totals?at=00:00:59&by=merchant", "for the whole festival only"),
        ("/api/totals?by=buyer", "no totals are kept by 'buyer'"),
        ("/api/totals?by=platform&top=0", "'0' is no number of rows"),
        ("/api/totals?by=platform&top=-1", "'-1' is no number of rows"),
        ("/api/totals?by=platform&top=%C2%B2", "is no number of rows"),
        ("/api/totals?top=3", "say by which dimension"),
        ("/api/totals?by=platform&by=market", "by: give one value"),
        ("/api/totals?festival=", "festival: give one value"),
        ("/api/totals?festval=x", "festval: no such parameter; /api/totals takes festival, at, by, top, in"),
        ("/api/totals?in=SEK", "in: 'SEK' has no rate to CNY"),
        ("/api/totals?in=USD,gold", "in: 'gold' is no currency"),
        ("/api/totals?in=", "in: '' is no currency"),
        ("/api/series?measure=gmv", "'gmv' is not kept"),
        ("/api/series?measure=gross", "gross is money"),
        ("/api/series?step=day", "'day' is none"),
        ("/api/stream?festival=x", "'x' is not known"),
    ],
)
async def test_a_bad_parameter_is_400_with_a_sentence(client: Client, path: str, sentence: str) -> None:
    assert sentence in (await got(client, path, 400))["error"]


async def test_an_unknown_path_and_another_method_are_told_as_json(client: Client) -> None:
    assert "nothing at /api/nothing" in (await got(client, "/api/nothing", 404))["error"]
    answer = await client.post("/api/totals")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert "POST is not served" in (await answer.json())["error"]


async def test_a_failure_of_ours_is_500_and_in_the_log(
    client: Client, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:  # noqa: ANN401
        raise RuntimeError("planted")

    counter.source.snapshot = fail
    assert "its log says why" in (await got(client, "/api/totals", 500))["error"]
    assert "planted" in caplog.text


async def test_series(client: Client, counter: Counter) -> None:
    counter.count(3)
    hours = await got(client, f"/api/series?festival={DAY.id}&measure=orders&step=hour")
    assert hours["values"] == [3, *[0] * 23]
    assert (await got(client, "/api/series"))["step_ms"] == 60_000


async def test_a_process_is_live_as_soon_as_it_answers(client: Client) -> None:
    assert await got(client, "/livez") == {"status": "up"}


async def test_a_board_is_ready_once_it_has_read_the_ledger(client: Client, counter: Counter) -> None:
    assert (await got(client, "/readyz"))["ready"] is True
    counter.is_loaded = False
    assert "not read up to its end" in (await got(client, "/readyz", 503))["reason"]


async def test_a_worker_is_ready_as_its_status_says_and_a_held_partition_makes_totals_incomplete() -> None:
    status = WorkerStatus(("orders",))
    counter = Counter(status)
    counter.count(1)
    async with TestClient(TestServer(application(counter.source))) as client:
        assert "not joined" in (await got(client, "/readyz", 503))["reason"]
        status.assigned([0], DAY.start_ms)
        status.consuming(0)
        assert await got(client, "/readyz") == {"ready": True, "reason": "counting 1 partitions"}
        assert (await got(client, "/api/totals"))["complete"] is True
        status.held(0, HeldReason.BEYOND_END, "offset 5 of orders is beyond the end")
        assert "partition 0 is held (beyond_end)" in (await got(client, "/readyz", 503))["reason"]
        assert (await got(client, "/api/totals"))["complete"] is False
        metrics = await (await client.get("/metrics")).text()
        assert 'streams_partition_held{partition="0",reason="beyond_end"} 1.0' in metrics


async def test_metrics_are_what_prometheus_reads(client: Client, counter: Counter) -> None:
    counter.count(3)
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    shown = {m.name: m for m in text_string_to_metric_families(await answer.text())}
    orders = {s.labels["festival"]: s.value for s in shown["festival_orders"].samples}
    assert orders == {**dict.fromkeys(FESTIVALS, 0), DAY.id: 3}
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert (await answer.text()).endswith("# EOF\n")


PAGE_BYTES = 250_000
"""All files together, as they are served, uncompressed."""


def static_files() -> list[str]:
    """Return the paths of the page and of all it is made of."""
    names = [file.name for file in (files("streams.web") / "static").iterdir()]
    return ["/", *(f"/{name}" for name in sorted(names) if name != INDEX), "/api/openapi.json"]


async def test_the_page_needs_nothing_from_elsewhere_and_is_small(client: Client) -> None:
    size = 0
    for path in static_files():
        answer = await client.get(path)
        text = await answer.text()
        assert answer.status == 200, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "https://" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        if path == "/":
            assert "style=" not in text
            assert "<script>" not in text
        size += len(text.encode())
    assert 10_000 < size <= PAGE_BYTES, "the whole page, the description of the API with it"


async def test_the_page_asks_for_all_of_its_modules_at_once(client: Client) -> None:
    """A module that another one imports would be asked for when that one has come."""
    page = await (await client.get("/")).text()
    modules = {name.removeprefix("/") for name in static_files() if name.endswith(".js")} - {"screen.js"}
    assert set(re.findall(r'rel="modulepreload" href="([^"]+)"', page)) == modules


async def test_the_page_is_sent_in_the_language_that_is_asked_for(client: Client) -> None:
    tags = set()
    for accepted, language in (("de-DE,de;q=0.9", "de"), ("zh", "zh"), ("fr", "en"), ("", "en")):
        answer = await client.get("/", headers={"Accept-Language": accepted})
        assert f'<html lang="{language}">' in await answer.text()
        assert "Accept-Language" in answer.headers["Vary"]
        tags.add(answer.headers["ETag"])
    assert len(tags) == 3, "what one reader has is not taken for another's"


@pytest.mark.parametrize("path", ["/api/totals", "/api/series", "/api/festivals", "/screen.css"])
async def test_what_has_not_changed_is_not_sent_again(client: Client, counter: Counter, path: str) -> None:
    counter.count(3)
    first = await client.get(path)
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await client.get(path, headers={"If-None-Match": known})
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["ETag"] == tag
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status == 200
    if path in {"/api/totals", "/api/series"}:
        counter.count(1)
        assert (await client.get(path, headers={"If-None-Match": tag})).status == 200


async def test_answers_are_compressed_for_who_takes_it(counter: Counter) -> None:
    counter.count(3)
    async with TestClient(TestServer(application(counter.source)), auto_decompress=False) as client:
        zipped = await client.get("/api/series", headers={"Accept-Encoding": "gzip"})
        plain = await client.get("/api/series", headers={"Accept-Encoding": "identity"})
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert gzip.decompress(await zipped.read()) == await plain.read()
        assert zipped.headers["Vary"] == "Accept-Encoding"


async def test_festivals_are_told_with_what_the_screen_compares_them_to(client: Client, counter: Counter) -> None:
    counter.count(1)
    told = await got(client, "/api/festivals")
    assert told["shown"] == DAY.id
    day = next(festival for festival in told["festivals"] if festival["id"] == DAY.id)
    assert (day["start_ms"], day["end_ms"], day["timezone"]) == (DAY.start_ms, DAY.end_ms, "Asia/Shanghai")
    assert day["milestones_minor"] == list(DAY.milestones_minor)
    assert DAY.previous is not None
    assert day["previous"]["total_minor"] == DAY.previous.total_minor
    assert day["has_totals"] is True


async def test_a_retired_festival_is_out_of_metrics_and_shown_to_who_asks_for_it(
    client: Client, counter: Counter
) -> None:
    counter.count(3, 700)
    assert 'festival="singles-day-2019"' in await (await client.get("/metrics")).text()
    counter.source.festivals = {**FESTIVALS, DAY.id: dataclasses.replace(DAY, retired=True)}
    assert 'festival="singles-day-2019"' not in await (await client.get("/metrics")).text()
    told = await got(client, "/api/festivals")
    assert told["shown"] not in (None, DAY.id)
    assert [one["id"] for one in told["festivals"] if one["retired"]] == [DAY.id]
    assert (await got(client, f"/api/totals?festival={DAY.id}"))["orders"] == 3
    counter.source.festivals = {DAY.id: counter.source.festivals[DAY.id]}
    assert (await got(client, "/api/festivals"))["shown"] is None


async def test_openapi_names_the_dimensions_and_amounts_of_the_ledger(client: Client, counter: Counter) -> None:
    """A process without the shop's file knows them too: the ledger says what it was counted under."""
    built_in = await got(client, "/api/openapi.json")
    declared = Declared((Dimension("orders", "channel"),), (Amount("orders", "tip_minor"),))
    rules = Declarations(FESTIVALS, 0, 0, declared.rollups, facts=declared.facts)
    counter.ledger.write(0, fingerprint_key("g1"), rules.fingerprint)
    counter.count(1)
    described = await got(client, "/api/openapi.json")
    for told, is_known in ((built_in, False), (described, True)):
        by = next(one for one in told["paths"]["/api/totals"]["get"]["parameters"] if one["name"] == "by")
        assert {"platform", "market", "merchant"} <= set(by["schema"]["enum"])
        assert ("channel" in by["schema"]["enum"]) is is_known
        schemas = told["components"]["schemas"]
        assert ("channel" in schemas["Row"]["properties"]) is is_known
        money = schemas["Totals"]["properties"]["money"]["additionalProperties"]
        assert ("tip" in money.get("properties", ())) is is_known
    assert (await client.get("/api/totals?by=channel")).status == 200


def test_every_document_of_the_openapi_file_refuses_what_it_is_not() -> None:
    described = openapi.description(("platform",))["components"]
    for sent in openapi.SENT:
        check = Draft202012Validator({**described["schemas"][sent.__name__], "components": described})
        check.check_schema(check.schema)
        assert not check.is_valid([]), sent
    assert not {"story"} & set(described["schemas"]["Totals"]["properties"])
    assert {"pace", "exponents", "couponed"} <= set(described["schemas"]["Totals"]["required"])


async def test_every_answer_is_as_the_openapi_file_says(client: Client, counter: Counter) -> None:
    counter.count(3, 30_000)
    described = await (await client.get("/api/openapi.json")).json()
    asked = {
        "/api/totals": [f"?festival={DAY.id}&by=platform&top=1", "?at=00:00:59", "?festival=x"],
        "/api/series": ["", "?measure=gross&currency=CNY&step=hour", "?step=day"],
        "/api/festivals": ["", "?x=1"],
        "/livez": [""],
        "/readyz": [""],
    }
    assert set(described["paths"]) == {*asked, "/api/stream", "/metrics"}
    served = {route.resource.canonical for route in client.app.router.routes() if route.resource is not None}
    assert set(described["paths"]) <= served
    assert {path for path in served if path.startswith("/api/")} - {"/api/openapi.json"} <= set(described["paths"])
    for path, queries in asked.items():
        for query in queries:
            answer = await client.get(path + query)
            schema = described["paths"][path]["get"]["responses"][str(answer.status)]["content"]["application/json"]
            check = Draft202012Validator({**schema["schema"], "components": described["components"]})
            assert [error.message for error in check.iter_errors(await answer.json())] == [], path + query


@pytest.mark.parametrize("path", ["/api/totals", "/api/totals?by=platform", "/api/series", "/api/stream"])
async def test_before_a_committed_state_was_read_there_is_no_number(
    client: Client, counter: Counter, path: str
) -> None:
    counter.is_loaded = False
    told = await got(client, path, 503)
    assert (told["loaded"], "no committed total was read yet" in told["error"]) == (False, True)
    counter.is_loaded = True
    counter.view.feed(counter.ledger.drain())
    assert "nothing is committed yet" in (await got(client, path, 503))["error"], "an empty ledger"
    assert counter.source.freshness()["loaded"] is False
    counter.count(3)
    async with client.get(path) as answer:
        assert answer.status == 200


async def test_a_festival_that_is_not_counted_is_told_with_200(client: Client, counter: Counter) -> None:
    counter.ledger.count_only(DAY)
    counter.count(3)
    totals = await got(client, "/api/totals?festival=cardboard-day-2019")
    assert (totals["counted"], totals["complete"], totals["orders"]) == (False, False, None)
    described = await (await client.get("/api/openapi.json")).json()
    check = Draft202012Validator(
        {**described["components"]["schemas"]["Totals"], "components": described["components"]}
    )
    assert [error.message for error in check.iter_errors(totals)] == []


async def test_a_worker_alone_tells_of_itself_and_names_the_board_for_totals() -> None:
    """Contract 5, FESTIVAL_SHOW=no."""
    status = WorkerStatus(("orders",))
    status.assigned((), 0)
    status.contacted(5_000)
    async with TestClient(TestServer(application(Shown.worker_alone(status, BrokerClock(ManualClock()))))) as client:
        for path in (
            "/",
            "/screen.css",
            "/api/totals",
            "/api/series",
            "/api/festivals",
            "/api/openapi.json",
            "/api/stream",
        ):
            answer = await client.get(path)
            assert answer.status == 503, path
            assert "ask a board" in (await answer.json())["error"]
        assert (await client.get("/livez")).status == 200
        assert (await client.get("/readyz")).status == 200
        assert (await client.get("/nowhere")).status == 404
        page = await (await client.get("/metrics")).text()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert not [name for name in families if name.startswith("festival_")]
    assert [sample.value for sample in families["streams_kafka_contact_timestamp_seconds"].samples] == [5.0]
    assert "streams_events" in families

"""The event stream: what is sent, to whom, and how little of it; over a board in memory."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.board.view.committed_view import CommittedView
from streams.engine.clock import BrokerClock, ManualClock
from streams.engine.memory import CellLedger
from streams.festivals import load_festivals
from streams.web.api import application
from streams.web.channel import Channel, State
from streams.web.listener import COMMENT, NOTHING, Listener, ids_of
from streams.web.listener import State as AnyState
from streams.web.shown import Shown, to_json
from streams.web.sockets import Taken
from streams.web.stream import as_chunk, stream_channel
from streams.web.visitors import Budget
from tests.unit.looks import judging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LINE_ENDS = ("\n", "\r", "\r\n", "\n\n", "\u0085", "\u2028", "\u2029")
DAY = load_festivals()["singles-day-2019"]
MINUTE_MS = 60_000
Client = TestClient[web.Request, web.Application]


class Wire:
    """A connection that keeps what is sent, or that nobody reads."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.waiting = 0
        self.is_closed = self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        self.is_aborted = True

    def get_extra_info(self, name: str) -> Any:  # noqa: ANN401
        assert name == "socket"


class Ear(Listener):
    """A listener that keeps whole states."""

    def __init__(self) -> None:
        super().__init__(Wire(), NOTHING)
        self._states: asyncio.Queue[State] = asyncio.Queue()

    def take(self, state: AnyState, now: float) -> None:
        assert now > 0
        assert isinstance(state, State)
        self._states.put_nowait(state)

    @property
    def is_waiting(self) -> bool:
        """Whether none has come."""
        return self._states.empty()

    async def state(self) -> State:
        """Return the next one."""
        return await self._states.get()


class Day:
    """A festival day in memory, and what is served of it."""

    def __init__(self) -> None:
        self.ledger = CellLedger(2)
        self.view = CommittedView()
        self.clock = ManualClock(DAY.end_ms)
        self.ends = {"orders": {0: 7}}
        self.contacted_ms: int | None = None
        self.source = Shown(
            {DAY.id: DAY},
            self.view.snapshot,
            judging(self.view.snapshot, lambda: self.ends),
            clock=BrokerClock(self.clock),
        )
        self.source.contacted_ms = lambda: self.contacted_ms

    def count(self, orders: int, minute: int = 0, platform: str = "tmall", partition: int = 0) -> None:
        """Count orders of 2 yuan each in a minute of the day, and commit."""
        at_ms = DAY.start_ms + minute * MINUTE_MS
        for rollup, group in (("orders_by_second", ("CNY",)), ("orders_by_platform", (platform, "CNY"))):
            self.ledger.add(partition, DAY, rollup, group, at_ms, orders=orders, gross_minor=200 * orders)
        self.ledger.commit(partition, {"orders": 7}, {"orders": 1}, {"orders": at_ms})
        self.view.feed(self.ledger.drain())


@pytest.fixture
def day() -> Day:
    return Day()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.web.channel.TICK_SECONDS", 0)
    monkeypatch.setattr("streams.web.channel.CURVE_MS", 0)
    monkeypatch.setattr("streams.web.channel.RANKS_MS", 0)
    monkeypatch.setattr("streams.web.channel.RANKS_SHARE", 0)


def told(events: bytes) -> dict[str, Any]:
    """Return the documents of some events by name."""
    documents = {}
    for block in events.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in lines:
            documents[lines["event"]] = json.loads(lines["data"])
    return documents


async def test_a_new_listener_gets_everything_and_then_what_changes(day: Day) -> None:
    day.count(3)
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as ear:
        first = await ear.state()
        everything = told(first.since(NOTHING))
        assert set(everything) == {"alive", "curve", "ranks", "totals"}
        assert everything["totals"]["orders"] == 3
        assert everything["totals"]["screen"]["partitions"] == {"committed": 1, "all": 2}
        assert everything["curve"]["values"][:2] == [600, 0]
        assert everything["ranks"]["platform"] == [{"name": "tmall", "count": 3, "minor": 600}]
        day.count(2, minute=5, partition=1)
        second = await ear.state()
        changed = told(second.since(first.ids))
        assert set(changed) == {"curve", "ranks", "totals"}
        assert changed["totals"]["screen"]["partitions"]["committed"] == 2
        assert (changed["curve"]["from"], changed["curve"]["values"], changed["curve"]["counts"]) == (5, [400], [2])
        assert second.since(second.ids) == b""
    channel.close()


async def test_who_has_the_same_gets_the_same_bytes(day: Day) -> None:
    day.count(3)
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as ear:
        state = await ear.state()
        assert state.since(NOTHING) is state.since(NOTHING)
        assert state.since(("", state.ids[1], state.ids[2])) is not state.since(NOTHING)
    channel.close()


async def test_a_listener_with_an_unknown_curve_gets_the_whole(day: Day) -> None:
    day.count(3, minute=2)
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as ear:
        state = await ear.state()
        curve = told(state.since(("0123456789abcdef", *state.ids[1:])))["curve"]
        assert (curve["from"], len(curve["values"])) == (0, 1440)
        assert sum(curve["values"]) == 600
    channel.close()


async def test_only_the_last_event_of_a_state_carries_its_id(day: Day) -> None:
    day.count(3)
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as ear:
        state = await ear.state()
    blocks = state.since(NOTHING).decode().strip().split("\n\n")
    assert [block.startswith("id: ") for block in blocks] == [False] * (len(blocks) - 1) + [True]
    assert ids_of(blocks[-1].splitlines()[0].removeprefix("id: ")) == state.ids
    channel.close()


@pytest.mark.parametrize("given", ["", "7", "a.b", "a.b.c.d"])
def test_an_id_that_is_none_of_ours_says_nothing(given: str) -> None:
    assert ids_of(given) == NOTHING


async def test_ids_are_of_the_content_and_so_the_same_on_every_server(day: Day) -> None:
    day.count(3)
    found = []
    for _ in range(2):
        channel = Channel(day.source, DAY)
        with channel.listening(Ear()) as ear:
            state = await ear.state()
        found.append(state.ids)
        channel.close()
    assert found[0] == found[1]


async def test_a_quiet_stream_tells_each_second_how_fresh_it_is(day: Day) -> None:
    day.count(3)
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as ear:
        first = await ear.state()
        day.clock.advance(1_000)
        second = await ear.state()
        assert second.since(first.ids).startswith(b"event: alive\n")
        assert set(told(second.since(first.ids))) == {"alive"}
        assert told(second.since(first.ids))["alive"]["now_ms"] == DAY.end_ms + 1_000
    channel.close()


def test_totals_are_as_fresh_as_the_newest_record_or_as_the_end_of_the_log(day: Day) -> None:
    assert day.source.freshness()["fresh_ms"] is None
    day.count(3)
    committed_ms = day.view.snapshot().committed_ms
    assert day.source.freshness()["fresh_ms"] == committed_ms
    day.contacted_ms = DAY.end_ms + 5
    assert day.source.freshness()["fresh_ms"] == DAY.end_ms + 5, "everything up to the end of the log is committed"
    day.ends = {"orders": {0: 8}}
    assert day.source.freshness()["fresh_ms"] == committed_ms, "a record waits"


async def test_a_failure_is_told_once_in_the_log_and_the_channel_goes_on(
    day: Day, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:  # noqa: ANN401
        raise RuntimeError("planted")

    day.count(1)
    working, day.source.snapshot = day.source.snapshot, fail
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as ear:
        waiting = asyncio.create_task(ear.state())
        while "planted" not in caplog.text:
            await asyncio.sleep(0)
        day.source.snapshot = working
        await waiting
    assert caplog.text.count("cannot be made") == 1
    channel.close()


async def test_a_channel_rests_while_nobody_listens(day: Day) -> None:
    day.count(1)
    channel = Channel(day.source, DAY)
    for _ in range(2):
        with channel.listening(Ear()) as ear:
            await ear.state()
        while channel._ticking is not None:
            await asyncio.sleep(0)
    channel.close()
    with channel.listening(Ear()) as late:
        assert late.is_gone.is_set(), "who comes to a closed channel can go"


async def test_who_comes_while_a_channel_runs_has_its_state_at_once(day: Day) -> None:
    day.count(3)
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as first:
        state = await first.state()
        with channel.listening(Ear()) as second:
            assert second._states.get_nowait() is state
    channel.close()


def a_state(*ids: str) -> State:
    return State(
        (ids[0], ids[1], ids[2]), (b"{}", b"{}", b"{}"), b"", OrderedDict({ids[0]: {"values": [], "counts": []}})
    )


def test_a_listener_is_sent_what_it_lacks_in_its_frame() -> None:
    wire = Wire()
    listener = Listener(wire, NOTHING, as_chunk)
    listener.take(a_state("1", "1", "1"), 0.0)
    listener.take(a_state("1", "1", "1"), 0.1)
    listener.take(a_state("1", "1", "2"), 0.2)
    events = b"id: 1.1.2\nevent: totals\ndata: {}\n\n"
    assert [len(sent) for sent in wire.sent] == [len(wire.sent[0]), len(events) + 6]
    assert wire.sent[1] == b"%x\r\n" % len(events) + events + b"\r\n"


def test_a_slow_listener_gets_the_newest_state_and_no_backlog() -> None:
    wire = Wire()
    listener = Listener(wire, NOTHING)
    listener.take(a_state("1", "1", "1"), 0.0)
    wire.waiting = 1
    listener.take(a_state("1", "1", "2"), 1.0)
    wire.waiting = 0
    listener.take(a_state("1", "1", "3"), 5.9)
    assert [sent.count(b"event: ") for sent in wire.sent] == [3, 1]
    assert not wire.is_aborted


def test_a_listener_that_stays_slow_is_cut_off() -> None:
    wire = Wire()
    listener = Listener(wire, NOTHING, slow_seconds=5.0)
    listener.take(a_state("1", "1", "1"), 1.0)
    wire.waiting = 1
    for now, is_gone in ((1.5, False), (6.4, False), (6.5, True)):
        listener.take(a_state("1", "1", "2"), now)
        assert wire.is_aborted is listener.is_gone.is_set() is is_gone
    assert len(wire.sent) == 1


class Window:
    """What the other side's TCP tells: its buffer takes so much, and so large a share of it is read."""

    def __init__(self, wire: Wire, *, buffer_bytes: int, read: float) -> None:
        self.wire, self.buffer_bytes, self.read = wire, buffer_bytes, read

    def taken_by(self, pipe: object) -> Taken:
        assert pipe is self.wire
        sent = sum(map(len, self.wire.sent))
        allowed = self.buffer_bytes + round(sent * self.read)
        return Taken(500 + min(sent, allowed), 500 + allowed)


@pytest.mark.parametrize(("read", "is_dropped"), [(0.0, True), (0.3, True), (0.6, False), (1.0, False)])
def test_a_listener_whose_window_does_not_open_again_is_asked_and_cut_off_if_it_does_not_read(
    monkeypatch: pytest.MonkeyPatch, read: float, *, is_dropped: bool
) -> None:
    wire = Wire()
    window = Window(wire, buffer_bytes=136_000 if is_dropped else 10_000_000, read=read)
    monkeypatch.setattr("streams.web.listener.taken_by", window.taken_by)
    listener = Listener(wire, NOTHING, lambda events: b"x" * 5_000 if events.startswith(b"id") else events)
    for tick in range(4 * 15):
        listener.take(a_state("1", "1", str(tick)), tick / 4)
        if listener.is_gone.is_set():
            break
    assert wire.is_aborted is is_dropped
    assert (COMMENT in wire.sent) is is_dropped
    assert sum(map(len, wire.sent)) < 400_000


def test_a_listener_that_reads_while_its_window_shrinks_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux has it where the window was larger than what it now thinks fit: for a while it does not open."""
    wire = Wire()

    def taken_by(_: object) -> Taken:
        sent = sum(map(len, wire.sent))
        return Taken(sent, max(116_000, sent + 64_000))

    monkeypatch.setattr("streams.web.listener.taken_by", taken_by)
    listener = Listener(wire, NOTHING, lambda events: b"x" * 1_000 if events.startswith(b"id") else events)
    for tick in range(4 * 60):
        listener.take(a_state("1", "1", str(tick)), tick / 4)
    assert not wire.is_aborted
    assert 0 < wire.sent.count(COMMENT) < 10
    asked = len(wire.sent) - wire.sent[::-1].index(COMMENT)
    assert asked < len(wire.sent) / 2, "asked once, and known from then on"


def test_the_ids_that_a_client_makes_up_have_no_events_of_their_own() -> None:
    state = a_state("1", "2", "3")
    whole = state.since(NOTHING)
    assert all(state.since((f"{n}a", f"{n}b", f"{n}c")) is whole for n in range(100))


def test_a_listener_whose_connection_ends_is_gone() -> None:
    wire = Wire()
    wire.is_closed = True
    listener = Listener(wire, NOTHING)
    listener.take(a_state("1", "1", "1"), 0.0)
    assert listener.is_gone.is_set()
    assert wire.sent == []


@pytest.mark.parametrize(
    ("spent", "beside_counting"), [(0.0, 0.25), (0.004, 0.25), (0.02, 1.0), (0.03, 1.5), (9.0, 2.0)]
)
def test_beside_counting_ticks_rest_for_longer_the_more_they_cost(
    day: Day, monkeypatch: pytest.MonkeyPatch, spent: float, beside_counting: float
) -> None:
    monkeypatch.setattr("streams.web.channel.TICK_SECONDS", 0.25)
    assert Channel(day.source, DAY)._pause_seconds(spent) == 0.25, "a board has nothing else to do"
    assert Channel(day.source, DAY, Budget())._pause_seconds(spent) == pytest.approx(beside_counting)


async def test_beside_counting_states_wait_until_there_is_time_for_them(day: Day) -> None:
    day.count(1)
    now = [0.0]
    budget = Budget(lambda: now[0])
    budget.spend(10**9)
    channel = Channel(day.source, DAY, budget)
    with channel.listening(Ear()) as ear:
        for _ in range(50):
            await asyncio.sleep(0)
        assert ear.is_waiting
        now[0] += 60
        await ear.state()
    channel.close()


@pytest.fixture
async def client(day: Day) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(day.source))) as client:
        yield client


async def until_totals(answer: Any) -> tuple[dict[str, Any], str]:  # noqa: ANN401
    """Return the next totals of a stream, with its id."""
    ids = name = ""
    while True:
        line = (await answer.content.readline()).decode().rstrip("\n")
        if line.startswith("id: "):
            ids = line.removeprefix("id: ")
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: ") and name == "totals":
            return json.loads(line.removeprefix("data: ")), ids


async def test_the_stream_over_http_and_a_return_with_the_last_id(client: Client, day: Day) -> None:
    day.count(3)
    async with client.get("/api/stream") as answer:
        assert answer.content_type == "text/event-stream"
        totals, ids = await until_totals(answer)
        assert totals["orders"] == 3
        day.count(1)
        assert (await until_totals(answer))[0]["orders"] == 4
    async with client.get("/api/stream", headers={"Last-Event-ID": ids}) as answer:
        assert (await until_totals(answer))[0]["orders"] == 4


async def test_a_client_of_http_1_0_gets_events_without_chunks(client: Client, day: Day) -> None:
    day.count(3)
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"GET /api/stream HTTP/1.0\r\n\r\n")
    head, _, _ = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert await reader.readuntil(b"\n\n") == b"retry: 1000\n\n"
    assert (await reader.readline()).startswith((b"event: ", b"id: "))
    writer.close()


async def test_a_listener_that_does_not_read_is_dropped(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    day.count(1)
    dropped = asyncio.Event()
    monkeypatch.setattr("streams.web.channel.ALIVE_MS", 0)
    monkeypatch.setattr(State, "since", lambda *_: b"data: " + b"x" * 1_000_000 + b"\n\n")
    channel = Channel(day.source, DAY)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await stream_channel(request, channel, {}, slow_seconds=0.1)
        finally:
            dropped.set()

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(dropped.wait(), 30)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1 << 30)
        writer.close()
        channel.close()


async def test_a_stopping_server_does_not_wait_for_its_listeners(day: Day) -> None:
    day.count(1)
    server = TestServer(application(day.source))
    client = TestClient(server)
    await client.start_server()
    answer = await client.get("/api/stream")
    await until_totals(answer)
    async with asyncio.timeout(3):
        await server.close()
    answer.close()
    await client.close()


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_no_name_ends_a_line_of_the_stream(end: str) -> None:
    """The lines of an event stream end at CR, LF or both: JSON writes those as escapes."""
    name = f"a{end}id: 1{end}data: x{end}{end}b"
    data = to_json({"name": name})
    events = State(("c", "r", "t"), (b"{}", data, b"{}"), b"", OrderedDict(c={})).since(("c", "", "t"))
    assert events.count(b"\n") == 4
    assert b"\r" not in events
    (told,) = [line for line in events.split(b"\n") if line.startswith(b"data: ")]
    assert json.loads(told.removeprefix(b"data: ")) == {"name": name}


async def test_a_ledger_that_was_made_again_turns_no_total_back(day: Day) -> None:
    day.count(3)
    channel = Channel(day.source, DAY)
    with channel.listening(Ear()) as ear:
        before = await ear.state()
        day.view.feed(CellLedger(2, "g1").drain())
        assert not day.source.snapshot().has_state
        day.clock.advance(2_000)
        after = await ear.state()
    assert after.data == before.data
    assert told(after.since(before.ids))["alive"]["loaded"] is False
    channel.close()

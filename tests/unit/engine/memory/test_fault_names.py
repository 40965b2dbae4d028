"""What the hook of faults is told of each request."""

from __future__ import annotations

from streams.engine.memory import Fate, Kafka, Producer, Request


def test_each_request_comes_with_the_name_of_what_it_is_about() -> None:
    kafka = Kafka()
    kafka.create_topic("orders", 1)
    told: list[tuple[Request, str]] = []

    def note(request: Request, name: str) -> Fate:
        told.append((request, name))
        return Fate.ANSWERED

    kafka.faults.on_request = note
    producer = Producer(kafka, "writer")
    producer.send("orders", 0, [b"v"])
    producer.add_offsets("group", {("orders", 0): 1})
    producer.commit()
    kafka.fetch("orders", 0, 0)
    kafka.end_offset("orders", 0)
    kafka.describe_topic("orders")
    member = kafka.join("group", ["orders"])
    dealt = kafka.sync("group", member)
    assert dealt is not None
    kafka.heartbeat("group", member, dealt.generation)
    kafka.commit_offsets("group", {("orders", 0): 1}, member, dealt.generation)
    assert kafka.committed_offsets("group") == {("orders", 0): 1}
    kafka.leave("group", member)
    assert told == [
        (Request.INIT_PRODUCER, "writer"),
        (Request.PRODUCE, "orders"),
        (Request.ADD_OFFSETS, "group"),
        (Request.END_TRANSACTION, "writer"),
        (Request.FETCH, "orders"),
        (Request.OFFSETS, "orders"),
        (Request.METADATA, "orders"),
        (Request.JOIN, "group"),
        (Request.SYNC, "group"),
        (Request.HEARTBEAT, "group"),
        (Request.COMMIT_OFFSETS, "group"),
        (Request.FETCH_OFFSETS, "group"),
        (Request.LEAVE, "group"),
    ]

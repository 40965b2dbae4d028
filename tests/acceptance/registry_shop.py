"""A shop whose producers write with Confluent's serializers, each with schemas that change, and what it knows of them.

Orders are in Avro and in Protobuf, payments in JSON with a schema. Topics have the producers' times.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from streams.domain.currencies import EXPONENTS
from streams.truth.tally import FORMAT
from tests.unit.audit.bench import DAY_MS, START_MS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from confluent_kafka import KafkaError, Message

    from streams.settings import Settings
    from streams.truth.tally import Tally

DESCRIPTORS = Path(__file__).parents[2] / "docs" / "examples" / "bridge" / "protobuf" / "shop.desc"
FESTIVAL = "singles-day-2019"
PARTITIONS = {"avro": 3, "protobuf": 5, "json": 5}
MARKETS = ("DE", "FR", "CN")
SUBJECTS = {"subject.name.strategy.type": "TOPIC"}
"""By default the serializers ask for something that only Confluent's own registry has."""
VERSIONS = 3
"""How often the schema of each topic changes, and one."""
MAP = """
name = "shop"
[registry]
url = "{registry}"

[[source]]
topic = "{avro}"
to = "orders"
encoding = "avro"
type = {{ path = "status", values = {{ NEW = "order_placed", VOID = "order_cancelled" }}, others = "ignore" }}
[source.fields]
event_id = {{ template = "{{id}}:{{status}}" }}
order_id = "id"
ts = "placedAt"
platform = {{ constant = "web" }}
merchant = "store.code"
market = "store.country"
currency = "currency"
amount = "total"
coupon = "coupon"

[[source]]
topic = "{protobuf}"
to = "orders"
encoding = "protobuf"
framing = "confluent"
descriptor = "shop.desc"
message = "shop.v1.Order"
[source.type]
path = "status"
values = {{ STATUS_NEW = "order_placed", STATUS_VOID = "order_cancelled" }}
others = "ignore"
[source.fields]
event_id = {{ template = "{{id}}:{{status}}" }}
order_id = "id"
ts = "placed_at"
platform = {{ constant = "app" }}
merchant = {{ constant = "own" }}
market = "country"
currency = "currency"
amount = {{ path = "total", as = "units_nanos" }}
coupon_minor = "coupon_cents"

[[source]]
topic = "{json}"
to = "payments"
encoding = "json"
framing = "confluent"
type = {{ path = "state", values = {{ paid = "payment_captured" }}, others = "ignore" }}
[source.fields]
event_id = "payment"
payment_id = "payment"
order_id = "order"
ts = {{ record = "timestamp" }}
platform = {{ constant = "web" }}
merchant = {{ constant = "own" }}
market = "country"
method = "method"
currency = "currency"
amount = "amount"
"""
STORE = {
    "type": "record",
    "name": "Store",
    "namespace": "shop",
    "fields": [{"name": "code", "type": "string"}, {"name": "country", "type": "string"}],
}


def avro_schema(version: int) -> dict[str, Any]:
    """Return the schema of orders: it gains a coupon, then times in microseconds and amounts of four digits."""
    amount = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4 if version == VERSIONS else 2}
    time = {"type": "long", "logicalType": "timestamp-micros" if version == VERSIONS else "timestamp-millis"}
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "string"},
        {"name": "status", "type": "string"},
        {"name": "placedAt", "type": time},
        {"name": "total", "type": amount},
        {"name": "currency", "type": "string"},
        {"name": "store", "type": "shop.Store"},
    ]
    if version > 1:
        fields.insert(2, {"name": "coupon", "type": ["null", amount], "default": None})
    return {"type": "record", "name": "Order", "namespace": "shop", "fields": fields}


def json_schema(version: int) -> dict[str, Any]:
    """Return the schema of payments: it gains a note with each version."""
    texts = ["payment", "order", "country", "method", "currency", "amount", "state"]
    notes = [f"note{number}" for number in range(1, version)]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Payment",
        "type": "object",
        "properties": {name: {"type": "string"} for name in (*texts, *notes)},
        "required": texts,
    }


def protobuf_order(version: int) -> Any:  # noqa: ANN401 - a class made at run time
    """Return the class of orders: it gains a field with each version, which the descriptors of the map do not know."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        if file.name == "shop.proto":
            for number in range(1, version):
                note = file.message_type[1].field.add(name=f"note{number}", number=20 + number)
                note.type, note.label = note.TYPE_STRING, note.LABEL_OPTIONAL
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.v1.Order"))


class Sale(NamedTuple):
    """What one record of a shop is about."""

    name: str
    time_ms: int
    """A time of the festival: they come in no order."""
    minor: int
    coupon_minor: int
    currency: str
    market: str

    def major(self, minor: int) -> Decimal:
        """Return an amount of it in major units."""
        return Decimal(minor).scaleb(-EXPONENTS[self.currency])


class Kind(NamedTuple):
    """What becomes of a record, and how its producer says so in each encoding."""

    event: str | None
    """The event's type; None where the map ignores it."""
    avro: str
    protobuf: int
    json: str


NEW = Kind("order_placed", "NEW", 1, "")
VOID = Kind("order_cancelled", "VOID", 2, "")
PAID = Kind("payment_captured", "", 0, "paid")
OTHER = Kind(None, "SENT", 0, "pending")


def avro_value(sale: Sale, kind: Kind, version: int) -> dict[str, Any]:
    """Return an order as the serializer of Avro takes it."""
    store = {"code": f"shop{sale.minor % 5}", "country": sale.market}
    value: dict[str, Any] = {"id": sale.name, "status": kind.avro, "currency": sale.currency, "store": store}
    value |= {"placedAt": sale.time_ms * (1_000 if version == VERSIONS else 1), "total": sale.major(sale.minor)}
    return value | ({"coupon": sale.major(sale.coupon_minor)} if version > 1 else {})


def protobuf_value(sale: Sale, kind: Kind, version: int) -> dict[str, Any]:
    """Return the fields of an order in Protobuf."""
    total = sale.major(sale.minor)
    money = {"currency_code": sale.currency, "units": int(total), "nanos": int(total % 1 * 10**9)}
    seconds, ms = divmod(sale.time_ms, 1_000)
    value = {"id": sale.name, "placed_at": {"seconds": seconds, "nanos": ms * 10**6}, "status": kind.protobuf}
    value |= {"total": money, "country": sale.market, "currency": sale.currency, "coupon_cents": sale.coupon_minor}
    return value | {f"note{number}": "new" for number in range(1, version)}


def json_value(sale: Sale, kind: Kind, version: int) -> dict[str, Any]:
    """Return a payment in JSON."""
    value = {"payment": sale.name, "order": sale.name, "country": sale.market, "method": "card"}
    value |= {"currency": sale.currency, "amount": str(sale.major(sale.minor)), "state": kind.json}
    return value | {f"note{number}": "new" for number in range(1, version)}


class RegistryShop:
    """What is sent is told by `send`; all of it has been acknowledged when that returns."""

    def __init__(self, settings: Settings, registry_url: str, chance: random.Random) -> None:
        """Begin with nothing sent, and nothing registered but what others refer to."""
        self.topics = {f"{settings.prefix}shop.{name}": count for name, count in PARTITIONS.items()}
        """The names of the shop's topics, each with its number of partitions."""
        self.avro, self.protobuf, self.json = self.topics
        self.events: Counter[tuple[str, str]] = Counter()
        """Topic of ours and event id → how often it must stand there, resends included."""
        self.set_aside: Counter[str] = Counter()
        """Foreign topic → records that no map can make an event of."""
        self._registry_url = registry_url
        self._random = chance
        self._sent = 0
        self._client = SchemaRegistryClient({"url": registry_url, "timeout": 20})
        self._client.register_schema("shop.Store", Schema(json.dumps(STORE), "AVRO"))
        self._serialize: dict[tuple[str, int], Callable[[Sale, Kind], bytes]] = {}
        self._totals = new_row()
        self._by_market: dict[str, dict[str, Any]] = defaultdict(new_row)
        self._producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 10})
        self._failed: list[KafkaError] = []

    def close(self) -> None:
        """End the producers' connections."""
        self._client.close()
        self._producer.close()

    def write_map(self, folder: Path) -> Path:
        """Write the map of the shop and its file of descriptors."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "shop.desc").write_bytes(DESCRIPTORS.read_bytes())
        names = {"avro": self.avro, "protobuf": self.protobuf, "json": self.json}
        file = folder / "shop.toml"
        file.write_text(MAP.format(registry=self._registry_url, **names), "utf-8")
        return file

    def register(self, version: int) -> None:
        """Have the registry know the schemas of this version, as producers do with their first record."""
        store = SchemaReference("shop.Store", "shop.Store", 1)
        avro = AvroSerializer(self._client, Schema(json.dumps(avro_schema(version)), "AVRO", [store]), conf=SUBJECTS)
        order = protobuf_order(version)
        protobuf = ProtobufSerializer(order, self._client, SUBJECTS)
        payment = JSONSerializer(json.dumps(json_schema(version)), self._client, conf=SUBJECTS)
        of_avro, of_protobuf, of_json = (SerializationContext(topic, MessageField.VALUE) for topic in self.topics)
        self._serialize |= {
            (self.avro, version): lambda sale, kind: avro(avro_value(sale, kind, version), of_avro),
            (self.protobuf, version): lambda sale, kind: protobuf(
                order(**protobuf_value(sale, kind, version)), of_protobuf
            ),
            (self.json, version): lambda sale, kind: payment(json_value(sale, kind, version), of_json),
        }
        for topic in self.topics:
            self._serialize[topic, version](self._sale("first"), OTHER)

    def send(self, count: int, version: int) -> None:
        """Send sales of a version, some again, some cancelled, some damaged; block until all are there."""
        for _ in range(count):
            self._sent += 1
            for topic in self.topics:
                self._send_one(topic, self._sale(f"{topic[-4:]}{self._sent}"), version)
        assert self._producer.flush(60) == 0
        assert not self._failed, self._failed

    def _sale(self, name: str) -> Sale:
        chance = self._random
        minor = chance.randrange(100, 10**7)
        time_ms = START_MS + chance.randrange(DAY_MS)
        return Sale(name, time_ms, minor, chance.choice((0, 5)), chance.choice(("EUR", "JPY")), chance.choice(MARKETS))

    def _send_one(self, topic: str, sale: Sale, version: int) -> None:
        chance, serialize = self._random, self._serialize[topic, version]
        if topic == self.json or (topic == self.avro and version == 1):
            sale = sale._replace(coupon_minor=0)  # no field for it
        first = PAID if topic == self.json else NEW
        kinds = [first]
        if topic != self.json and chance.random() < 0.1:
            kinds.append(VOID)
        kinds += [kind for kind in (OTHER, first) if chance.random() < 0.1]  # what is no event, and a resend
        for kind in kinds:
            self._put(topic, sale, serialize(sale, kind), partial(self._acknowledged, topic, sale, kind))
        if chance.random() < 0.1:
            frame = serialize(sale, first)
            damaged = chance.choice([None, b"", b"{", b"\x07" + frame[1:], frame[:-1], frame[:5] + b"\xff" * 40])
            self._put(topic, sale, damaged, partial(self._count_damaged, topic))

    def _put(self, topic: str, sale: Sale, value: bytes | None, acknowledged: Callable[[], None]) -> None:
        def told(error: KafkaError | None, _: Message) -> None:
            if error is None:
                acknowledged()
            else:
                self._failed.append(error)

        # Under the same key a resend lies in the same partition.
        self._producer.produce(topic, value, sale.name, timestamp=sale.time_ms, on_delivery=told)
        self._producer.poll(0)

    def _count_damaged(self, topic: str) -> None:
        self.set_aside[topic] += 1

    def _acknowledged(self, topic: str, sale: Sale, kind: Kind) -> None:
        if kind.event is None:
            return
        status = kind.avro if topic == self.avro else f"STATUS_{kind.avro}"
        place = ("payments", sale.name) if topic == self.json else ("orders", f"{sale.name}:{status}")
        self.events[place] += 1
        if self.events[place] == 1:
            add(self._totals, sale, kind)
            add(self._by_market[sale.market], sale, kind)

    def tally(self) -> Tally:
        """Return what a worker must have counted of all that was acknowledged."""
        outcomes = {"counted": len(self.events), "duplicate": sum(self.events.values()) - len(self.events)}
        totals = self._totals | {"by": {"market": self._by_market}}
        return {
            "format": FORMAT,
            "unknown": [],
            "late": None,
            "outcomes": {"all": outcomes},
            "festivals": {FESTIVAL: totals},
        }


def new_row() -> dict[str, Any]:
    """Return a row of a tally in which nothing was counted."""
    return {"orders": 0, "cancelled": 0, "payments": {"captured": 0}, "money": {}}


def add(row: dict[str, Any], sale: Sale, kind: Kind) -> None:
    """Add an event to a row of a tally."""
    net = sale.minor - sale.coupon_minor
    amounts: dict[str, int] = {}
    match kind.event:
        case "order_placed":
            row["orders"] += 1
            amounts = {"gross": sale.minor, "coupons": sale.coupon_minor, "net": net}
        case "order_cancelled":
            row["cancelled"] += 1
            amounts = {"cancelled_net": net}
        case "payment_captured":
            row["payments"]["captured"] += 1
            amounts = {"paid": sale.minor}
    money = row["money"].setdefault(sale.currency, Counter())
    money.update(amounts)

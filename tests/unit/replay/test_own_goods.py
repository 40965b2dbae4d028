"""A replay of somebody's own festival sells what its file says."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from streams.board.answers.totals import totals_document
from streams.domain.facts import FACTS
from streams.domain.festivals import parse_festival
from streams.replay.load import festival_load
from streams.truth.tally import DIMENSIONS, compare
from tests.unit.domain.test_sales import EXAMPLE
from tests.unit.replay.memory import RECORD_TIME_MS, Log, send
from tests.unit.replay.test_tally_and_ledger import count

if TYPE_CHECKING:
    from streams.domain.festivals import Festival
    from streams.truth.tally import Tally

ORDERS = 4_000
SHARES = dict.fromkeys(("duplicates", "late", "poison", "cancel"), Decimal("0.05"))
CHINESE = {"tmall", "taobao", "tmall_global", "juhuasuan", "aliexpress", "kaola", "ele_me", "lazada"}
CHINESE_METHODS = {"alipay", "alipay_epass", "huabei"}


def festival_of(text: str = "", home: str = "EUR", hours: int = 24) -> Festival:
    head = f'id = "berlin"\nstarts = 2026-05-01T00:00:00\ntimezone = "Europe/Berlin"\nhours = {hours}\n'
    return parse_festival(f'{head}home_currency = "{home}"\n[replay]\n{text}', "berlin.toml")


@cache
def sent(text: str = "", home: str = "EUR", shares: bool = False, hours: int = 24) -> tuple[Festival, Log, Tally]:  # noqa: FBT001, FBT002 - cached
    festival = festival_of(text, home, hours)
    chosen = SHARES if shares else {}
    load = festival_load(festival, RECORD_TIME_MS, orders=ORDERS, partitions=2, facts=tuple(FACTS), shares=chosen)
    return festival, *send(load, (festival,))


def events(log: Log, topic: str) -> list[dict[str, Any]]:
    values = [value for (name, _), of_place in log.values.items() if name == topic for value in of_place]
    return [json.loads(value or b"") for value in values]


def shares_of(found: list[dict[str, Any]], field: str) -> dict[str, float]:
    counts = Counter(event[field] for event in found)
    return {name: number / len(found) for name, number in counts.items()}


def test_a_shop_in_berlin_sells_what_its_file_says() -> None:
    _, log, _ = sent(EXAMPLE)
    orders, payments, parcels = (events(log, topic) for topic in ("orders", "payments", "parcels"))
    assert len(orders) == ORDERS
    assert all(order["event_id"].startswith("berlin-") for order in (*orders, *payments, *parcels))
    assert shares_of(orders, "platform") == pytest.approx({"webshop": 0.7, "app": 0.3}, abs=0.03)
    assert shares_of(orders, "market") == pytest.approx({"DE": 0.8, "AT": 0.1, "CH": 0.1}, abs=0.03)
    assert shares_of(payments, "method") == pytest.approx({"card": 0.6, "paypal": 0.3, "invoice": 0.1}, abs=0.03)
    assert {order["merchant"] for order in orders} == {f"merchant-{number + 1}" for number in range(40)}
    merchants = Counter(order["merchant"] for order in orders)
    assert merchants["merchant-1"] / merchants["merchant-2"] == pytest.approx(2, abs=0.3), "Zipf's law"
    assert {(order["market"], order["currency"]) for order in orders} == {("DE", "EUR"), ("AT", "EUR"), ("CH", "CHF")}
    for currency, average in (("EUR", 6_490), ("CHF", 7_100)):
        amounts = [order["amount_minor"] for order in orders if order["currency"] == currency]
        assert sum(amounts) / len(amounts) == pytest.approx(average, rel=0.06)
    assert {parcel["origin"] for parcel in parcels} == {"DE"}
    assert shares_of(parcels, "carrier") == pytest.approx({"dhl": 0.75, "dpd": 0.25}, abs=0.03)
    cleared = {parcel["market"] for parcel in parcels if parcel["type"] == "parcel_cleared"}
    assert cleared == {"AT", "CH"}, "what stays in the country crosses no border"
    assert not any("payer_currency" in payment for payment in payments)


def test_nothing_chinese_is_sold_where_the_home_currency_is_not_the_yuan() -> None:
    _, log, _ = sent(shares=True)
    for (topic, _), values in log.values.items():
        for value in values:
            text = (value or b"").decode("utf-8", "replace")
            assert '"CN"' not in text, topic
            assert '"CNY"' not in text, topic
            assert not any(f'"{name}"' in text for name in CHINESE | CHINESE_METHODS), topic
    markets = {parcel["market"] for parcel in events(sent()[1], "parcels")}
    assert markets
    assert not markets & {"CN", "HK", "TW"}
    assert {order["currency"] for order in events(sent()[1], "orders")} == {"EUR"}


def test_what_is_left_out_is_that_of_the_built_in_festivals() -> None:
    _, log, _ = sent("merchants = { a = 1, b = 3 }", home="CNY")
    orders = events(log, "orders")
    assert shares_of(orders, "merchant") == pytest.approx({"a": 0.25, "b": 0.75}, abs=0.03)
    assert {order["platform"] for order in orders} <= {"tmall", "taobao"}
    assert {"CN", "HK", "JP"} <= {order["market"] for order in orders}
    payers = {payment["payer_currency"] for payment in events(log, "payments") if "payer_currency" in payment}
    assert {"HKD", "JPY", "CNY"} <= payers


def test_a_market_that_orders_in_its_own_currency_pays_in_it() -> None:
    text = 'markets = { CN = 1, JP = 1, DE = 1 }\ncurrencies = { JP = "JPY" }\norigins = { CN = 1, DE = 1 }'
    _, log, _ = sent(text, home="CNY")
    payments = [one for one in events(log, "payments") if one["method"] != "alipay_epass"]
    assert not any("payer_currency" in payment for payment in payments)
    assert {(one["market"], one["currency"]) for one in payments} == {("CN", "CNY"), ("JP", "JPY"), ("DE", "CNY")}
    parcels = events(log, "parcels")
    assert {parcel["origin"] for parcel in parcels} == {"CN", "DE"}
    assert all(parcel["origin"] != parcel["market"] for parcel in parcels if parcel["type"] == "parcel_cleared")


@pytest.mark.parametrize(
    ("text", "home", "hours"), [(EXAMPLE, "EUR", 24), ("", "USD", 1), ('markets = { "A\\"\\\\é" = 1 }', "CNY", 72)]
)
def test_the_tally_is_what_the_ledger_counts(text: str, home: str, hours: int) -> None:
    festival, log, tally = sent(text, home, shares=True, hours=hours)
    snapshot = count(log, {festival.id: festival}).snapshot()
    for dimension in DIMENSIONS:
        assert compare(tally, totals_document(snapshot, festival, by=dimension)) == []


def test_a_festival_to_come_says_what_can_be_done() -> None:
    festival = festival_of(EXAMPLE)
    with pytest.raises(Exception, match="festival rehearse") as refused:
        festival_load(festival, festival.start_ms - 1, orders=1, partitions=1)
    assert "past `starts`" in str(refused.value)

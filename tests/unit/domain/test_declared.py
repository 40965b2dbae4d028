"""What follows from a shop's declarations: fields that are judged, tables and money that are counted."""

from __future__ import annotations

import dataclasses

import pytest

from streams.board.answers.documents import totals_json
from streams.board.answers.totals import totals_of
from streams.board.answers.values import Row, Totals
from streams.board.view.committed_view import CommittedView
from streams.domain import declared as module
from streams.domain.built_in import ROLLUPS
from streams.domain.declarations import Declarations
from streams.domain.declared import AMOUNT_FACTS, TAKEN_KEYS, TAKEN_LABELS, TAKEN_METRICS, Amount, Declared
from streams.domain.decoding import Decoder
from streams.domain.dimensions import COUNTED, Dimension
from streams.domain.facts import FACTS
from streams.domain.ledger import Ledger, Outcome
from streams.domain.rejections import Reason
from streams.domain.rollups import NONE, OTHER, Window
from streams.metrics import LEDGER
from tests.unit.domain.samples import HORIZON_MINUTES, SETTLE_MS, START_MS, box, encode, festival, order, payment

OWN = Declared(
    (
        Dimension("orders", "channel", Window.MINUTE, 2),
        Dimension("payments", "channel"),
        Dimension("orders", "class"),
        Dimension("recycling", "store"),
    ),
    (Amount("orders", "shipping_minor"), Amount("payments", "fee_minor")),
)
"""`class` is a word of Python and of SQL."""


def declarations(declared: Declared = OWN) -> Declarations:
    """Return declarations of one day."""
    return Declarations({"day": festival()}, SETTLE_MS, HORIZON_MINUTES, declared.rollups, facts=declared.facts)


def test_nothing_declared_changes_nothing() -> None:
    assert Declared().facts == FACTS
    assert Declared().rollups == ROLLUPS
    assert (
        declarations(Declared()).fingerprint
        == Declarations({"day": festival()}, SETTLE_MS, HORIZON_MINUTES).fingerprint
    )


def test_each_dimension_is_a_table_and_each_amount_a_measure_wherever_its_money_is() -> None:
    tables = {rollup.name: rollup for rollup in OWN.rollups}
    assert (tables["orders_by_channel"].window, tables["orders_by_channel"].limit) == (Window.MINUTE, 2)
    assert (tables["payments_by_channel"].currency, tables["recycling_by_store"].currency) == ("currency", None)
    assert tables["payer_by_channel"].measures == tables["payer_by_brand"].measures, "what shoppers paid, by it too"
    assert tables["payer_by_channel"].currency == "payer_currency"
    for rollup in OWN.rollups:
        names = [measure.name for measure in rollup.measures]
        assert ("shipping_minor" in names) == ("coupons_minor" in names), rollup.name
        assert ("fee_minor" in names) == ("paid_minor" in names), rollup.name
    assert OWN.amounts[0].measure.types == ("order_placed",)
    assert OWN.amounts[1].measure.types == ("payment_captured",)
    assert module.declared_amounts(OWN.rollups) == (("orders", "shipping"), ("payments", "fee"))
    assert module.declared_amounts(ROLLUPS) == ()


def test_the_order_in_a_file_and_what_is_read_only_decide_no_count() -> None:
    turned = Declared(OWN.dimensions[::-1], OWN.amounts[::-1])
    assert declarations(turned).fingerprint == declarations().fingerprint
    shown = tuple(dataclasses.replace(d, label=True, rank=True, names=(("en", "X"),)) for d in OWN.dimensions)
    assert declarations(Declared(shown, OWN.amounts)).fingerprint == declarations().fingerprint
    for changes in ({"limit": 3}, {"window": Window.FESTIVAL}, {"field": "device"}, {"fact": "parcels"}):
        changed = dataclasses.replace(OWN.dimensions[0], **changes)
        assert (
            declarations(Declared((changed, *OWN.dimensions[1:]), OWN.amounts)).fingerprint
            != declarations().fingerprint
        )
    assert declarations(Declared(OWN.dimensions, OWN.amounts[1:])).fingerprint != declarations().fingerprint


@pytest.mark.parametrize("is_compiled", [True, False])
def test_declared_fields_are_judged_as_strictly_as_the_others(*, is_compiled: bool) -> None:
    decoder = Decoder(OWN.facts["orders"], ("channel", "class"), is_compiled=is_compiled)
    given: list[dict[str, object]] = [
        {"channel": "web", "class": "a", "shipping_minor": 5},
        {},
        {"channel": 7},
        {"channel": ""},
        {"channel": "__x"},
        {"channel": "x" * 65},
        {"shipping_minor": "5"},
        {"shipping_minor": 1.0},
        {"shipping_minor": -1},
        {"shipping_minor": 10**13 + 1},
        {"shipping_minor": 10**13, "channel": "x" * 64},
    ]
    columns, rejections = decoder.decode([encode(order(**fields)) for fields in given], [START_MS] * len(given))
    texts = columns.texts["channel"]
    assert [texts.texts[code] for code in texts.codes.tolist()] == ["web", NONE, "x" * 64]
    assert columns.numbers["shipping_minor"].tolist() == [5, 0, 10**13]
    wrong, out = Reason.WRONG_TYPE, Reason.OUT_OF_RANGE
    assert [why.reason for _, why in rejections] == [wrong, out, out, out, wrong, wrong, out, out]
    assert (
        rejections[0][1].detail == "channel: expected a text of 1 to 64 characters that does not begin with __, found 7"
    )


def test_a_null_is_no_absent_field() -> None:
    _, rejections = Decoder(OWN.facts["orders"], ("channel",)).decode([encode(order() | {"channel": None})], [START_MS])
    assert [why.reason for _, why in rejections] == [Reason.WRONG_TYPE]


def test_events_are_counted_by_what_was_declared_up_to_its_limit() -> None:
    ledger = Ledger(declarations())
    orders = [order(event_id=f"e{n}", channel=channel, shipping_minor=10) for n, channel in enumerate("abca")]
    orders.append(order(event_id="x"))
    orders.append(order(event_id="y", type="order_cancelled", channel="a", shipping_minor=99))
    ledger.apply("orders", [encode(event) for event in orders], [START_MS] * len(orders))
    ledger.apply("payments", [encode(payment(channel="a", fee_minor=3))], [START_MS])
    ledger.apply("recycling", [encode(box(store="s"))], [START_MS])
    assert {topic: state.outcomes[Outcome.COUNTED] for topic, state in ledger.topics.items()} == {
        "orders": 6, "payments": 1, "parcels": 0, "recycling": 1,
    }  # fmt: skip
    found: dict[str, list[int]] = {}
    table = ledger.tables["day", "orders_by_channel"]
    names = [measure.name for measure in table.rollup.measures]
    for _, page in table.pages():
        for place, group in enumerate(page.groups):
            cells = page.cells()[:, place * page.slots]
            found[group[0]] = [int(cells[names.index(name)]) for name in ("orders", "cancelled", "shipping_minor")]
    assert found == {"a": [2, 1, 20], "b": [1, 0, 10], OTHER: [2, 0, 10]}


def test_what_is_taken_is_what_totals_rows_and_metrics_have() -> None:
    """The domain knows neither documents nor metrics, so what they have is written down in it."""
    totals = totals_json(totals_of(CommittedView().snapshot(), festival()))
    rows = set(Row.__struct_fields__) - {"dimension", "value"}
    assert totals.keys() | rows | {"by", "sealed", "exact"} <= TAKEN_KEYS
    assert set(Totals.__struct_fields__) - {"also_in", "story"} <= TAKEN_KEYS
    money = ("gross", "coupons", "credits", "net", "cancelled_net", "paid", "failed", "refunded", "transport", "duty")
    assert set(money) <= TAKEN_KEYS
    ends = ("_minor", *(f"_{counted}" for counted, _, _ in COUNTED.values()))
    existing = {entry.name.removeprefix("festival_") for entry in LEDGER if entry.name.startswith("festival_")}
    assert {name for name in existing if name.endswith(ends)} == TAKEN_METRICS
    assert {label for entry in LEDGER for label in entry.labels} & {
        "festival",
        "currency",
        "outcome",
        "stage",
    } <= TAKEN_LABELS
    assert AMOUNT_FACTS.keys() <= COUNTED.keys() == FACTS.keys()


@pytest.mark.parametrize(
    ("fact", "field", "why"),
    [
        ("orders", "platform", "orders have a field platform already"),
        ("orders", "type", "orders have a field type already"),
        ("parcels", "currency", "currency is a label of other metrics"),
        ("orders", "pod", "pod is a label of other metrics"),
        ("orders", "money", "money is a key of the totals"),
        ("orders", "cancelled", "cancelled is a key of the totals"),
        ("orders", "second", "there is a table orders_by_second"),
        ("parcels", "transit_days", "there is a table parcels_by_transit_days"),
        ("parcels", "platform", None),
        ("orders", "channel", None),
        ("payments", "category", None),
    ],
)
def test_a_dimension_whose_name_is_taken_is_none(fact: str, field: str, why: str | None) -> None:
    told = module.taken(Dimension(fact, field))
    assert (told or "").startswith(why or "")
    assert (told is None) == (why is None)


def test_no_dimension_that_may_be_declared_has_a_metric_that_is_there_already() -> None:
    """What would clash is a field of the fact, or a key of the totals."""
    fields = {name.rpartition("_")[0] for name in TAKEN_METRICS}
    free = [Dimension(fact, field) for fact in COUNTED for field in fields]
    clashing = [one for one in free if one.metric.removeprefix("festival_") in TAKEN_METRICS]
    assert {one.field for one in clashing} >= {"platform", "market", "cancelled"}
    assert all(module.taken(one) for one in clashing)


@pytest.mark.parametrize(
    ("fact", "field", "why"),
    [
        ("orders", "coupon_minor", "orders have a field coupon_minor already"),
        ("orders", "gross_minor", "gross is a key of the totals"),
        ("orders", "home_gross_minor", "there is a metric festival_home_gross_minor"),
        ("orders", "payer_paid_minor", "there is a measure payer_paid_minor"),
        ("payments", "coupon_minor", None),
        ("orders", "shipping_minor", None),
    ],
)
def test_an_amount_whose_name_is_taken_is_none(fact: str, field: str, why: str | None) -> None:
    told = module.taken_amount(Amount(fact, field))
    assert (told or "").startswith(why or "")
    assert (told is None) == (why is None)


def test_metrics_are_called_as_the_contract_says() -> None:
    names = [Dimension(fact, "channel").metric for fact in COUNTED]
    assert names == [f"festival_channel_{counted}" for counted in ("orders", "payments", "parcels", "boxes")]
    assert (Amount("orders", "shipping_minor").metric, Amount("orders", "shipping_minor").name) == (
        "festival_shipping_minor",
        "shipping",
    )

"""What a shop has declared, from its events to documents, series and metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from streams.board.answers.screen import names_document, ranks_document
from streams.board.answers.series import series_document
from streams.board.answers.totals import totals_document
from streams.board.view.committed_view import CommittedView
from streams.domain.declarations import Declarations
from streams.domain.declared import Amount, Declared
from streams.domain.dimensions import Dimension
from streams.engine.batch import RecordBatch
from streams.engine.ledger_records import Live
from streams.engine.processor import PartitionProcessor
from streams.errors import UsageError
from streams.web.exposition import FestivalCollector, render
from streams.web.shown import Shown
from tests.unit.domain.samples import IDENTITY, SETTLE_MS, START_MS, box, encode, festival, order, parcel, payment
from tests.unit.replay.test_tally_and_ledger import Delta

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY = festival()
NAMES = (("en", "Channel"), ("de", "Kanal"))
OWN = Declared(
    (
        *(Dimension(f, "channel", label=True, names=NAMES) for f in ("orders", "payments", "parcels", "recycling")),
        Dimension("orders", "store"),
    ),
    (Amount("orders", "shipping_minor"),),
)
EVENTS: dict[str, list[dict[str, Any]]] = {
    "orders": [
        order(event_id="a", channel="web", shipping_minor=5),
        order(event_id="b", channel="web", store="s", shipping_minor=2),
    ],
    "payments": [payment(channel="web"), payment(event_id="f", type="payment_failed", reason="no", channel="mail")],
    "parcels": [parcel(channel="web")],
    "recycling": [box(channel="web")],
}


LABELS = ("festival", "channel", "currency", "outcome", "stage")


def counted(declared: Declared = OWN, own: Declared | None = None) -> CommittedView:
    """Return a view of the events, counted under declarations; `own` are the reader's."""
    declarations = Declarations({"day": DAY}, SETTLE_MS, 10, declared.rollups, facts=declared.facts)
    processor = PartitionProcessor(declarations, 0, "g1")
    processor.identity = IDENTITY
    for topic, events in EVENTS.items():
        processor.start_at(topic, 0)
        values, times = [encode(event) for event in events], [START_MS + 10 * 86_400_000] * len(events)
        keys = [None] * len(events)
        processor.apply(RecordBatch(topic, 0, 0, len(events), range(len(events)), keys, values, times))
    checkpoint = processor.cut()
    assert checkpoint is not None
    # The declarations stand behind the pages, as they may.
    encoded = Live().encode(checkpoint)
    pages = {(0, key): value for key, value in [*encoded.pages.items()][::-1]}
    view = CommittedView((own or declared).rollups)
    view.feed(Delta(changed_pages=pages, cursors={0: encoded.last[1]}, partitions=1))
    return view


def scraped(view: CommittedView, declared: Declared) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values of the metrics of `channel` and `shipping` by name and the values of their labels."""
    shown = Shown({"day": DAY}, view.snapshot, declared=declared)
    page, _ = render(FestivalCollector(shown.scenes, declared=declared), "")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse_text(page.decode()):
        for sample in family.samples:
            if "channel" in sample.name or "shipping" in sample.name or "store" in sample.name:
                found.setdefault(sample.name, {})[
                    tuple(sample.labels[name] for name in LABELS if name in sample.labels)
                ] = sample.value
    return found


def test_labels_and_amounts_are_metrics_and_other_dimensions_are_none() -> None:
    day = "day"
    assert scraped(counted(), OWN) == {
        "festival_channel_orders": {(day, "web"): 2},
        "festival_channel_payments": {
            (day, "web", "captured"): 1,
            (day, "mail", "captured"): 0,
            (day, "web", "failed"): 0,
            (day, "mail", "failed"): 1,
            (day, "web", "refunded"): 0,
            (day, "mail", "refunded"): 0,
        },
        "festival_channel_parcels": {
            (day, "web", "shipped"): 0,
            (day, "web", "cleared"): 0,
            (day, "web", "delivered"): 1,
        },
        "festival_channel_boxes": {(day, "web"): 2},
        "festival_shipping_minor": {("day", "CNY"): 7},
    }


def test_what_the_ledger_was_not_counted_by_is_absent_and_not_zero() -> None:
    assert scraped(counted(Declared(), OWN), OWN) == {}


def test_whoever_reads_needs_no_declarations() -> None:
    snapshot = counted(OWN, Declared()).snapshot()
    document = totals_document(snapshot, DAY, by="channel")
    assert document["money"]["CNY"]["shipping"] == 7
    web = next(row for row in document["by"] if row["channel"] == "web")
    assert (web["orders"], web["payments"]["captured"], web["parcels"]["delivered"], web["recycling"]["boxes"]) == (
        2,
        1,
        1,
        2,
    )
    series = series_document(snapshot, DAY, "shipping", "CNY")
    assert (sum(series["values"]), series["values"][0]) == (7, 7)
    with pytest.raises(UsageError, match="shipping is money, so say of which currency"):
        series_document(snapshot, DAY, "shipping")
    with pytest.raises(UsageError, match=r"no totals are kept by 'campaign'; there are platform.*channel, store"):
        totals_document(snapshot, DAY, by="campaign")


def test_before_anything_is_committed_the_readers_own_dimensions_are_known() -> None:
    snapshot = CommittedView(OWN.rollups).snapshot()
    assert totals_document(snapshot, DAY, by="channel")["by"] == []
    assert _names(CommittedView().snapshot().dimensions) < _names(snapshot.dimensions)


def _names(dimensions: Iterable[str]) -> set[str]:
    return set(dimensions)


def test_a_dimension_with_bars_is_ranked_behind_the_built_in_ones() -> None:
    ranked = Declared(tuple(replace(d, rank=d.field == "channel") for d in OWN.dimensions), OWN.amounts)
    snapshot = counted().snapshot()
    ranks = ranks_document(snapshot, DAY, ranked)
    assert list(ranks) == [*ranks_document(snapshot, DAY), "channel"]
    assert ranks["channel"][0] == {"name": "web", "count": 2, "minor": 200}
    assert names_document(ranked) == {"channel": {"en": "Channel", "de": "Kanal"}}
    assert names_document(OWN) == {}
    uncounted = counted(Declared(), ranked).snapshot()
    assert ranks_document(uncounted, DAY, ranked) == ranks_document(uncounted, DAY)

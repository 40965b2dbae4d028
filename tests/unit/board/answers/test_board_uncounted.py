"""A festival that the ledger does not count has no counts anywhere: null, which is another thing than zero."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streams.board.answers.screen import curve_document, festivals_of, ranks_document, screen_document
from streams.board.answers.series import series_document
from streams.board.answers.totals import totals_document, totals_of
from streams.board.answers.totals_text import totals_text
from streams.board.view.committed_view import CommittedView
from streams.engine.judgement import judge
from streams.engine.memory import CellLedger
from streams.errors import UsageError
from streams.festivals import load_festivals
from tests.unit.looks import sources_ending_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.board.view.committed_view import Snapshot

FESTIVALS = load_festivals()
DAY = FESTIVALS["singles-day-2019"]
OTHER = FESTIVALS["cardboard-day-2019"]


def snapshot() -> Snapshot:
    """Return one order of DAY, and 3 rejected records, of a ledger that counts DAY only."""
    ledger, view = CellLedger(1), CommittedView()
    ledger.count_only(DAY)
    ledger.add(0, DAY, "orders_by_second", ("CNY",), DAY.start_ms, orders=1, gross_minor=150)
    ledger.commit(0, {"orders": 4}, {"orders": 9}, outcomes={"orders": {"rejected": 3}})
    view.feed(ledger.drain())
    return view.snapshot()


def numbers(value: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Yield each number of a document."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@pytest.mark.parametrize("question", [{}, {"by": "platform"}, {"at_ms": OTHER.start_ms + 59_999}, {"has_story": False}])
def test_each_count_of_it_is_null_and_those_over_the_topics_stay(question: dict[str, Any]) -> None:
    seen = snapshot()
    judgement = judge(sources_ending_at({"orders": {0: 5}}), seen.cursors)
    document = totals_document(seen, OTHER, judgement=judgement, **question)
    assert (document["counted"], document["complete"], document["lag_records"]) == (False, False, 1)
    assert {name: document[name] for name in ("duplicates", "rejected", "late", "expired", "outside")} == {
        "duplicates": 0,
        "rejected": 3,
        "late": 0,
        "expired": 0,
        "outside": 0,
    }
    assert (document["orders"], document["cancelled"], document["couponed"]) == (None, None, None)
    assert (document["money"], document["payer"], document.get("by", [])) == ({}, {}, [])
    assert document["home"] == {"currency": "CNY", "gross": None, "net": None, "paid": None, "missing": []}
    assert document["exponents"] == {"CNY": 2}
    told = ("payments", "parcels", "recycling", "shares", "pace", "forecast", "peak", "milestones", "distinct")
    assert list(numbers({name: document.get(name) for name in told})) == []


def test_in_other_currencies_it_has_a_rate_and_no_amount() -> None:
    assert totals_document(snapshot(), OTHER)["in"] == {}
    uncounted = replace(OTHER, rates=DAY.rates, display=("USD",))
    told = totals_document(snapshot(), uncounted, also_in=["EUR"])["in"]
    assert list(told) == ["USD", "EUR"]
    assert told["USD"] == {"gross": None, "net": None, "paid": None, "rate": "6.9933", "date": "2019-11-11"}


def test_a_counted_one_says_so_and_tells_the_digits_of_its_currencies() -> None:
    seen = snapshot()
    document = totals_document(seen, DAY, judgement=judge(sources_ending_at({"orders": {0: 5}}), seen.cursors))
    assert (document["counted"], document["complete"], document["orders"]) == (True, True, 1)
    assert document["exponents"] == {"CNY": 2, "EUR": 2, "USD": 2}


def test_digits_are_told_of_every_currency_of_the_document() -> None:
    ledger, view = CellLedger(1), CommittedView()
    ledger.add(0, DAY, "orders_by_second", ("JPY",), DAY.start_ms, orders=1, gross_minor=150)
    ledger.add(0, DAY, "payer_by_second", ("KWD",), DAY.start_ms, payer_paid_minor=7_000)
    ledger.commit(0)
    view.feed(ledger.drain())
    assert totals_document(view.snapshot(), DAY)["exponents"] == {"CNY": 2, "EUR": 2, "JPY": 0, "KWD": 3, "USD": 2}


def test_while_nothing_is_committed_every_festival_may_yet_be_counted_and_none_is_complete() -> None:
    document = totals_document(CommittedView().snapshot(), OTHER)
    assert (document["counted"], document["complete"]) == (True, False)


def test_a_wrong_question_is_told_here_too() -> None:
    with pytest.raises(UsageError, match="for the whole festival only"):
        totals_document(snapshot(), OTHER, by="merchant", at_ms=OTHER.start_ms)


def test_a_terminal_is_told_in_a_sentence() -> None:
    text = totals_text(totals_of(snapshot(), OTHER, by="station"), OTHER)
    assert "NOT COUNTED: this ledger does not count this festival" in text
    assert "records rejected" in text
    assert "orders" not in text


def test_a_series_of_it_has_no_value() -> None:
    assert series_document(snapshot(), OTHER, "boxes", None, "hour")["values"] == [None] * 24


def test_the_screen_has_nothing_to_draw() -> None:
    state = snapshot()
    screen = screen_document(state, OTHER)
    assert (screen["main"], screen["peak"]["count"], screen["rate_per_second"]) == ("boxes", None, None)
    assert set(screen) == set(screen_document(state, DAY))
    assert curve_document(state, OTHER) == {"values": [], "counts": []}
    assert not any(ranks_document(state, OTHER).values())
    told = {entry.id: entry.counted for entry in festivals_of(lambda _: state, FESTIVALS.values())}
    assert (told[DAY.id], told[OTHER.id]) == (True, False)

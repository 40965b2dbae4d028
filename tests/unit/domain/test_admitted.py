"""Which values a field admits, at the very edges of what it admits."""

from __future__ import annotations

import pytest

from streams.domain.facts import FACTS, Field, Kind
from streams.domain.judging import _check
from streams.domain.limits import TEXT_LIMIT
from streams.domain.rejections import Reason

FIELDS = list(dict.fromkeys(field for fact in FACTS.values() for field in fact.fields))
NUMBERS = [(field, limits) for field in FIELDS if (limits := field.number_limits()) is not None]
TEXTS = [field for field in FIELDS if field.kind is Kind.TEXT and not field.choices]


def reason_of(field: Field, value: object) -> str | None:
    """Return why the field does not admit the value."""
    rejection = _check(field, value)
    return rejection.reason if rejection is not None else None


@pytest.mark.parametrize(("field", "limits"), NUMBERS, ids=lambda given: getattr(given, "name", ""))
def test_a_number_is_admitted_from_the_least_to_the_largest(field: Field, limits: tuple[int, int]) -> None:
    least, most = limits
    values = (least - 1, least, most, most + 1)
    assert [reason_of(field, value) for value in values] == [Reason.OUT_OF_RANGE, None, None, Reason.OUT_OF_RANGE]
    assert reason_of(field, str(least)) is Reason.WRONG_TYPE
    assert reason_of(field, True) is Reason.WRONG_TYPE


@pytest.mark.parametrize("field", TEXTS, ids=lambda field: field.name)
def test_a_text_has_a_character_at_least_and_no_two_underscores_in_front(field: Field) -> None:
    values = ("", "a", "a" * TEXT_LIMIT, "a" * (TEXT_LIMIT + 1), "_a", "__a", "a__")
    out = Reason.OUT_OF_RANGE
    assert [reason_of(field, value) for value in values] == [out, None, None, out, None, out, None]
    assert reason_of(field, 1) is Reason.WRONG_TYPE


def test_a_choice_is_one_of_those_that_are_named() -> None:
    chosen = [field for field in FIELDS if field.choices]
    assert chosen
    for field in chosen:
        assert reason_of(field, field.choices[-1]) is None
        assert reason_of(field, "another") is Reason.OUT_OF_RANGE


def test_flags_and_currencies_are_what_they_are() -> None:
    (flag,) = [field for field in FIELDS if field.kind is Kind.FLAG]
    assert [reason_of(flag, value) for value in (True, False, 1)] == [None, None, Reason.WRONG_TYPE]
    currency = next(field for field in FIELDS if field.kind is Kind.CURRENCY)
    assert [reason_of(currency, value) for value in ("CNY", "XXX?", 1)] == [
        None,
        Reason.UNKNOWN_CURRENCY,
        Reason.WRONG_TYPE,
    ]

"""Which events are in one group, whatever their columns' codes are."""

from __future__ import annotations

import numpy as np

from streams.domain.built_in import ROLLUPS
from streams.domain.groups import Groups, grown
from streams.domain.texts import Coded

PER_MERCHANT = next(rollup for rollup in ROLLUPS if rollup.dimension is not None and rollup.currency is not None)


def test_a_code_means_what_its_own_texts_say() -> None:
    """Either vocabulary may be another one from batch to batch."""
    groups = Groups(PER_MERCHANT)
    codes = np.array([0, 1])
    merchants, others = ["a", "b"], ["b", "c"]
    yuan, dollars = ["CNY", "USD"], ["USD", "CNY"]

    def of(values: list[str], currencies: list[str]) -> list[int]:
        return [int(group) for group in groups.of(Coded(codes, values), Coded(codes, currencies), 2)]

    assert of(merchants, yuan) == [0, 1]
    assert of(others, yuan) == [2, 3]
    assert of(others, dollars) == [1, 4]
    assert of(merchants, yuan) == [0, 1]
    assert groups.keys == [("a", "CNY"), ("b", "USD"), ("b", "CNY"), ("c", "USD"), ("c", "CNY")]


def test_a_vocabulary_that_grows_keeps_its_groups() -> None:
    groups = Groups(PER_MERCHANT)
    merchants, yuan = ["a"], ["CNY"]
    assert groups.of(Coded(np.array([0]), merchants), Coded(np.array([0]), yuan), 1).tolist() == [0]
    merchants.append("b")
    assert groups.of(Coded(np.array([1, 0]), merchants), Coded(np.array([0, 0]), yuan), 2).tolist() == [1, 0]


def test_an_array_that_must_grow_is_doubled_at_least_and_keeps_what_it_holds() -> None:
    array = np.array([[1, 2]])
    assert grown(array, 1, 2) is array
    assert grown(array, 1, 3).tolist() == [[1, 2, -1, -1]]
    assert grown(array, 0, 3, fill=0).tolist() == [[1, 2], [0, 0], [0, 0]]

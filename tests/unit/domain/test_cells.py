"""Cells: sums beyond 64 bits, limits on values, pages."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from streams.domain.built_in import ROLLUPS
from streams.domain.cells import FOLD_LIMIT_EVENTS, CellTable, places_of
from streams.domain.limits import MONEY_LIMIT_MINOR
from streams.domain.pages import HIGH_SHIFT, Page, decode_page, encode_page
from streams.domain.rollups import GROUPS_PER_PAGE, OTHER
from streams.domain.texts import Coded, Vocabulary

DAY_MS = 24 * 3_600_000
BY_SECOND = next(r for r in ROLLUPS if r.name == "orders_by_second")
BY_MERCHANT = next(r for r in ROLLUPS if r.name == "orders_by_merchant")


def fold(table: CellTable, values: list[str] | None, offsets_ms: list[int], amounts: list[int]) -> None:
    """Add one CNY order per entry, gross in measure 2."""
    table.fold(
        len(amounts),
        {0: np.ones(len(amounts), dtype=np.int64), 2: np.array(amounts, dtype=np.int64)},
        values=None if values is None else Vocabulary().encode(values),
        currencies=Vocabulary().encode(["CNY"] * len(amounts)),
        places=places_of(table.rollup.window, np.array(offsets_ms, dtype=np.int64)),
    )


def fold_most(table: CellTable, times: int) -> int:
    """Add as many orders of the largest amount as one fold takes to the first second, some times; return the sum."""
    count = FOLD_LIMIT_EVENTS
    zeros, amounts = np.zeros(count, dtype=np.int64), np.full(count, MONEY_LIMIT_MINOR, dtype=np.int64)
    for _ in range(times):
        table.fold(
            count,
            {2: amounts},
            values=None,
            currencies=Coded(zeros, ["CNY"]),
            places=places_of(table.rollup.window, zeros),
        )
    return times * count * MONEY_LIMIT_MINOR


def gross(page: Page) -> list[int]:
    """Return the gross cells of a page as Python integers."""
    low, high = page.cells()[2].tolist(), page.high_cells()
    return [n + (0 if high is None else int(high[2][i]) << HIGH_SHIFT) for i, n in enumerate(low)]


def test_a_cell_grows_beyond_64_bits_without_a_loss() -> None:
    table = CellTable(BY_SECOND, DAY_MS)
    total = fold_most(table, 7)
    fold(table, None, [DAY_MS - 1], [5])
    assert total > 2**64
    assert gross(dict(table.pages())[0])[0] == total
    assert gross(dict(table.pages())[287])[299] == 5

    restored = CellTable(BY_SECOND, DAY_MS)
    for number, page in table.pages():
        restored.load(number, decode_page(encode_page(page)))
    fold(restored, None, [0], [1])
    fold(table, None, [0], [1])
    assert list(restored.pages()) == list(table.pages())
    assert gross(dict(restored.pages())[0])[0] == total + 1


def test_one_cell_has_one_representation_however_it_was_carried() -> None:
    table, restored = CellTable(BY_SECOND, DAY_MS), CellTable(BY_SECOND, DAY_MS)
    for _ in range(2):
        fold_most(table, 1)
        fold_most(restored, 1)
        copy = CellTable(BY_SECOND, DAY_MS)
        copy.load(0, dict(restored.pages())[0])
        restored = copy
    assert dict(table.pages())[0] == dict(restored.pages())[0]


def test_a_value_beyond_the_limit_falls_into_other_and_the_first_keep_their_cell() -> None:
    table = CellTable(dataclasses.replace(BY_MERCHANT, limit=2), DAY_MS)
    fold(table, ["a", "b", "c", "a"], [0, 0, 0, 0], [1, 2, 4, 8])
    fold(table, ["d", "b"], [0, 0], [16, 32])
    groups = [group[0] for group in dict(table.pages())[0].groups]
    assert dict(zip(groups, gross(dict(table.pages())[0]), strict=True)) == {"a": 9, "b": 34, OTHER: 20}


def test_a_festival_long_rollup_puts_groups_on_pages_in_the_order_first_seen() -> None:
    table = CellTable(BY_MERCHANT, DAY_MS)
    merchants = [f"m{n}" for n in range(GROUPS_PER_PAGE + 1)]
    fold(table, merchants, [0] * len(merchants), [1] * len(merchants))
    assert [number for number, _ in table.take_changed()] == [0, 1]
    assert list(table.take_changed()) == []
    fold(table, ["m3"], [0], [1])
    changed = list(table.take_changed())
    assert [number for number, _ in changed] == [0]
    assert [group[0] for group in decode_page(changed[0][1]).groups] == merchants[:GROUPS_PER_PAGE]


def assert_written_as_encoded(table: CellTable) -> dict[int, Page]:
    """Take what changed, and return the pages."""
    pages, written = dict(table.pages()), dict(table.take_changed())
    assert written
    assert written == {number: encode_page(pages[number]) for number in written}
    return pages


def test_a_changed_page_is_written_as_its_content_is_encoded() -> None:
    by_merchant, by_second = CellTable(BY_MERCHANT, DAY_MS), CellTable(BY_SECOND, DAY_MS)
    for count in (1, GROUPS_PER_PAGE + 1, 3 * GROUPS_PER_PAGE):
        fold(by_merchant, [f"m{n}" for n in range(count)], [0] * count, [n << 40 for n in range(count)])
        assert_written_as_encoded(by_merchant)
    fold(by_second, None, [DAY_MS - 1], [5])
    fold_most(by_second, 3)
    assert [page.high is None for _, page in sorted(assert_written_as_encoded(by_second).items())] == [False, True]


def test_a_group_keeps_its_cell_when_the_codes_of_its_texts_become_others() -> None:
    table = CellTable(BY_MERCHANT, DAY_MS)
    merchants, currencies = Vocabulary(), Vocabulary()
    ones = np.ones(2, dtype=np.int64)
    for values, units, begins_anew in (
        (["a", "b"], ["CNY", "CNY"], False),
        (["a", "c"], ["CNY", "USD"], False),
        (["c", "b"], ["USD", "EUR"], True),
        (["b", "a"], ["EUR", "CNY"], False),
    ):
        if begins_anew:
            merchants, currencies = Vocabulary(), Vocabulary()
        table.fold(2, {0: ones}, values=merchants.encode(values), currencies=currencies.encode(units), places=None)
    page = dict(table.pages())[0]
    assert page.groups == (("a", "CNY"), ("b", "CNY"), ("c", "USD"), ("b", "EUR"))
    assert page.cells()[0].tolist() == [3, 1, 2, 2]


def test_a_page_of_another_shape_is_refused() -> None:
    table = CellTable(BY_SECOND, DAY_MS)
    fold(table, None, [0], [1])
    page = dict(table.pages())[0]
    with pytest.raises(ValueError, match="measures"):
        CellTable(BY_MERCHANT, DAY_MS).load(0, page)
    with pytest.raises(ValueError, match="outside the festival"):
        CellTable(BY_SECOND, DAY_MS).load(288, page)
    short = Page(page.groups * 2, page.slots, page.measures, page.low, None)
    with pytest.raises(ValueError, match="cells per measure"):
        CellTable(BY_SECOND, DAY_MS).load(0, short)


def test_a_missing_page_in_between_is_refused() -> None:
    table = CellTable(BY_MERCHANT, DAY_MS)
    merchants = [f"m{n}" for n in range(GROUPS_PER_PAGE + 1)]
    fold(table, merchants, [0] * len(merchants), [1] * len(merchants))
    with pytest.raises(ValueError, match="does not continue"):
        CellTable(BY_MERCHANT, DAY_MS).load(1, dict(table.pages())[1])


def test_restored_pages_keep_their_high_parts_whatever_pages_come_after() -> None:
    table, measures = CellTable(BY_MERCHANT, DAY_MS), len(BY_MERCHANT.measures)

    def page(count: int, first: int, high: int | None) -> Page:
        cells = np.full(measures * count, 5, dtype="<i8").tobytes()
        highs = None if high is None else np.full(measures * count, high, dtype="<i8").tobytes()
        return Page(tuple((f"m{first + i}", "CNY") for i in range(count)), 1, measures, cells, highs)

    pages = [page(GROUPS_PER_PAGE, 0, 7), page(GROUPS_PER_PAGE, 100, None), page(1, 200, 9)]
    for number, restored in enumerate(pages):
        table.load(number, restored)
    assert [gross(found)[0] - 5 >> HIGH_SHIFT for _, found in table.pages()] == [7, 0, 9]

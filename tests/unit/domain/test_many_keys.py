"""Hot keys and many keys: sums stay exact, memory stays bounded, and what has no row of its own is seen."""

from __future__ import annotations

from streams.domain.ledger import Ledger
from streams.domain.rollups import KEYS_LIMIT, OTHER
from tests.unit.domain.samples import START_MS, declarations, encode, order

BATCH_RECORDS = 10_000


def counted(merchants: list[str]) -> Ledger:
    """Return a ledger after one order of 100 from each of `merchants`, in this order."""
    ledger = Ledger(declarations())
    for first in range(0, len(merchants), BATCH_RECORDS):
        part = merchants[first : first + BATCH_RECORDS]
        values = [encode(order(event_id=f"e{first + i}", merchant=m)) for i, m in enumerate(part)]
        ledger.apply("orders", values, [START_MS] * len(values))
    return ledger


def gross_by_merchant(ledger: Ledger) -> dict[str, int]:
    """Return the gross of each merchant's cell."""
    table = ledger.tables["day", "orders_by_merchant"]
    return {
        group[0]: int(cell)
        for _, page in table.pages()
        for group, cell in zip(page.groups, page.cells()[2].tolist(), strict=True)
    }


def test_one_of_a_thousand_merchants_may_have_half_the_orders() -> None:
    merchants = ["hot" if n % 2 else f"m{n // 2 % 999}" for n in range(20_000)]
    gross = gross_by_merchant(counted(merchants))
    assert len(gross) == 1_000
    assert gross["hot"] == 10_000 * 100
    assert sum(gross.values()) == 20_000 * 100


def test_two_hundred_thousand_merchants_fit_into_the_limit_and_one_row_for_the_rest() -> None:
    ledger = counted([f"m{n}" for n in range(200_000)])
    gross = gross_by_merchant(ledger)
    assert len(gross) == KEYS_LIMIT + 1
    assert gross[OTHER] == (200_000 - KEYS_LIMIT) * 100
    assert gross["m0"] == gross[f"m{KEYS_LIMIT - 1}"] == 100
    assert sum(gross.values()) == 200_000 * 100
    pages = [page for _, page in ledger.tables["day", "orders_by_merchant"].pages()]
    assert sum(len(page.low) for page in pages) < 8 * 8 * (KEYS_LIMIT + 17)

"""The audit of what a shop has declared: it judges and counts by its own reading of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.audit.declared import Declared, declared_of
from streams.audit.plan import read_plan
from streams.domain import declared as theirs
from streams.domain.declarations import Declarations
from streams.domain.dimensions import Dimension
from streams.domain.rollups import Window
from streams.errors import UsageError
from streams.festivals import load_festivals
from tests.unit.audit.bench import RECORD_TIME_MS, Bench, encode, order, payment

if TYPE_CHECKING:
    from pathlib import Path

OWN = theirs.Declared(
    (
        *(Dimension("orders", field, Window.MINUTE, 2) for field in ("channel", "select", "off", "minute")),
        Dimension("payments", "win"),
    ),
    (theirs.Amount("orders", "order_minor"), theirs.Amount("payments", "fee_minor")),
)
"""Names that are words of SQL, or columns of the audit's own tables."""
SAME = Declared(
    {(d.fact, d.field): (60_000 if d.window is Window.MINUTE else None, d.limit) for d in OWN.dimensions},
    {"orders": frozenset({"order_minor"}), "payments": frozenset({"fee_minor"})},
)


def bench(tmp_path: Path) -> Bench:
    """Return a bench whose counter has counted by declared fields, good and bad ones."""
    found = Bench(tmp_path, rollups=OWN.rollups, facts=OWN.facts)
    found.declared = SAME
    orders = [
        order(f"e{n}", channel=f"c{n % 3}", select="s", minute="m", order_minor=n, **({"off": "x"} if n % 2 else {}))
        for n in range(9)
    ]
    bad = [order("b1", channel=1), order("b2", order_minor="1"), order("b3", off="__x"), order("b4", select=None)]
    found.send("orders", 0, *map(encode, orders + bad))
    found.send("payments", 0, encode(payment("p1", win="w", fee_minor=7)), encode(payment("p2", fee_minor=-1)))
    found.commit()
    return found


def test_what_was_declared_is_counted_again_exactly(tmp_path: Path) -> None:
    result = bench(tmp_path).audit()
    assert result.differences == []
    assert result.is_exact
    assert result.totals["singles-day-2019"]["order_minor"] == {"CNY": sum(range(9))}
    assert result.totals["singles-day-2019"]["fee_minor"] == {"USD": 7}
    assert result.outcomes["orders"]["rejected"] == 4


def test_a_sealed_ledger_tells_itself_what_was_declared() -> None:
    fingerprint = Declarations(load_festivals(), 0, 0, OWN.rollups, facts=OWN.facts).fingerprint
    told = declared_of(read_plan(fingerprint))
    assert told.dimensions == SAME.dimensions
    assert {fact: names for fact, names in told.amounts.items() if names} == SAME.amounts


def test_a_field_that_the_counter_takes_for_another_is_found(tmp_path: Path) -> None:
    """The audit's own judgement: it knows the field, the log has a bad one, and the counter counted it."""
    found = bench(tmp_path)
    found.log["orders", 0].append((RECORD_TIME_MS, encode(order("late", channel="c0", order_minor=5))))
    assert not found.audit().is_exact


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (Declared({}, SAME.amounts), "channel of orders is not declared here"),
        (Declared(SAME.dimensions, {}), "order_minor of orders is not declared here, and added up in orders_by_second"),
        (Declared({**SAME.dimensions, ("orders", "x"): (None, 1)}, SAME.amounts), "the ledger keeps no x of orders"),
        (
            Declared({**SAME.dimensions, ("orders", "channel"): (None, 2)}, SAME.amounts),
            "channel of orders has another window or limit here",
        ),
        (
            Declared(SAME.dimensions, {**SAME.amounts, "payments": frozenset({"fee_minor", "y_minor"})}),
            "the ledger adds up no y_minor in payments_by_second",
        ),
    ],
)
def test_another_file_than_the_workers_is_refused_with_each_difference(
    tmp_path: Path, declared: Declared, told: str
) -> None:
    found = bench(tmp_path)
    found.declared = declared
    with pytest.raises(UsageError) as raised:
        found.audit()
    assert told in str(raised.value)

"""Distinct counts in the audit: exact beside the estimate, a difference where chance cannot explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.domain.pages import Page, encode_page
from streams.domain.sketches import SketchTable
from streams.domain.texts import hash_texts
from tests.unit.audit.bench import Bench, box, encode, order

if TYPE_CHECKING:
    from pathlib import Path

BUYERS = b'["g1","page","singles-day-2019","buyers",0]'


def counted(directory: Path) -> Bench:
    """Return a bench with 60 buyers in two partitions, 20 of them in both."""
    bench = Bench(directory)
    bench.send("orders", 0, *(encode(order(f"a{n}", buyer=f"b{n}")) for n in range(40)))
    bench.send("orders", 1, *(encode(order(f"c{n}", buyer=f"b{n + 20}")) for n in range(40)))
    bench.send("orders", 1, encode(order("c0", buyer="resent")), encode(order("x", buyer="y", type="order_cancelled")))
    bench.send("recycling", 0, *(encode(box(f"e{n}", ts=1_574_200_000_000, station=f"s{n % 4}")) for n in range(9)),
               at=1_574_300_000_000)  # fmt: skip
    bench.commit()
    return bench


def test_the_exact_number_stands_beside_the_estimate(tmp_path: Path) -> None:
    result = counted(tmp_path).audit()
    assert result.differences == []
    assert result.distinct["singles-day-2019"]["buyers"] == {"exact": 60, "estimate": 60, "low": 60, "high": 61}
    boxes = {name: found["exact"] for name, found in result.distinct["cardboard-day-2019"].items()}
    assert boxes == {"stations": 4, "participants": 1}
    assert result.document()["distinct"] == result.distinct


def test_an_estimate_beyond_all_chance_is_a_difference(tmp_path: Path) -> None:
    bench = counted(tmp_path)
    other = SketchTable()
    other.fold(hash_texts([f"b{n}" for n in range(90)]))
    ((_, page),) = other.pages()
    bench.pages[0, BUYERS] = encode_page(page)
    (difference,) = bench.audit().differences
    assert (difference.measure, difference.recount) == ("buyers", 60)


def test_a_lost_or_damaged_sketch_is_a_difference(tmp_path: Path) -> None:
    bench = counted(tmp_path)
    del bench.pages[1, BUYERS]
    assert [difference.measure for difference in bench.audit().differences] == ["buyers"]
    bench.pages[1, BUYERS] = encode_page(Page((), 1, 1, b"\x00", None))
    assert [difference.measure for difference in bench.audit().differences] == ["page"]

"""Counts what is distinct exactly, and says whether the ledger's sketches are as near to it as they claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streams.audit import statements
from streams.domain.pages import decode_page

if TYPE_CHECKING:
    from streams.audit.calendar import Edition
    from streams.audit.result import AuditResult
    from streams.audit.workbook import Workbook
    from streams.audit.written import WrittenPage

SIGMAS: Final = 3
SLACK: Final = 2
"""A sketch shows its bounds at three standard errors, which one in 370 exceeds by chance. Twice as far, one in 5 x 10^8
does: that is no chance."""
LG_REGISTERS: Final = 14


def compare_distinct(
    result: AuditResult, book: Workbook, edition: Edition, pages: dict[tuple[str, str], list[WrittenPage]]
) -> None:
    """Count each distinct number of an edition and note it; beyond all chance it differs."""
    for distinct in book.plan.distincts:
        if distinct.fact not in edition.facts:
            continue
        where = {"festival": edition.id, "distinct": distinct.name}
        ((exact,),) = book.rows(statements.count_distinct(distinct, book.plan, edition))
        result.measured(distinct.name, 0)
        try:
            count, low, high = _merged(pages.get((edition.id, distinct.name), []))
        except (msgspec.MsgspecError, RuntimeError, ValueError, IndexError) as error:
            result.differs("page", {**where, "problem": str(error)}, 1, 0)
            continue
        shown = {"exact": exact, "estimate": round(count), "low": int(low), "high": -int(-high // 1)}
        result.distinct.setdefault(edition.id, {})[distinct.name] = shown
        is_cut = any(topic == distinct.fact for topic, _ in book.cuts)
        least = 0 if is_cut else count - SLACK * (count - low) - 1
        if not least <= exact <= count + SLACK * (high - count) + 1:
            result.differs(distinct.name, where, round(count), exact)


def _merged(pages: list[WrittenPage]) -> tuple[float, float, float]:
    # Imported here: where nothing distinct is declared, the library may be missing.
    from datasketches import hll_sketch, hll_union  # noqa: PLC0415

    union = hll_union(LG_REGISTERS)
    for page in pages:
        union.update(hll_sketch.deserialize(decode_page(page.value).low))
    return union.get_estimate(), union.get_lower_bound(SIGMAS), union.get_upper_bound(SIGMAS)

"""Few cases that hold every pair of values: what goes wrong, mostly goes wrong for two things together."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Case = tuple[str, ...]


def pairs_of(case: Case) -> set[tuple[int, str, int, str]]:
    """Return the pairs of values that a case holds, each with its places."""
    return {(i, case[i], j, case[j]) for i, j in combinations(range(len(case)), 2)}


def all_pairs(*factors: Sequence[str]) -> list[Case]:
    """Return cases that hold every pair of values of two factors, chosen greedily: always the same ones."""
    cases = list(product(*factors))
    wanted = set().union(*map(pairs_of, cases))
    chosen = []
    while wanted:
        best = max(cases, key=lambda case: len(pairs_of(case) & wanted))
        chosen.append(best)
        wanted -= pairs_of(best)
    return chosen

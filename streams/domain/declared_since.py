"""What was declared since a ledger began to count, read out of fingerprint documents (`streams.domain.declarations`).

A festival, a dimension or an amount may be declared while a ledger is counted; none is taken away from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from streams.domain.rollups import Rollup


def missing_festivals(theirs: Mapping[str, Any], known: Container[str]) -> list[str]:
    """Return which festivals of a fingerprint are not known."""
    return [name for name in theirs["festivals"] if name not in known]


def missing_declarations(theirs: Mapping[str, Any], rollups: Iterable[Rollup]) -> list[str]:
    """Return which dimensions and amounts of a fingerprint are in none of our tables."""
    known = {rollup.name: {measure.name for measure in rollup.measures} for rollup in rollups}
    missing = []
    for row in theirs["rollups"]:
        if row["name"] not in known:
            missing.append(f"dimension {row['dimension']} of {row['fact']}" if row["dimension"] else row["name"])
        else:
            names = (measure["name"] for measure in row["measures"])
            missing += [f"amount {name} of {row['fact']}" for name in names if name not in known[row["name"]]]
    return list(dict.fromkeys(missing))


def widened_facts(rollups: Iterable[Rollup], sizes: Mapping[str, int]) -> set[str]:
    """Return the facts of which `rollups` tell more than tables with these names and numbers of measures do."""
    return {rollup.fact for rollup in rollups if len(rollup.measures) > sizes.get(rollup.name, 0)}


def sizes_of(fingerprint: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of measures of each table, by name."""
    return {row["name"]: len(row["measures"]) for row in fingerprint["rollups"]}


def known_of(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return of our document what a ledger can know that was begun under theirs: all that was not declared since."""
    tables = {row["name"]: [measure["name"] for measure in row["measures"]] for row in theirs["rollups"]}
    return {
        **ours,
        "festivals": {name: ours["festivals"][name] for name in theirs["festivals"]},
        "facts": {topic: _known_fields(fact, theirs["facts"].get(topic)) for topic, fact in ours["facts"].items()},
        "rollups": [_known_measures(row, tables[row["name"]]) for row in ours["rollups"] if row["name"] in tables],
    }


def _known_fields(fact: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a topic without the fields that may be missing, and that theirs does not have."""
    if theirs is None:
        return fact
    known = {field["name"] for field in theirs["fields"]}
    fields = [field for field in fact["fields"] if field["name"] in known or field["default"] is None]
    return {**fact, "fields": fields}


def _known_measures(row: Mapping[str, Any], known: list[str]) -> Mapping[str, Any]:
    """Return a table without the measures behind all that are known: only there do pages have room for more."""
    names = [measure["name"] for measure in row["measures"]]
    return {**row, "measures": row["measures"][: len(known)]} if names[: len(known)] == known else row

"""The fingerprint holds whatever decides a count: each attribute is changed by reflection, and each is seen.

An attribute or a number that somebody adds is changed here by itself; what decides no count is listed with its reason.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

import streams.domain
from streams.domain import declarations as module
from streams.domain.declarations import Declarations
from streams.domain.facts import DERIVED, FACTS, REQUIRED, Fact, Field
from streams.domain.festivals import Festival
from streams.domain.rollups import Measure, Rollup
from streams.domain.sketches import Distinct
from tests.unit.domain.samples import declarations, festival

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.domain.facts import Derived

OURS = declarations()


def mutants(value: Any) -> Iterator[Any]:  # noqa: ANN401 - declarations of any kind
    """Yield values that differ from `value` in one attribute, however deep it lies."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for attribute in dataclasses.fields(value):
            for changed in mutants(getattr(value, attribute.name)):
                yield dataclasses.replace(value, **{attribute.name: changed})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield (*value[:index], *value[index + 1 :])
            for changed in mutants(item):
                yield (*value[:index], changed, *value[index + 1 :])
        if not any(map(dataclasses.is_dataclass, value)):
            yield (*value, "x")
        if len(value) > 1:
            yield value[::-1]
    else:
        yield _changed(value)


def _changed(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Enum):
        return next(member for member in type(value) if member is not value)
    if value is REQUIRED or value is None:
        return "x"
    assert isinstance(value, str | int), value
    return value + "x" if isinstance(value, str) else value + 1


def _with(changed: Any, declared: object) -> Declarations:  # noqa: ANN401 - of the type of `declared`
    """Return our declarations with one entry changed."""
    if isinstance(declared, Fact):
        return dataclasses.replace(OURS, facts={**FACTS, declared.topic: changed})
    if isinstance(declared, Rollup):
        return dataclasses.replace(
            OURS, rollups=tuple(changed if rollup is declared else rollup for rollup in OURS.rollups)
        )
    if isinstance(declared, Distinct):
        return dataclasses.replace(
            OURS, distincts=tuple(changed if distinct is declared else distinct for distinct in OURS.distincts)
        )
    name = next(name for name, derived in DERIVED.items() if derived is declared)
    return dataclasses.replace(OURS, derived={name: changed})


ENTRIES: Mapping[str, Fact | Rollup | Distinct | Derived] = {
    **FACTS,
    **{rollup.name: rollup for rollup in OURS.rollups},
    **{distinct.name: distinct for distinct in OURS.distincts},
    **DERIVED,
}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_attribute_of_what_is_declared_changes_the_fingerprint(name: str) -> None:
    declared = ENTRIES[name]
    changed = list(mutants(declared))
    assert len(changed) >= len(dataclasses.fields(declared))
    for mutant in changed:
        assert mutant != declared
        assert _with(mutant, declared).fingerprint != OURS.fingerprint, mutant


def test_each_kind_of_declaration_was_among_them() -> None:
    """What the mutations above walk through, so that none of it is passed over unseen."""
    walked: set[type] = set()

    def walk(value: object) -> None:
        if dataclasses.is_dataclass(value):
            walked.add(type(value))
            for attribute in dataclasses.fields(value):
                walk(getattr(value, attribute.name))
        elif isinstance(value, tuple):
            for item in value:
                walk(item)

    for declared in ENTRIES.values():
        walk(declared)
    assert {Fact, Field, Rollup, Measure, Distinct} < walked


def test_every_entry_counts_whether_it_is_there_or_not() -> None:
    seen = {OURS.fingerprint}
    fewer = [dataclasses.replace(OURS, rollups=tuple(r for r in OURS.rollups if r is not one)) for one in OURS.rollups]
    fewer += [
        dataclasses.replace(OURS, distincts=tuple(d for d in OURS.distincts if d is not one)) for one in OURS.distincts
    ]
    for one in fewer:
        assert one.fingerprint not in seen
        seen.add(one.fingerprint)


DECIDES = {"id", "start_ms", "end_ms", "facts"}
READ_SIDE = {
    "name", "timezone", "home_currency", "milestones_minor", "previous", "rates", "plausible", "points_per_tree",
    "display", "sales", "retired",
}  # fmt: skip
"""A festival's fields that are read with its totals, and free to change. `timezone` decides `start_ms`, which is in."""


def test_the_interval_and_the_facts_of_a_festival_decide() -> None:
    assert {attribute.name for attribute in dataclasses.fields(Festival)} == DECIDES | READ_SIDE
    ours = festival()
    for name in DECIDES:
        for changed in mutants(getattr(ours, name)):
            other = dataclasses.replace(ours, **{name: changed})
            assert declarations(other).fingerprint != OURS.fingerprint, name


def test_the_settings_are_in_it() -> None:
    assert dataclasses.replace(OURS, settle_ms=1).fingerprint != OURS.fingerprint
    assert dataclasses.replace(OURS, dedup_horizon_minutes=1).fingerprint != OURS.fingerprint


def test_all_that_declarations_hold_was_changed_in_one_of_these_tests() -> None:
    names = {attribute.name for attribute in dataclasses.fields(Declarations)}
    assert names == {
        "festivals", "settle_ms", "dedup_horizon_minutes", "rollups", "distincts", "facts", "derived"
    }  # fmt: skip


NOT_IN_IT = {
    "LATE_FESTIVALS": "stands beside what is declared: since when a ledger counts it",
    "AMOUNTS_LIMIT": "how much may be declared; what is, stands in facts and rollups",
    "AMOUNT_FACTS": "where amounts are added up; the measures of rollups say it",
    "COUNTED": "what tables of declared dimensions have; the rollups say it",
    "DIMENSIONS": "the dimensions of `ROLLUPS`",
    "DIMENSIONS_LIMIT": "how much may be declared",
    "DIMENSION_WINDOWS": "how a dimension may be declared; the rollups say how it was",
    "FIELD_NAME": "what a declared field may be called; the facts say what it is",
    "LANGUAGES": "read-side: in which names are told",
    "MINOR": "the end of an amount's name",
    "TAKEN_KEYS": "what no declared field may be called",
    "TAKEN_LABELS": "what no declared field may be called",
    "TAKEN_METRICS": "what no declared field may be called",
    "AVERAGE_LIMIT_MINOR": "of `[replay]`, which no worker reads",
    "KEYS": "of `[replay]`",
    "SHARE_LIMIT": "of `[replay]`",
    "VALUES_LIMIT": "of `[replay]`",
    "ABSENT": "stands for a missing number in memory; no record holds it",
    "ABSENT_HASH": "stands for a missing text in memory; no record holds it",
    "ASSUMED_ORDER_MAJOR": "of the load generator's curves",
    "BATCH_LIMIT_RECORDS": "how much is applied at once, which changes no total (property tests)",
    "BILLION": "a unit",
    "DAY_MS": "a unit; what is derived by it has it in the fingerprint as `unit_ms`",
    "DECLARED": "`DISTINCTS` is in it",
    "FOLD_LIMIT_EVENTS": "how much is folded at once; follows from `MONEY_LIMIT_MINOR` and `HIGH_SHIFT`",
    "HAS_LIBRARY": "without it `DISTINCTS`, which is in it, is empty",
    "SIGMAS": "read-side: the bounds of an estimate",
    "UNKNOWN": "stands for no group in memory",
    "VOCABULARY_LIMIT": "when texts in memory are forgotten, which changes no total (unit tests)",
    "EXPONENTS": "as `currencies`",
    "WITHDRAWN_MONTHS": "as `currencies`",
    "END_MS": "follows from `WITHDRAWN_MONTHS` and `WITHDRAWN_YEARS`",
    "ACTIVE": "`EXPONENTS` is made of it",
    "WITHDRAWN": "`EXPONENTS` and `WITHDRAWN_MONTHS` are made of it",
    "FACTS": "as `facts`",
    "DERIVED": "as `derived`",
    "FACT_NAMES": "the topics a festival may name; those it does are in it",
    "OPERATORS": "as the choices of a field",
    "REQUIRED": "as the default of a field",
    "LATE": "the name of an outcome, a key of the cursor",
    "ROLLUPS": "as `rollups`",
    "BUILT_IN": "`ROLLUPS` is made of it",
    "FILE": "where `BUILT_IN` stands",
    "DIMENSION_KEYS": "what a file may say; what it says is in the rollups",
    "PAYER_FACT": "`ROLLUPS` is made by it",
    "DISTINCTS": "as `distincts`",
    "ORDERS": "measures of rollups, which are in it",
    "PAYMENTS": "measures of rollups, which are in it",
    "PAYER": "measures of rollups, which are in it",
    "PARCELS": "measures of rollups, which are in it",
    "RECYCLING": "measures of rollups, which are in it",
    "KEYS_LIMIT": "as the limits of rollups",
    "LABEL_LIMIT": "as the limits of rollups",
}
"""Public constants of the domain that the fingerprint does not hold under their own names."""
FORECAST = "streams.domain.forecast"
"""Only reads totals."""


MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.iter_modules(streams.domain.__path__, "streams.domain.")
    if found.name != FORECAST
]


def _constants() -> set[str]:
    """Return the public names in capitals that modules of the domain give a value to."""
    found: set[str] = set()
    for home in MODULES:
        for statement in ast.parse(inspect.getsource(home)).body:
            targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
            names = {
                inner.id for target in targets if target for inner in ast.walk(target) if isinstance(inner, ast.Name)
            }
            found |= {name for name in names if name.isupper() and len(name) > 1 and not name.startswith("_")}
    return found


def test_what_is_said_not_to_be_in_it_is_there() -> None:
    assert NOT_IN_IT.keys() <= _constants()


@pytest.mark.parametrize("name", sorted(_constants() - NOT_IN_IT.keys()))
def test_every_constant_of_the_domain_changes_the_fingerprint(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = [home for home in MODULES if hasattr(home, name)]
    value = getattr(homes[0], name)
    if isinstance(value, dict):
        key = next(iter(value))
        changed = {**value, key: _changed(value[key])}
    else:
        changed = _changed(value)
    for home in homes:
        monkeypatch.setattr(home, name, changed)
    assert declarations().fingerprint != OURS.fingerprint, f"{name} decides a count or stands in NOT_IN_IT"


@pytest.mark.parametrize("name", ["EXPONENTS", "WITHDRAWN_MONTHS"])
def test_every_currency_is_in_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = getattr(module, name)
    for code in listed:
        monkeypatch.setattr(module, name, {**listed, code: _changed(listed[code])})
        assert declarations().fingerprint != OURS.fingerprint, code


def test_the_bounds_of_each_kind_of_number_are_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = importlib.import_module("streams.domain.facts")._NUMBER_LIMITS
    for kind, (least, most) in bounds.items():
        for changed in ((least + 1, most), (least, most - 1)):
            with monkeypatch.context() as patch:
                patch.setitem(bounds, kind, changed)
                assert declarations().fingerprint != OURS.fingerprint, kind

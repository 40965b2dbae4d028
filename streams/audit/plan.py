"""What the ledger says it was counted under: the fingerprint document, read as data.

The audit takes rollups, limits, settle and horizon from it: they are what the operator declared. It does not
take from it what a festival's file or ISO 4217 says; those are read again and compared.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from streams.domain.pages import Cursor

FORMAT = 3
WINDOWS_MS = {"second": 1_000, "minute": 60_000, "festival": None}
AHEAD_MS = 5 * 60_000
"""An event's time is no further ahead of its record's (contract 1)."""
PAGE_WINDOWS = {1_000: 300, 60_000: 15}
"""Windows on one page, by their length."""
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")


class UnknownDocumentError(ValueError):
    """The fingerprint document is none this audit understands; the message says why."""


@dataclass(frozen=True, slots=True)
class Measure:
    """The sum over events of `types` of signed fields, or their count without `terms`."""

    name: str
    types: tuple[str, ...]
    terms: tuple[tuple[int, str], ...]
    if_any: tuple[str, ...] = ()
    """Only events in which one of these fields is above 0; empty: all."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A dimension made of two times of an event: whole `unit_ms` between them, all beyond `most` as one."""

    types: tuple[str, ...]
    since: str
    until: str
    unit_ms: int
    most: int


@dataclass(frozen=True, slots=True)
class Distinct:
    """A number of different texts of one field."""

    name: str
    fact: str
    field: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rollup:
    """One table of totals, as declared."""

    name: str
    fact: str
    dimension: str | None
    window_ms: int | None
    """None: the whole festival is one window."""
    currency: str | None
    limit: int
    measures: tuple[Measure, ...]

    def slots(self) -> int:
        """Return how many windows a page holds."""
        return PAGE_WINDOWS[self.window_ms] if self.window_ms else 1

    def narrowed(self, measures: int) -> Rollup:
        """Return the table with its first measures alone."""
        return replace(self, measures=self.measures[:measures])


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything declared."""

    settle_ms: int
    horizon_minutes: int
    currencies: dict[str, tuple[int, int | None]]
    """Digits of the minor unit and the year of withdrawal (None: active), by code."""
    festivals: dict[str, tuple[int, int, frozenset[str]]]
    """Start, end (milliseconds) and facts per festival."""
    rollups: tuple[Rollup, ...]
    derived: dict[str, Derived]
    """Dimensions that no field holds, by name."""
    distincts: tuple[Distinct, ...] = ()
    late: frozenset[str] = frozenset()
    """Festivals that a partition began to count when they may have begun."""

    def facts(self) -> tuple[str, ...]:
        """Return the topics that any rollup reads."""
        return tuple(dict.fromkeys(rollup.fact for rollup in self.rollups))

    def columns(self, fact: str) -> tuple[str, ...]:
        """Return the fields of a topic that its rollups need."""
        mine = [rollup for rollup in self.rollups if rollup.fact == fact]
        names = [name for r in mine for name in (r.dimension, r.currency) if name is not None]
        names += [name for r in mine for measure in r.measures for _, name in measure.terms]
        names += [name for r in mine for measure in r.measures for name in measure.if_any]
        made = [self.derived[name] for name in names if name in self.derived]
        names = [name for name in names if name not in self.derived]
        names += [name for derived in made for name in (derived.since, derived.until)]
        names += [distinct.field for distinct in self.distincts if distinct.fact == fact]
        return tuple(dict.fromkeys(names))


def read_plan(document: bytes) -> Plan:
    """Return the declarations in a fingerprint document; raises `UnknownDocumentError`."""
    try:
        fields = json.loads(document)
        _check_format(fields["format"])
        return Plan(
            settle_ms=fields["settle_ms"],
            horizon_minutes=fields["dedup_horizon_minutes"],
            currencies={code: _currency(currency) for code, currency in fields["currencies"].items()},
            festivals={
                name: (f["start_ms"], f["end_ms"], frozenset(f["facts"])) for name, f in fields["festivals"].items()
            },
            rollups=tuple(_rollup(rollup) for rollup in fields["rollups"]),
            derived={_name(name): _derived(derived) for name, derived in fields.get("derived", {}).items()},
            distincts=tuple(_distinct(distinct) for distinct in fields["distincts"]),
            late=frozenset(fields.get("late", {})),
        )
    except UnknownDocumentError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnknownDocumentError(f"the ledger's fingerprint document is not understood: {error!r}") from error


def plan_of_all(plans: Collection[Plan]) -> Plan | None:
    """Return what all partitions count by; None where their rules differ.

    They may differ in what was declared since: festivals, tables, and measures behind those that a table had.
    """
    festivals = {name: known for plan in plans for name, known in plan.festivals.items()}
    rollups: dict[str, Rollup] = {}
    for rollup in (rollup for plan in plans for rollup in plan.rollups):
        rollups[rollup.name] = max(rollups.get(rollup.name, rollup), rollup, key=lambda one: len(one.measures))
    wholes = [replace(p, festivals=festivals, rollups=tuple(rollups.values()), late=frozenset()) for p in plans]
    is_one = (
        all(whole == wholes[0] for whole in wholes)
        and all(festivals[name] == known for plan in plans for name, known in plan.festivals.items())
        and all(rollups[one.name].narrowed(len(one.measures)) == one for plan in plans for one in plan.rollups)
    )
    return wholes[0] if wholes and is_one else None


def late_in(plans: Mapping[int, Plan], whole: Plan, cursors: Mapping[int, Cursor]) -> dict[str, set[int]]:
    """Return festivals with the partitions that may have counted their records before they knew all there is to tell.

    A partition that lacks something is right for as long as none of its records can belong to the festival.
    """
    late: dict[str, set[int]] = {}
    for part, plan in plans.items():
        widths = {rollup.name: len(rollup.measures) for rollup in plan.rollups}
        widened = {rollup.fact for rollup in whole.rollups if len(rollup.measures) > widths.get(rollup.name, 0)}
        for festival, (start_ms, _, facts) in whole.festivals.items():
            if festival in plan.festivals and (festival in plan.late or widened.isdisjoint(facts)):
                is_late = festival in plan.late
            else:
                times = cursors[part].stream_times_ms.values() if part in cursors else ()
                is_late = any(start_ms <= time_ms + AHEAD_MS for time_ms in times)
            if is_late:
                late.setdefault(festival, set()).add(part)
    return late


def _check_format(found: object) -> None:
    if found != FORMAT:
        raise UnknownDocumentError(f"the ledger has format {found}, this version audits format {FORMAT}")


def _rollup(fields: dict[str, Any]) -> Rollup:
    return Rollup(
        name=_name(fields["name"]),
        fact=_name(fields["fact"]),
        dimension=_name(fields["dimension"]) if fields["dimension"] is not None else None,
        window_ms=WINDOWS_MS[fields["window"]],
        currency=_name(fields["currency"]) if fields["currency"] is not None else None,
        limit=int(fields["limit"]),
        measures=tuple(_measure(measure) for measure in fields["measures"]),
    )


def _currency(fields: dict[str, Any]) -> tuple[int, int | None]:
    month = fields["withdrawn"]
    return int(fields["digits"]), None if month is None else int(month[:4])


def _derived(fields: dict[str, Any]) -> Derived:
    return Derived(
        types=tuple(_name(t) for t in fields["types"]),
        since=_name(fields["since"]),
        until=_name(fields["until"]),
        unit_ms=int(fields["unit_ms"]),
        most=int(fields["most"]),
    )


def _distinct(fields: dict[str, Any]) -> Distinct:
    types = tuple(_name(text) for text in fields["types"])
    return Distinct(_name(fields["name"]), _name(fields["fact"]), _name(fields["field"]), types)


def _measure(fields: dict[str, Any]) -> Measure:
    return Measure(
        name=_name(fields["name"]),
        types=tuple(_name(text) for text in fields["types"]),
        terms=tuple((int(sign), _name(field)) for sign, field in fields["terms"]),
        if_any=tuple(_name(field) for field in fields.get("if_any", ())),
    )


def _name(text: str) -> str:
    """Return `text`, which becomes part of SQL; raises ValueError where it is no plain name."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name")
    return text

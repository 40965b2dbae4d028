"""What decides a count, as one value, and its fingerprint in the ledger.

Two workers with equal fingerprints count the same log to the same ledger. Whatever is only read with a total
(rates, milestones, bounds, names) is not part of it and free to change.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from streams.domain import limits, pages, rollups, sketches
from streams.domain.built_in import ROLLUPS
from streams.domain.currencies import EXPONENTS, WITHDRAWN_MONTHS
from streams.domain.declared_since import known_of, missing_declarations, missing_festivals, sizes_of, widened_facts
from streams.domain.differences import differences
from streams.domain.facts import DERIVED, FACTS, FLAG_TEXTS, REQUIRED, Field
from streams.domain.rollups import Rollup, Window
from streams.domain.sketches import DISTINCTS, Distinct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.facts import Derived, Fact
    from streams.domain.festivals import Festival

FORMAT = 3
"""The format of the ledger's pages and of the fingerprint; a worker refuses another one."""


class FingerprintError(Exception):
    """The ledger was counted under other declarations; the message names the differences."""


@dataclass(frozen=True)
class Declarations:
    """Festivals, rollups and limits that a count is made under."""

    festivals: Mapping[str, Festival]
    settle_ms: int
    dedup_horizon_minutes: int
    rollups: tuple[Rollup, ...] = ROLLUPS
    distincts: tuple[Distinct, ...] = DISTINCTS
    facts: Mapping[str, Fact] = field(default_factory=lambda: FACTS)
    derived: Mapping[str, Derived] = field(default_factory=lambda: DERIVED)

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the source topics that some rollup counts, in the order of the facts."""
        counted = {rollup.fact for rollup in self.rollups}
        return tuple(topic for topic in self.facts if topic in counted)

    def document(self) -> dict[str, Any]:
        """Return everything that decides a count, as JSON values: the festivals each under its id, the rest common.

        Every attribute of a declaration goes in, whatever it is called: one that is added is part of it by itself.
        """
        return {
            "format": FORMAT,
            "settle_ms": self.settle_ms,
            "dedup_horizon_minutes": self.dedup_horizon_minutes,
            "limits": {name.lower(): value for name, value in sorted(vars(limits).items()) if name.isupper()},
            "currencies": {
                code: {"digits": digits, "withdrawn": WITHDRAWN_MONTHS.get(code)} for code, digits in EXPONENTS.items()
            },
            "layout": _layout(),
            "facts": {topic: _described(self.facts[topic]) for topic in self.topics},
            "derived": {
                name: _described(derived)
                for name, derived in self.derived.items()
                if any(rollup.dimension == name for rollup in self.rollups)
            },
            "distincts": _described(self.distincts),
            "rollups": _described(self.rollups),
            "festivals": {f.id: festival_document(f) for f in self.festivals.values()},
        }

    @cached_property
    def fingerprint(self) -> bytes:
        """Return the document as it stands in the ledger (JSON, sorted keys)."""
        return orjson.dumps(self.document(), option=orjson.OPT_SORT_KEYS)

    def read_back(self) -> dict[str, Any]:
        """Return the document as somebody reads it who finds it in the ledger."""
        document: dict[str, Any] = orjson.loads(self.fingerprint)
        return document

    def check(self, theirs: Mapping[str, Any]) -> None:
        """Raise `FingerprintError`, naming each difference on a line, where what a ledger counts is not counted here.

        What was declared since is no difference: a festival, a dimension, an amount behind those there are.
        """
        if theirs["format"] != FORMAT:
            raise FingerprintError(
                f"the ledger was counted by another version: its format is {theirs['format']}, this version counts "
                f"format {FORMAT}. Go on with the version that counted, or count again with `festival recount`"
            )
        if missing := missing_festivals(theirs, self.festivals):
            raise FingerprintError(
                "\n".join(f"festival {name}: the ledger counts it, and no file here declares it" for name in missing)
                + "\nA festival is never removed. Put its file into the folder of --festivals"
            )
        if missing := missing_declarations(theirs, self.rollups):
            raise FingerprintError(
                "\n".join(f"{what}: the ledger counts it, and nothing here declares it" for what in missing)
                + "\nPut it into the file of --declarations, or count again without it with `festival recount`"
            )
        if told := differences(_counted(theirs), known_of(self.read_back(), theirs)):
            raise FingerprintError(
                "the ledger was counted under other declarations:\n"
                + "\n".join(told)
                + "\nPut the old ones back, or count again under the new ones with `festival recount`"
            )

    def adopted(self, fingerprint: bytes, positions: Mapping[str, int], newest_ms: int | None) -> bytes:
        """Return the fingerprint of a ledger that goes on under these declarations. Raises `FingerprintError`.

        It stands at `positions`, and has seen no record that is newer than `newest_ms`. A festival that may have begun
        by then is late where the ledger did not know all there is to tell of it: it is counted from these positions on.
        """
        if fingerprint == self.fingerprint:
            return fingerprint
        theirs = orjson.loads(fingerprint)
        self.check(theirs)
        late, widened = dict(theirs.get(LATE_FESTIVALS, {})), widened_facts(self.rollups, sizes_of(theirs))
        for festival in self.festivals.values():
            is_known = festival.id in theirs["festivals"]
            topics = [topic for topic in festival.facts if not is_known or topic in widened]
            if topics and may_have_begun(festival.start_ms, newest_ms):
                since = {topic: positions[topic] for topic in topics if topic in positions}
                late[festival.id] = {**late.get(festival.id, {}), **since}
        if not late:
            return self.fingerprint
        return orjson.dumps({**self.document(), LATE_FESTIVALS: late}, option=orjson.OPT_SORT_KEYS)


LATE_FESTIVALS = "late"
"""Key of a fingerprint: festivals that a ledger began to count, or something of them, when they may have begun, each
with the positions."""


def may_have_begun(start_ms: int, newest_ms: int | None) -> bool:
    """Return whether a record up to this record time may belong to a festival: none has an event far ahead of it."""
    return newest_ms is not None and start_ms <= newest_ms + limits.FUTURE_LIMIT_MS


def _counted(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a fingerprint counts, whenever that began."""
    return {name: value for name, value in fingerprint.items() if name != LATE_FESTIVALS}


def festival_document(festival: Festival) -> dict[str, Any]:
    """Return what decides the count of one festival; all else of its file is read with its totals."""
    return {"start_ms": festival.start_ms, "end_ms": festival.end_ms, "facts": list(festival.facts)}


def _layout() -> dict[str, Any]:
    """Return how cells lie in pages, and the texts that rows of our own have."""
    return {
        "windows": {
            window.value: {"window_ms": rollups.WINDOW_MS.get(window), "page_ms": rollups.PAGE_MS.get(window)}
            for window in Window
        },
        "groups_per_page": rollups.GROUPS_PER_PAGE,
        "high_shift": pages.HIGH_SHIFT,
        "lg_registers": sketches.LG_REGISTERS,
        "other": rollups.OTHER,
        "none": rollups.NONE,
        "flags": [FLAG_TEXTS[False], FLAG_TEXTS[True]],
    }


def _described(value: Any) -> Any:  # noqa: ANN401 - declarations of any kind in, JSON values out
    """Return a declaration with all its attributes; what need not be given has a default, null is none."""
    if is_dataclass(value):
        described = {attribute.name: _described(getattr(value, attribute.name)) for attribute in fields(value)}
        return described | {"limits": _described(value.number_limits())} if isinstance(value, Field) else described
    if isinstance(value, tuple):
        return [_described(item) for item in value]
    if isinstance(value, Enum):
        return value.name.lower()
    assert value is REQUIRED or value is None or isinstance(value, str | int), value
    return None if value is REQUIRED else value

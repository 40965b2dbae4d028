"""A map tried on records: what each would become, with sums to compare. Nothing is sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from streams.bridge.outcomes import Outcome, RejectedError
from streams.bridge.plan import Changes
from streams.bridge.rules import known_fields
from streams.bridge.translation import Result, Translation
from streams.domain.facts import Kind
from streams.domain.rejections import BridgeReason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.bridge.map import BridgeMap
    from streams.bridge.records import Record
    from streams.bridge.schemas import Schemas
    from streams.bridge.sources import Source
    from streams.mapping.hashing import Hash

RESULTS_SHOWN = 1_000


class Trial:
    """Call order: `take` record by record, in order, then `document`."""

    def __init__(
        self,
        bridge_map: BridgeMap,
        schemas: Schemas,
        hashing: Hash | None = None,
        look_up: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        """`look_up` asks the registry for a schema that is not known yet, and may raise what that raises."""
        self._map = bridge_map
        self._look_up = look_up
        self._translations = {s.topic: Translation(s, schemas, hashing) for s in bridge_map.sources}
        self._changes: defaultdict[tuple[str, int], Changes] = defaultdict(Changes)
        self._tallies = {source.topic: _Tally(source) for source in bridge_map.sources}
        self._results: list[dict[str, Any]] = []

    async def take(self, record: Record, now_ms: int) -> Result:
        """Translate one record, as of `now_ms` or its own time, whichever is later."""
        translation = self._translations[record.topic]
        changes = self._changes[record.topic, record.partition]
        at_ms = max(now_ms, record.record_time_ms)
        found = translation.translate([record], changes, at_ms)
        if found.needs is not None and self._look_up is not None:
            await self._look_up(found.needs)
            found = translation.translate([record], changes, at_ms)
        result = found.results[0] if found.results else _waiting(found.needs or "")
        self._tallies[record.topic].take(result)
        if len(self._results) < RESULTS_SHOWN:
            self._results.append(_shown(record, result))
        return result

    def document(self) -> dict[str, Any]:
        """Return what was found, as `--json` has it."""
        tallies = list(self._tallies.values())
        outcomes = sum((tally.outcomes for tally in tallies), Counter[str]())
        return {
            "map": self._map.name,
            "digest": self._map.digest,
            "records": outcomes.total(),
            **{str(outcome): outcomes[outcome] for outcome in Outcome},
            "events": sum(tally.types.total() for tally in tallies),
            "sources": [tally.document() for tally in tallies],
            "results": self._results,
        }


class _Tally:
    """What became of the records of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.outcomes: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._sums: dict[str, dict[str, Counter[str]]] = {}
        known = known_fields(source.fact)
        self._money = {f.name: known[f.name].currency for f in source.fact.fields if f.kind is Kind.MONEY}

    def take(self, result: Result) -> None:
        self.outcomes[result.outcome] += 1
        if result.rejection is not None:
            self._reasons[result.rejection.reason] += 1
        for event in result.events:
            kind = event.fields["type"]
            self.types[kind] += 1
            for name, by in self._money.items():
                if name in event.fields:
                    by_currency = self._sums.setdefault(kind, {})
                    by_currency.setdefault(event.fields[by], Counter())[name] += event.fields[name]

    def document(self) -> dict[str, Any]:
        return {
            "topic": self._source.topic,
            "to": self._source.to,
            "records": self.outcomes.total(),
            **{str(outcome): self.outcomes[outcome] for outcome in Outcome},
            "types": dict(self.types),
            "reasons": dict(self._reasons),
            "sums": {
                kind: {code: dict(sums) for code, sums in by_currency.items()}
                for kind, by_currency in self._sums.items()
            },
        }


def _waiting(schema: str) -> Result:
    """Return what is told of a record that a bridge would wait for."""
    detail = f"the registry does not know schema {schema}: a bridge waits here until it does"
    return Result(Outcome.REJECTED, rejection=RejectedError(BridgeReason.UNKNOWN_SCHEMA, None, detail))


def _shown(record: Record, result: Result) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "outcome": str(result.outcome),
    }
    if result.rejection is not None:
        why = result.rejection
        return {**shown, "reason": why.reason, "path": why.path, "detail": why.detail}
    if result.outcome is Outcome.IGNORED:
        return {**shown, "rule": result.rule}
    return {**shown, "events": [event.fields for event in result.events]}

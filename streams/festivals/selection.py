"""Which festival is meant: the one named, or the one that people look at now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streams.domain.festivals import Festival


def choose_festival(
    festivals: Mapping[str, Festival], named: str | None, with_data: Collection[str], now_ms: int
) -> Festival:
    """Return the festival of that id; without one the running one, else the latest that has data, else the latest.

    A retired one is meant by its id alone. Raises `UsageError` for an unknown id, listing the known ones.
    """
    if named is not None:
        return named_festival(festivals, named)
    if not festivals:
        raise UsageError("festival: none is known; name a directory of festival files with --festivals DIR")
    shown = in_service(festivals.values())
    if not shown:
        raise UsageError(f"festival: all are retired; name one of {', '.join(sorted(festivals))}")
    running = [f for f in shown if f.start_ms <= now_ms < f.end_ms]
    counted = [f for f in shown if f.id in with_data]
    return max(running or counted or shown, key=lambda f: (f.start_ms, "orders" in f.facts, f.id))


def in_service(festivals: Iterable[Festival]) -> list[Festival]:
    """Return the festivals that are not retired."""
    return [festival for festival in festivals if not festival.retired]


def coming_festival(festivals: Mapping[str, Festival], now_ms: int) -> Festival | None:
    """Return the festival that runs or is the next to begin, None where all are over."""
    left = [festival for festival in festivals.values() if festival.end_ms > now_ms]
    return min(left, key=lambda festival: festival.start_ms, default=None)


def named_festival(festivals: Mapping[str, Festival], named: str) -> Festival:
    """Return the festival of that id; raises `UsageError` for an unknown one, listing the known ones."""
    if named not in festivals:
        known = ", ".join(sorted(festivals))
        raise UsageError(f"festival {named!r} is not known; there are {known} (others come with --festivals DIR)")
    return festivals[named]

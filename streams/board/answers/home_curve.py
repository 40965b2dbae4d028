"""The gross over the day in the home currency, of all partitions: what milestones, pace and forecast are read from."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from streams.board.answers.home_amounts import HomeAmount, home_amount
from streams.board.answers.series import MONEY, per_second, windows_of
from streams.board.view.tables import exact_cumulative

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival

_SECOND_MS = 1_000


class HomeCurve:
    """The running gross of a snapshot, each currency's running total converted and rounded once.

    Each currency only rises, and so its conversion. Where a rate is missing all amounts are lower bounds.
    """

    def __init__(self, snapshot: Snapshot, festival: Festival) -> None:
        """Read the seconds of every currency; `festival` is the one that was counted."""
        self._festival = festival
        self.seconds = windows_of(festival)
        table = snapshot.table(festival.id, MONEY["gross"].rollup)
        self._running = {
            currency: exact_cumulative(per_second(snapshot, festival, MONEY["gross"], currency))
            for currency in sorted({group[-1] for group in table.totals})
        }

    def before(self, second: int) -> HomeAmount:
        """Return the gross of [start, start + `second` seconds)."""
        if second <= 0:
            return HomeAmount(0, ())
        last = min(second, self.seconds) - 1
        return home_amount(self._festival, {currency: int(sums[last]) for currency, sums in self._running.items()})

    def reached_ms(self, amount_minor: int, seconds: int | None = None) -> int | None:
        """Return the event time by which the gross was `amount_minor`, None where it was not (in the first `seconds`).

        That is the end of the second that crossed it: as published times are, "10 billion after 96 seconds".
        """
        last = self.seconds if seconds is None else seconds
        second = bisect_left(range(last + 1), amount_minor, key=lambda s: self.before(s).amount_minor)
        return self._festival.start_ms + second * _SECOND_MS if second <= last else None

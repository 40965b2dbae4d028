"""A counted festival as the last edition of the next one: `[previous]` of a festival file, out of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.board.answers.home_curve import HomeCurve
from streams.board.answers.totals import totals_of
from streams.board.answers.values import known
from streams.errors import AnswerNo
from streams.festivals.draft import Edition

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival
    from streams.engine.judgement import Judgement

_MINUTE = 60


def edition_of(snapshot: Snapshot, festival: Festival, judgement: Judgement, now_ms: int) -> Edition:
    """Return the edition that was counted.

    Raises `AnswerNo` where the next edition would be compared with a wrong number: the festival is not over, not
    counted or not complete, has no orders, or a currency has no rate.
    """
    totals = totals_of(snapshot, festival, judgement=judgement, has_story=False)
    problems = []
    if not totals.counted:
        problems.append(f"the ledger does not count {festival.id}")
    elif "orders" not in festival.facts:
        problems.append(f"{festival.id} counts no orders, so it has no total to compare with")
    if festival.end_ms > now_ms:
        problems.append(f"{festival.id} is not over yet")
    if totals.counted and not totals.complete:
        held = "".join(f"; partition {one.partition} is held ({one.reason})" for one in totals.held)
        problems.append(f"the totals of {festival.id} are not complete{held}: `festival totals` says why")
    if totals.home.missing:
        missing = ", ".join(totals.home.missing)
        problems.append(f"{festival.id} has no rate for {missing}: add it to its file, so that its total is no bound")
    if problems:
        raise AnswerNo("\n".join(problems))
    curve = HomeCurve(snapshot, snapshot.as_counted(festival))
    minutes = range(_MINUTE, curve.seconds + 1, _MINUTE)
    points = tuple((second, curve.before(second).amount_minor) for second in minutes)
    before_minor = None if festival.previous is None else festival.previous.total_minor
    return Edition(festival.name, points[-1][1], known(totals.orders), before_minor or None, points)

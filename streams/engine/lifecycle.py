"""The life of a partition as a table: all states, what may come in each, what is done then, and where that may end.

`streams.engine.tenure` does what stands here, the diagram in docs/architecture.md is made of it. A pair of state and
signal that is not in the table cannot come.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from streams.engine import signals as sig

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """Where a tenure stands."""

    IDLE = "idle"
    """Not this worker's at the moment; a ledger may be kept in case that it comes back."""
    SURVEYING = "surveying"
    """The source topics are looked at: can the partition be counted at all?"""
    FENCING = "fencing"
    RESTORING = "restoring"
    PLACING = "placing"
    """The ledger is there, and is compared with the logs."""
    COUNTING = "counting"
    CUTTING = "cutting"
    """Counting, while a checkpoint is under way."""
    LEAVING = "leaving"
    """Nothing more is counted; the last checkpoint is under way."""
    WAITING = "waiting"
    """Something failed; the partition is taken over afresh in a moment."""
    HELD = "held"
    """Somebody must act: going on would be guessing."""
    ENDED = "ended"


COUNTS = frozenset({State.COUNTING, State.CUTTING})
"""In these batches are taken."""


class Transition(NamedTuple):
    """What a signal does in a state, as a method of `Tenure`, and in which states that may end."""

    act: str
    ends: frozenset[State]


STAY = "stay"
Row = dict[type[sig.Signal], Transition]


def _to(act: str, *ends: State) -> Transition:
    return Transition(act, frozenset(ends))


_S = State
_GIVE_UP: Row = {
    sig.Refused: _to("refused", _S.WAITING, _S.ENDED),
    sig.Failed: _to("failed", _S.WAITING, _S.ENDED),
    sig.Unreadable: _to("unreadable", _S.HELD),
}


def _counts(here: State, *ends: State) -> Row:
    """Return what comes in a state that counts; a verdict may lead to `ends`."""
    return {
        sig.Looked: _to("look", here),
        sig.Released: _to("released", here),
        sig.FetchFailed: _to("fetch_failed", here, *ends),
        sig.Surveyed: _to("examine", here, State.HELD, *ends),
        sig.Unseen: _to("unseen", here),
        sig.Compared: _to("compare", here, State.HELD, *ends),
        sig.Failed: _to("failed", _S.WAITING, _S.ENDED),
    }


_NAMED: dict[State, Row] = {
    _S.IDLE: {
        sig.Assigned: _to("take", _S.SURVEYING, _S.PLACING),
        sig.Revoked: _to(STAY, _S.IDLE),
        sig.Failed: _to(STAY, _S.IDLE),
        sig.Dismissed: _to("dismiss", _S.ENDED),
    },
    _S.SURVEYING: {
        sig.Surveyed: _to("survey", _S.SURVEYING, _S.FENCING, _S.HELD),
        sig.Woken: _to("lack", _S.HELD),
        sig.Unseen: _to("failed", _S.WAITING, _S.ENDED),
        sig.Revoked: _to("break_off", _S.IDLE),
    },
    _S.FENCING: {
        **_GIVE_UP,
        sig.Fenced: _to("restore", _S.RESTORING),
        sig.Revoked: _to("break_off", _S.IDLE),
    },
    _S.RESTORING: {
        **_GIVE_UP,
        sig.ReadBack: _to("read_back", _S.PLACING, _S.HELD, _S.ENDED),
        sig.Revoked: _to("break_off", _S.IDLE),
    },
    _S.PLACING: {
        sig.Surveyed: _to("start", _S.PLACING, _S.CUTTING, _S.COUNTING, _S.HELD, _S.ENDED),
        sig.Woken: _to("place", _S.PLACING),
        sig.Unseen: _to("failed", _S.WAITING, _S.ENDED),
        sig.Revoked: _to("let_go", _S.IDLE),
    },
    _S.COUNTING: {
        **_counts(_S.COUNTING, _S.LEAVING, _S.HELD, _S.ENDED),
        sig.Delivered: _to("apply", _S.COUNTING, _S.CUTTING, _S.ENDED),
        sig.Woken: _to("wake", _S.COUNTING, _S.CUTTING, _S.ENDED),
        sig.Revoked: _to("revoke", _S.LEAVING, _S.IDLE, _S.ENDED),
    },
    _S.CUTTING: {
        **_counts(_S.CUTTING, _S.LEAVING),
        sig.Delivered: _to("apply", _S.CUTTING, _S.ENDED),
        sig.Woken: _to("wake", _S.CUTTING),
        sig.Revoked: _to("revoke", _S.LEAVING),
        sig.Committed: _to("committed", _S.COUNTING, _S.CUTTING, _S.ENDED),
        sig.Refused: _to("refused", _S.WAITING, _S.ENDED),
    },
    _S.LEAVING: {
        sig.Committed: _to("last_committed", _S.LEAVING, _S.IDLE, _S.HELD, _S.ENDED),
        sig.Refused: _to("refused", _S.WAITING, _S.IDLE, _S.ENDED),
        sig.Failed: _to("failed", _S.WAITING, _S.IDLE, _S.ENDED),
        sig.Woken: _to("break_off", _S.IDLE),
        sig.Revoked: _to("revoke", _S.LEAVING),
    },
    _S.WAITING: {
        sig.Woken: _to("begin", _S.SURVEYING),
        sig.Revoked: _to("break_off", _S.IDLE),
    },
    _S.HELD: {
        **dict.fromkeys(
            (sig.Compared, sig.Noted, sig.Refused, sig.Unreadable, sig.Failed, sig.Woken), _to("stand", _S.HELD)
        ),
        sig.Revoked: _to("break_off", _S.IDLE),
    },
    _S.ENDED: dict.fromkeys((sig.Assigned, sig.Revoked, sig.Dismissed, sig.Failed, sig.Broken), _to(STAY, _S.ENDED)),
}
NOISE = (
    *(sig.Compared, sig.Delivered, sig.FetchFailed, sig.Looked),
    *(sig.Released, sig.Surveyed, sig.Unseen, sig.Woken),
)
"""May come in any state and does nothing where it is not named: the source does not know yet that nothing is wanted, a
look or a timer was under way."""
TABLE: Mapping[State, Row] = {
    state: {**dict.fromkeys(NOISE, _to(STAY, state)), sig.Broken: _to("end", State.ENDED), **row}
    for state, row in _NAMED.items()
}

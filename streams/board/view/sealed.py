"""A sealed festival as a committed state: what is asked of a ledger can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streams.board.view.committed_view import CommittedView, Seal

if TYPE_CHECKING:
    from streams.board.view.committed_view import Snapshot
    from streams.domain.festivals import Festival
    from streams.engine.judgement import Judgement
    from streams.engine.sealed.contents import Sealed


@dataclass(frozen=True, slots=True)
class SealedState:
    """What a sealed file shows."""

    sealed: Sealed
    snapshot: Snapshot
    judgement: Judgement
    """As it was when it was sealed."""
    festival: Festival


def read_sealed(sealed: Sealed) -> SealedState:
    """Return the state in a sealed file; raises `SealError` where a member cannot be read."""
    view = CommittedView()
    view.feed(sealed.delta())
    header = sealed.header
    seal = Seal(sealed.digest, header.sealed_ms, header.complete, header.exact)
    return SealedState(sealed, replace(view.snapshot(), seal=seal), header.judgement, sealed.festival)

"""`--sealed FILE`: what commands read in place of a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.board.view.sealed import SealedState, read_sealed
from streams.cli.committed import Committed
from streams.engine.sealed.container import SealError
from streams.errors import UsageError
from streams.festivals.selection import named_festival
from streams.sealed_files import read_sealed_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.domain.festivals import Festival


class _SealedFile(click.ParamType):
    name = "sealed"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,  # noqa: ARG002 - click's signature
    ) -> SealedState:
        """Return what the file holds; raises `UsageError` where it is no sealed festival, or not whole."""
        return value if isinstance(value, SealedState) else read_sealed_state(Path(value))


def read_sealed_state(path: Path) -> SealedState:
    """Return what a sealed file shows; raises `UsageError` where it is none, or not as it was sealed."""
    try:
        return read_sealed(read_sealed_file(path))
    except SealError as error:
        raise UsageError(f"{path}: {error}") from error


SEALED = _SealedFile()
sealed_option = click.option(
    "--sealed", type=SEALED, metavar="FILE", help="Read a sealed festival in place of a ledger; needs no broker."
)


def committed_of(state: SealedState) -> Committed:
    """Return what a ledger's reader would have got."""
    return Committed(state.snapshot, state.judgement, state.sealed.fingerprint, state.sealed.delta())


def known_festivals(state: SealedState | None, known: Mapping[str, Festival], named: str | None) -> dict[str, Festival]:
    """Return the festivals that may be meant: the `known` ones, or the sealed one, as it was when it was sealed.

    Raises `UsageError` where the `named` one is none of them: that is told before anything is read.
    """
    festivals = dict(known) if state is None else {state.festival.id: state.festival}
    if named is not None:
        if state is not None and named not in festivals:
            raise UsageError(f"--festival: {named} is not in the sealed file, {state.festival.id} is")
        named_festival(festivals, named)
    return festivals

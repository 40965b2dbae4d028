"""The table of the life of a partition: whole, used, and drawn in the docs as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from streams.engine import signals as sig
from streams.engine.lifecycle import NOISE, STAY, TABLE, State
from streams.engine.tenure import Tenure

ARCHITECTURE = Path(__file__).resolve().parents[3] / "docs" / "architecture.md"


def diagram() -> str:
    """Return the table as a Mermaid state diagram, without what changes nothing and without broken programs."""
    lines = ["stateDiagram-v2", "    [*] --> idle"]
    for state, row in TABLE.items():
        arrows: dict[State, list[str]] = {}
        for signal, transition in row.items():
            for end in transition.ends - {state}:
                if signal is not sig.Broken:
                    arrows.setdefault(end, []).append(re.sub(r"(?<!^)(?=[A-Z])", " ", signal.__name__).lower())
        lines += [f"    {state} --> {end}: {', '.join(sorted(arrows[end]))}" for end in State if end in arrows]
    return "\n".join([*lines, "    ended --> [*]"])


def test_every_state_has_a_row_and_every_signal_a_place() -> None:
    """A state or a signal more wants its transitions."""
    assert list(TABLE) == list(State)
    assert {signal for row in TABLE.values() for signal in row} == set(get_args(sig.Signal))


def test_what_the_table_names_is_what_a_tenure_can_do() -> None:
    """No method is missing, none is left over."""
    named = {f"_on_{transition.act}" for row in TABLE.values() for transition in row.values()}
    assert named == {name for name in vars(Tenure) if name.startswith("_on_")}


def test_what_is_ignored_changes_nothing() -> None:
    """And noise may come at any time."""
    for state, row in TABLE.items():
        assert set(NOISE) <= row.keys()
        assert all(transition.ends == {state} for transition in row.values() if transition.act == STAY)


def test_every_state_can_be_reached_and_left() -> None:
    """But the last one."""
    reached = {end for state, row in TABLE.items() for transition in row.values() for end in transition.ends - {state}}
    assert reached == set(State)
    assert [state for state, row in TABLE.items() if all(t.ends == {state} for t in row.values())] == [State.ENDED]


def test_the_diagram_in_the_docs_is_the_table() -> None:
    """Write it anew where it is not: it is `diagram()` between two lines of backticks."""
    assert f"```mermaid\n{diagram()}\n```" in ARCHITECTURE.read_text(encoding="utf-8")

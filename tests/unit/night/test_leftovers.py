"""Topics that a rehearsal left behind: which they are, and what is said of them."""

from __future__ import annotations

from streams.night.leftovers import rehearsals, sentences
from streams.settings import Settings

NAME = "eu-rehearsal.20261126T200000."


def test_only_topics_of_a_rehearsal_of_this_prefix_are_leftovers() -> None:
    ours = [f"{NAME}festival.ledger", f"{NAME}orders"]
    others = ["eu-orders", "eu-rehearsal.orders", "rehearsal.20261126T200000.orders", "eu-rehearsal.20261126T200000."]
    assert rehearsals("eu-", [*reversed(ours), *others]) == {NAME: ours}
    assert rehearsals("", others) == {"rehearsal.20261126T200000.": ["rehearsal.20261126T200000.orders"]}


def test_a_sentence_has_the_command_that_removes_them() -> None:
    (told,) = sentences(Settings(broker="kafka:9092", prefix="eu-"), {NAME: ["a", "b"]})
    assert told.startswith(f"2 topics begin with {NAME}")
    assert told.endswith(f"festival rehearse --broker kafka:9092 --prefix eu- --remove {NAME}")
    (told,) = sentences(Settings(broker="kafka:9092"), {"rehearsal.1.": ["a"]})
    assert told.endswith("festival rehearse --broker kafka:9092 --remove rehearsal.1.")

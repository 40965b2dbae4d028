"""Columns of texts as codes of a vocabulary."""

from __future__ import annotations

from streams.domain.texts import Vocabulary


def test_a_question_is_asked_once_per_text_and_never_of_more_texts_than_there_are_events() -> None:
    vocabulary = Vocabulary()
    vocabulary.encode([f"m{n}" for n in range(1_000)])
    column = vocabulary.encode(["m7", "m3", "m7", "new"])
    asked: list[str] = []

    def is_meant(text: str) -> bool:
        asked.append(text)
        return text in {"m7", "new"}

    assert column.where(is_meant).tolist() == [True, False, True, True]
    assert sorted(asked) == ["m3", "m7", "new"]


def test_the_texts_that_appear_come_in_the_order_of_the_events() -> None:
    vocabulary = Vocabulary()
    vocabulary.encode(["a", "b", "c"])
    column = vocabulary.encode(["c", "b", "c", "d"])
    assert column.appearing() == ["c", "b", "d"]
    assert column.only(column.where("c".__ne__)).appearing() == ["b", "d"]

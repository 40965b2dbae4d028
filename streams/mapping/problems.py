"""What can be wrong with a value, and with a mapping: every problem is a sentence that says what would be right."""

from __future__ import annotations

from enum import StrEnum

SHOWN_LENGTH = 60


class Problem(StrEnum):
    """Why a row cannot be read; a row that can, but is no valid event, has a reason of `streams.domain.rejections`."""

    UNREADABLE = "unreadable"
    OPEN_QUOTE = "open_quote"
    NOT_UTF8 = "not_utf8"
    MISSING_FIELD = "missing_field"
    UNKNOWN_VALUE = "unknown_value"
    WRONG_TYPE = "wrong_type"
    BAD_TIME = "bad_time"
    BAD_AMOUNT = "bad_amount"
    BAD_NUMBER = "bad_number"
    OUT_OF_RANGE = "out_of_range"
    DUPLICATE = "duplicate"


class BadValueError(Exception):
    """A value that is not what the mapping says; `reason` counts, `detail` is the sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        """Remember both."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def shown(value: object) -> str:
    """Return a value for a sentence, short."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…"

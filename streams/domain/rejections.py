"""Why a record is set aside: a closed list of reasons, and the record's own sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The closed list: the `reason` header of a rejected record and the label of `streams_rejected_total`."""

    NULL_VALUE = "null_value"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_TYPE = "unknown_type"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CURRENCY = "unknown_currency"
    DISCOUNT_EXCEEDS_AMOUNT = "discount_exceeds_amount"
    TIME_ORDER = "time_order"
    FUTURE_EVENT = "future_event"


class BridgeReason(StrEnum):
    """Reasons that only a bridge rejects for, besides those above."""

    UNREADABLE = "unreadable"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNKNOWN_VALUE = "unknown_value"
    BAD_AMOUNT = "bad_amount"
    BAD_TIME = "bad_time"
    MIXED_CURRENCIES = "mixed_currencies"
    MISSING_BEFORE = "missing_before"
    SECOND_SNAPSHOT = "second_snapshot"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One record's verdict: `detail` says, for the producer's engineer, what was found and what is expected."""

    reason: Reason | BridgeReason
    detail: str

"""Offsets that were used twice: a log lost its tail or was made again; bad records of before are still set aside."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from streams.domain.rejections import Reason, Rejection
from tests.unit.audit.bench import Bench, encode, order

if TYPE_CHECKING:
    from pathlib import Path

    from streams.engine.checkpoint import RejectedRecord

PLACE = ("orders", 0)
FROM = 2
"""Another log from here on."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return two orders and two bad records, good and bad by turns, that were counted."""
    bench = Bench(tmp_path / "audit")
    bench.send(*PLACE, encode(order("a")), b"bad 1", encode(order("b")), b"bad 3")
    bench.commit()
    return bench


def gone(bench: Bench, offset: int) -> RejectedRecord:
    """Return what was set aside of a record that is gone."""
    return dataclasses.replace(
        bench.rejected[0], offset=offset, value=b"gone", rejection=Rejection(Reason.TOO_LARGE, "")
    )


@pytest.mark.parametrize("offset", [2, 3], ids=["a good one stands there now", "another bad one stands there now"])
def test_what_was_set_aside_of_records_that_are_gone_is_no_difference(bench: Bench, offset: int) -> None:
    bench.rejected.append(gone(bench, offset))
    assert not bench.audit(reused={PLACE: FROM}).differences
    assert bench.audit(reused={PLACE: offset + 1}).differences
    assert bench.audit(reused={("orders", 1): 0, ("payments", 0): 0}).differences


def test_the_same_bytes_may_have_been_bad_at_the_same_offset_before(bench: Bench) -> None:
    bench.rejected.append(bench.rejected[1])
    assert not bench.audit(reused={PLACE: FROM}).differences


def test_what_is_bad_now_must_be_set_aside_as_it_is(bench: Bench) -> None:
    """What was set aside of the record before it does not stand in for it."""
    bench.rejected[1] = gone(bench, 3)
    (difference,) = bench.audit(reused={PLACE: FROM}).differences
    assert (difference.measure, difference.where["offset"]) == ("rejected_records", 3)
    assert (difference.ledger, difference.recount) == (0, 1)


def test_before_the_other_log_each_is_set_aside_once(bench: Bench) -> None:
    bench.rejected.append(bench.rejected[0])
    (difference,) = bench.audit(reused={PLACE: FROM}).differences
    assert difference.where["offset"] == 1

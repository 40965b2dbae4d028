"""Rejected records are kept for so long: those that are older may be gone, and all others must be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.configuration import DAY_MS
from streams.kafka.cluster.topic_settings import specs_of
from streams.settings import RETENTION_SLACK_MS, Settings
from tests.unit.audit.bench import RECORD_TIME_MS, Bench, encode, order

if TYPE_CHECKING:
    from pathlib import Path

OLD_MS, YOUNG_MS = RECORD_TIME_MS, RECORD_TIME_MS + 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a ledger that has rejected two records long ago, and one of late."""
    bench = Bench(tmp_path / "audit")
    bench.send("orders", 0, b"{", b"[", encode(order("e1")), at=OLD_MS)
    bench.send("orders", 0, b"null", encode(order("e2")), at=YOUNG_MS)
    bench.commit()
    return bench


def test_what_is_older_than_it_is_kept_may_be_gone_and_is_told(bench: Bench) -> None:
    del bench.rejected[0]
    result = bench.audit(rejected_from_ms=YOUNG_MS)
    assert (result.is_exact, result.rejected_gone) == (True, 1)
    assert result.document()["rejected_gone"] == 1


def test_what_is_younger_must_be_there(bench: Bench) -> None:
    del bench.rejected[2]
    result = bench.audit(rejected_from_ms=YOUNG_MS)
    assert (result.differing, result.rejected_gone) == (1, 0)
    assert result.differences[0].where["problem"] == "not once, not_an_object"


def test_an_old_one_that_is_there_must_be_right(bench: Bench) -> None:
    bench.rejected.append(bench.rejected[1])
    result = bench.audit(rejected_from_ms=YOUNG_MS)
    assert result.differences[0].where == {
        "topic": "orders",
        "partition": 0,
        "offset": 1,
        "problem": "not once, not_json",
    }


def test_without_a_limit_all_of_them_must_be_there(bench: Bench) -> None:
    bench.rejected.clear()
    assert bench.audit().differing == 3


def test_topics_keep_them_as_long_as_the_setting_says() -> None:
    days = 7
    settings = Settings(rejected_retention=days)
    kept = {spec.name: spec.created_with.get("retention.ms") for spec in specs_of(settings) if "rejected" in spec.name}
    assert set(kept.values()) == {str(days * DAY_MS)}
    assert len(kept) == 5
    assert settings.rejected_kept_from_ms(100 * DAY_MS) == 93 * DAY_MS + RETENTION_SLACK_MS

"""A sealed festival is counted again: what is in the file is what the log says, whatever partition it lay in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streams.audit.result import AuditResult
from streams.audit.written import WrittenLedger, read_written
from streams.board.view.committed_view import CommittedView
from streams.domain.built_in import ROLLUPS
from streams.engine.judgement import Judgement
from streams.engine.ledger_view import FollowerDelta
from streams.engine.sealed.container import Members
from streams.engine.sealed.contents import unseal
from streams.festivals import load_festivals
from streams.handover.sealing import Audited, State
from tests.unit.audit.bench import START_MS, Bench, encode, order, payment
from tests.unit.handover.seals import SEALED_MS, sealed_day, with_member

if TYPE_CHECKING:
    from pathlib import Path

DAY = load_festivals()["singles-day-2019"]


def counted(directory: Path) -> Bench:
    """Return a ledger of two partitions that see other merchants first, more of them than are kept apart."""
    few = tuple(replace(rollup, limit=3) if rollup.name == "orders_by_merchant" else rollup for rollup in ROLLUPS)
    bench = Bench(directory, rollups=few)
    for partition in (0, 1):
        names = [f"m{(i + 3 * partition) % 6}" for i in range(40)]
        bench.send(
            "orders",
            partition,
            *(encode(order(f"e{i}", merchant=name, ts=START_MS + i * 700)) for i, name in enumerate(names)),
            encode(order("e3")),
            encode(order("early", ts=START_MS - 1)),
            b"{",
        )
        bench.send("payments", partition, encode(payment("p1")), encode(payment("p2", brand="b2", currency="JPY")))
    bench.commit()
    return bench


def sealed(bench: Bench) -> bytes:
    view = CommittedView()
    view.feed(FollowerDelta("g1", 2, True, bench.pages, bench.cursors()))
    state = State(
        snapshot=view.snapshot(),
        judgement=Judgement(partitions=2, lag_records=0),
        festival=DAY,
        fingerprint=bench.declarations.fingerprint,
        audited=Audited(AuditResult("g1", {}, {}, (DAY.id,)), "", SEALED_MS),
        first_record_ms=None,
        version="1",
    )
    return sealed_day(state)


def written(data: bytes) -> WrittenLedger:
    delta = unseal(data).delta(knows_others=True)
    return read_written("g1", delta.changed_pages, delta.cursors, is_merged=True)


def test_an_honest_file_is_exact(bench_folder: Path) -> None:
    bench = counted(bench_folder)
    assert bench.audit().is_exact, "by partition"
    result = bench.audit(written(sealed(bench)), [DAY.id])
    assert result.differences == []
    assert result.compared_cells > 200
    assert result.totals[DAY.id]["orders"]["CNY"] == 80


@pytest.mark.parametrize(
    ("table", "old", "new", "measure"),
    [
        ("orders_by_merchant", "__other__,CNY,", "__other__,USD,", "orders"),
        ("orders_by_second", "2019-11-10T16:00:03Z,CNY,2,", "2019-11-10T16:00:03Z,CNY,3,", "orders"),
        ("payments_by_method", "alipay,JPY,2,", "alipay,JPY,1,", "captured"),
    ],
)
def test_a_total_that_the_log_does_not_say_is_found(
    bench_folder: Path, table: str, old: str, new: str, measure: str
) -> None:
    bench = counted(bench_folder)
    data = sealed(bench)
    name = f"totals/{table}.csv"
    text = Members(data).read(name).decode()
    assert old in text
    result = bench.audit(written(with_member(data, name, text.replace(old, new, 1).encode())), [DAY.id])
    assert not result.is_exact
    first = next(difference for difference in result.differences if difference.measure == measure)
    assert (first.where["festival"], first.where["rollup"]) == (DAY.id, table)
    assert "partition" not in first.where, "the file does not tell partitions apart"


def test_a_position_that_was_changed_is_found(bench_folder: Path) -> None:
    bench = counted(bench_folder)
    data = sealed(bench)
    cursors = json.loads(Members(data).read("cursors.json"))
    cursors["0"]["outcomes"]["orders"]["counted"] += 1
    result = bench.audit(written(with_member(data, "cursors.json", cursors)), [DAY.id])
    assert [difference.measure for difference in result.differences] == ["counted"]


@pytest.fixture
def bench_folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"

"""The record of the last audit, and how the metrics show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.audit.last_audit import LastAudit, read_record, record_path, write_record
from streams.settings import Settings
from streams.web.process import ProcessFacts

if TYPE_CHECKING:
    from pathlib import Path


def shown(facts: ProcessFacts) -> dict[str, list[tuple[tuple[str, ...], float]]]:
    return {entry.name: read() for entry, read in facts.readers()}


def test_a_record_is_read_as_it_was_written_and_replaced_whole(tmp_path: Path) -> None:
    path = record_path(Settings(data_dir=tmp_path / "new", prefix="rehearsal."))
    assert read_record(path) is None
    for record in (LastAudit(7, {"orders": 1}), LastAudit(1_795_354_069_153, {"orders": 0, "gross_minor": 10**20})):
        write_record(path, record)
        assert read_record(path) == record
    assert [file.name for file in path.parent.iterdir()] == ["rehearsal.audit.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ended_ms": 1, "difference_by_measure": []}', '{"ended_ms": "x"}'])
def test_a_damaged_record_is_an_error_and_not_an_exact_audit(tmp_path: Path, text: str) -> None:
    path = tmp_path / "audit.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        read_record(path)


def test_a_process_shows_its_start_kafkas_answer_and_the_audit_of_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    facts = ProcessFacts(lambda: 2_500, path, started_ms=1_000)
    before = shown(facts)
    for _, memory in before.pop("streams_resident_memory_bytes"):  # Linux tells it, others do not
        assert memory > 10_000_000
    assert before == {
        "streams_start_timestamp_seconds": [((), 1.0)],
        "streams_kafka_contact_timestamp_seconds": [((), 2.5)],
        "streams_clock_offset_seconds": [],
        "streams_audit_difference": [],
        "streams_audit_timestamp_seconds": [],
    }
    write_record(path, LastAudit(4_000, {"orders": 0, "gross_minor": 3}))
    after = shown(facts)
    assert after["streams_audit_difference"] == [(("orders",), 0), (("gross_minor",), 3)]
    assert after["streams_audit_timestamp_seconds"] == [((), 4.0)]
    assert shown(ProcessFacts(started_ms=0))["streams_kafka_contact_timestamp_seconds"] == []

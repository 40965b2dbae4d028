"""Logs: what a line looks like, and that a flood becomes a trickle which says so."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

from streams import log

if TYPE_CHECKING:
    import pytest


def record(name: str, message: str, seconds: float, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": name, "levelno": logging.WARNING, "levelname": "WARNING", "msg": message})
    made.created = seconds
    made.__dict__.update(extra)
    return made


def test_a_text_line_holds_time_level_logger_message_and_fields() -> None:
    line = log.TextFormatter().format(record("festival.worker", "restored", 1573401600.5, partition=3, why="a b"))
    assert line == "2019-11-10T16:00:00.500Z WARNING festival.worker restored partition=3 why='a b'"


def test_a_field_cannot_forge_a_line() -> None:
    line = log.TextFormatter().format(record("festival.worker", "rejected", 0, detail="x\nINFO all is well"))
    assert "\n" not in line


def test_a_json_line_is_one_object_whose_own_keys_no_field_can_take() -> None:
    made = record("festival.worker", "restored", 1573401600.5, partition=3, level="fake", path=io)
    document = json.loads(log.JsonFormatter().format(made))
    assert document["time"] == "2019-11-10T16:00:00.500Z"
    assert (document["level"], document["logger"], document["message"]) == ("warning", "festival.worker", "restored")
    assert document["partition"] == 3
    assert "module" in document["path"]


def test_every_json_line_says_which_worker_of_which_prefix_wrote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_process", {"worker": None, "prefix": ""})
    made = record("festival.worker", "restored", 0, worker="fake")
    document = json.loads(log.JsonFormatter().format(made))
    assert (document["worker"], document["prefix"]) == (None, ""), "before a name is known"
    log.identify(prefix="eu-")
    log.identify(worker="one")
    document = json.loads(log.JsonFormatter().format(made))
    assert (document["worker"], document["prefix"]) == ("one", "eu-")


def test_lists_and_tables_are_short_in_text_and_whole_in_json() -> None:
    fields = {"partitions": [0, 3], "positions": {"orders": 7, "payments": 2}, "missing": []}
    made = record("festival.worker", "restored", 0, **fields)
    assert log.TextFormatter().format(made).endswith("partitions=0,3 positions=orders:7,payments:2 missing=none")
    assert fields.items() <= json.loads(log.JsonFormatter().format(made)).items()


def test_an_exception_comes_with_its_traceback() -> None:
    stream = io.StringIO()
    for fmt in ("text", "json"):
        log.configure("info", fmt, stream)
        try:
            int("why")
        except ValueError:
            logging.getLogger("festival.test").exception("failed")
    text, document = stream.getvalue().split("{", 1)
    assert "ValueError: invalid literal" in text
    assert "ValueError: invalid literal" in json.loads("{" + document)["exception"]


def test_a_library_that_floods_is_cut_to_a_few_lines_per_period_and_the_next_says_how_many() -> None:
    flood = log.FloodFilter()
    passed = [made for i in range(1000) if flood.filter(made := record("aiokafka.conn", "no broker", i / 1000))]
    assert len(passed) == log.BURST
    other = record("aiokafka.conn", "something else", 1)
    assert flood.filter(other)
    later = record("aiokafka.conn", "no broker", log.PERIOD_SECONDS + 1)
    assert flood.filter(later)
    assert log.TextFormatter().format(later).endswith(f"suppressed_lines={1000 - log.BURST}")


def test_our_own_lines_are_never_cut() -> None:
    flood = log.FloodFilter()
    assert all(flood.filter(record("festival.worker", "checkpoint", 0)) for _ in range(100))


def test_the_filter_forgets_kinds_before_it_grows_without_end() -> None:
    flood = log.FloodFilter()
    for i in range(log.KINDS_LIMIT * 2):
        assert flood.filter(record("aiokafka.conn", f"request {i} failed", 0))
    assert len(flood._kinds) <= log.KINDS_LIMIT


def test_a_level_is_kept_and_configuring_again_doubles_nothing() -> None:
    stream = io.StringIO()
    log.configure("warning", "text", stream)
    log.configure("warning", "text", stream)
    logging.getLogger("festival.test").info("silent")
    logging.getLogger("festival.test").warning("heard")
    assert stream.getvalue().count("\n") == 1
    assert "heard" in stream.getvalue()

"""Files of sealed festivals: whole under their name or not there, and never written over another."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from streams.errors import UsageError
from streams.sealed_files import check_place, read_sealed_file, write_sealed_file
from tests.unit.handover.seals import sealed_day

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read_and_nobody_may_change_it(tmp_path: Path) -> None:
    path = tmp_path / "day.zip"
    write_sealed_file(path, sealed_day())
    assert read_sealed_file(path).header.festival == "singles-day-2019"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [file.name for file in tmp_path.iterdir()] == ["day.zip"]


def test_a_file_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "day.zip"
    path.write_text("ours")
    with pytest.raises(UsageError, match=r"day\.zip exists already"):
        write_sealed_file(path, b"theirs")
    assert path.read_text() == "ours"
    with pytest.raises(UsageError, match="nowhere is no directory"):
        check_place(tmp_path / "nowhere" / "day.zip")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"day\.zip cannot be written: No space left on device"):
        write_sealed_file(tmp_path / "day.zip", b"data")
    assert list(tmp_path.iterdir()) == []

"""The address file: found while its broker lives, ignored when it does not or makes no sense."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streams.broker import address

if TYPE_CHECKING:
    from pathlib import Path


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_the_address_is_found_while_its_process_lives(tmp_path: Path) -> None:
    address.announce(tmp_path / "new", "127.0.0.1:9092", os.getpid())
    found = address.running(tmp_path / "new")
    assert found is not None
    assert (found.address, found.pid) == ("127.0.0.1:9092", os.getpid())
    address.announce(tmp_path / "new", "127.0.0.1:9093", ended_process())
    assert address.running(tmp_path / "new") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"address": 1, "pid": 2}', '{"address": "a:1", "pid": -1}'])
def test_a_file_that_makes_no_sense_is_no_broker(tmp_path: Path, content: str) -> None:
    address.address_file(tmp_path).write_text(content, encoding="utf-8")
    assert address.running(tmp_path) is None


def test_a_broker_withdraws_its_own_address_only(tmp_path: Path) -> None:
    address.announce(tmp_path, "127.0.0.1:9092", os.getpid())
    address.withdraw(tmp_path, os.getpid() + 1)
    assert address.running(tmp_path) is not None
    address.withdraw(tmp_path, os.getpid())
    assert address.running(tmp_path) is None
    address.withdraw(tmp_path, os.getpid())

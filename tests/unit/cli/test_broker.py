"""`festival broker`: what it refuses before anything starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from streams.broker import address
from streams.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "broker", ["0.0.0.0:9092", "kafka.example:9092", "[::1]:9092", "127.0.0.1:9092,127.0.0.1:9093"]
)
def test_it_listens_on_loopback_only(broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["broker", "--broker", broker, "--data", str(tmp_path)]) == 2
    assert "loopback only" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_second_one_on_the_same_data_is_told_where_the_first_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address.announce(tmp_path, "127.0.0.1:9099", os.getpid())
    assert run(["broker", "--data", str(tmp_path)]) == 2
    assert "127.0.0.1:9099" in capsys.readouterr().err

"""The claim on a worker's name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from streams.kafka.group.claim import Claim, NameTakenError, claim_name
from streams.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_name_belongs_to_one_worker_at_a_time(tmp_path: Path) -> None:
    """The second is told who has it; released, it is free."""
    claim = Claim(tmp_path, "one")
    with pytest.raises(NameTakenError, match="choose another --name"):
        Claim(tmp_path, "one")
    assert (tmp_path / "one" / "lock").read_text(encoding="utf-8") == f"{os.getpid()}\n"
    claim.release()
    claim.release()
    Claim(tmp_path, "one").release()


def test_the_default_name_is_the_first_free_one_of_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is started again gets the name back, and with it its partitions."""
    monkeypatch.setattr("socket.gethostname", lambda: "büro host")
    settings = Settings(data_dir=tmp_path, web_port=6066)
    first, second = claim_name(settings), claim_name(settings)
    assert (first.name, second.name) == ("b-ro-host-6066", "b-ro-host-6067")
    first.release()
    again = claim_name(settings)
    assert again.name == first.name
    assert again.directory == tmp_path / "workers" / first.name
    again.release()
    second.release()


def test_a_name_that_was_asked_for_is_not_exchanged_for_another(tmp_path: Path) -> None:
    """Exit 2."""
    settings = Settings(data_dir=tmp_path, name="mine")
    claim = claim_name(settings)
    with pytest.raises(NameTakenError) as told:
        claim_name(settings)
    assert told.value.exit_status == 2
    claim.release()

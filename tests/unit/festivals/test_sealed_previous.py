"""`[previous] sealed = "FILE"`: the last edition out of its sealed file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.domain.festivals import FestivalFileError, parse_festival
from streams.errors import UsageError
from streams.festivals import load_festivals
from tests.unit.handover.seals import incomplete, sealed_at, state_of

if TYPE_CHECKING:
    from pathlib import Path

NEXT = 'id = "next"\nstarts = 2020-11-11T00:00:00\ntimezone = "Asia/Shanghai"\n'


def write(folder: Path, previous: str, more: str = "") -> Path:
    (folder / "festivals").mkdir(exist_ok=True)
    (folder / "festivals" / "next.toml").write_text(f"{NEXT}{more}[previous]\n{previous}\n", "utf-8")
    return folder / "festivals"


def test_name_total_and_curve_are_those_that_were_sealed(tmp_path: Path) -> None:
    state = state_of()
    (tmp_path / "years").mkdir()
    sealed_at(tmp_path / "years" / "2019.zip", state)
    previous = load_festivals(write(tmp_path, 'sealed = "../years/2019.zip"'))["next"].previous
    assert previous is not None
    assert (previous.name, previous.total_minor) == (state.festival.name, state.document()["home"]["gross"])
    assert state.festival.previous is not None
    assert previous.before_minor == state.festival.previous.total_minor
    assert previous.curve[-1] == (86_400, previous.total_minor)
    assert len(previous.curve) == 24 * 60


@pytest.mark.parametrize(
    ("previous", "more", "sentence"),
    [
        ('sealed = "whole.zip"\ntotal = "1"', "", "`sealed` says all of it: leave out total"),
        ('sealed = "whole.zip"', 'home_currency = "EUR"\n', "its totals are in CNY, this festival's in EUR"),
        (
            'sealed = "forced.zip"',
            "",
            "forced.zip has no total to compare with: the totals of",
        ),
        ('sealed = "nowhere.zip"', "", "nowhere.zip: cannot be read: No such file"),
        ('sealed = "changed.zip"', "", "changed.zip: it was changed or cut off since it was sealed"),
        ("sealed = 7", "", "expected a text, found 7"),
    ],
)
def test_what_is_no_last_edition_is_refused(tmp_path: Path, previous: str, more: str, sentence: str) -> None:
    folder = write(tmp_path, previous, more)
    data = sealed_at(folder / "whole.zip").read_bytes()
    sealed_at(folder / "forced.zip", incomplete(state_of()))
    (folder / "changed.zip").write_bytes(data[:-1] + b"x")
    with pytest.raises(UsageError) as refused:
        load_festivals(folder)
    assert "next.toml: `previous`: " in str(refused.value)
    assert sentence in str(refused.value)


def test_a_text_that_lies_nowhere_has_no_files_beside_it() -> None:
    with pytest.raises(FestivalFileError, match=r"`sealed`: 2019\.zip is read beside a festival file only"):
        parse_festival(f'{NEXT}[previous]\nsealed = "2019.zip"\n', "stdin")

"""Files that outsiders tried: what each holds is told row by row, and nothing is read that is not there.

`files/` has the inputs as they came; the mappings beside them are theirs too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams.cli.main import run

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = Path(__file__).resolve().parent / "files"
PREAMBLE = 'encoding = "gb18030"\nskip = 9\nuntil = "---"'


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def checked(file: Path, mapping: Path, status: int) -> Any:  # noqa: ANN401 - a JSON document
        assert run(["import", "--check", "--json", "--map", str(mapping), str(file)]) == status
        return json.loads(capsys.readouterr().out)["files"][0]

    return checked


def gross(file: Any) -> int:  # noqa: ANN401 - a JSON document
    found = file["festivals"].get("singles-day-2019", {"money": {"CNY": {"gross": 0}}})
    return int(found["money"]["CNY"]["gross"])


@pytest.mark.parametrize(
    ("name", "mapping", "counts", "bad"),
    [
        ("swallow_min.csv", "plain.toml", (2, 1, 200), {"open_quote": 1}),
        ("swallow.tsv", "plain.toml", (5, 5, 3100), {}),
        ("sciids.csv", "ids.toml", (3, 0, 0), {"wrong_type": 3}),
        ("sciids.csv", "plain.toml", (3, 0, 0), {"wrong_type": 3}),
        ("floatids.parquet", "ids.toml", (3, 0, 0), {"wrong_type": 3}),
        ("compact.csv", "ids.toml", (3, 3, 700), {}),
        ("blankcols.csv", "plain.toml", (1, 1, 1250), {}),
    ],
)
def test_every_row_is_read_as_it_stands_there(
    check: Callable[..., Any], name: str, mapping: str, counts: tuple[int, int, int], bad: dict[str, int]
) -> None:
    file = check(FILES / name, FILES / mapping, 1 if bad else 0)
    assert (file["rows"], file["sent"], gross(file)) == counts
    assert file["bad"] == bad
    if name.endswith("sv"):
        assert file["lines"] == {"header": 1, "rows": file["rows"]}


def test_a_zone_in_a_time_is_honoured(check: Callable[..., Any], tmp_path: Path) -> None:
    file = check(FILES / "zone1.csv", FILES / "base.toml", 0)
    assert (file["sent"], file["festivals"]) == (1, {}), "20:00 UTC is 04:00 of the next day in Shanghai"
    in_time = tmp_path / "in_time.csv"
    in_time.write_text("id,when,amt\n1,2019-11-11 15:59:59 UTC,1.00\n", encoding="utf-8")
    assert gross(check(in_time, FILES / "base.toml", 0)) == 100


def test_a_bill_with_padded_cells_is_filtered_by_what_they_say(check: Callable[..., Any]) -> None:
    file = check(FILES / "alipay_clean.csv", FILES / "alipay.toml", 0)
    assert (file["rows"], file["sent"], file["left_out"], gross(file)) == (3, 2, {"filter": 1}, 106_970)


def test_lines_before_the_header_and_behind_the_rows_are_no_rows(check: Callable[..., Any], tmp_path: Path) -> None:
    mapping = tmp_path / "map.toml"
    text = (FILES / "alipay.toml").read_text(encoding="utf-8").replace('encoding = "gb18030"', PREAMBLE)
    mapping.write_text(text, encoding="utf-8")
    file = check(FILES / "alipay.csv", mapping, 0)
    assert (file["rows"], file["sent"], file["left_out"], gross(file)) == (3, 2, {"filter": 1}, 106_970)
    assert file["lines"] == {"skipped": 9, "header": 1, "rows": 3, "behind": 2}

"""What the demo shows of a totals document."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from streams.cli.ticker import LINE_EVERY_SHOWS, has_display, hours, live_totals, rows_of, sparkline, story_of
from streams.festivals import load_festivals

if TYPE_CHECKING:
    import pytest

DAY = load_festivals()["singles-day-2019"]


def document(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "orders": 1234567,
        "cancelled": 0,
        "money": {"CNY": {"gross": 100, "net": 90, "paid": 80}},
        "payments": {"captured": 1, "failed": 0, "refunded": 0},
        "home": {"currency": "CNY", "gross": 100, "missing": []},
        "duplicates": 0,
        "rejected": 3,
        "late": 0,
        "expired": 0,
        "outside": 0,
        "counted": True,
        "complete": True,
        "lag_records": 0,
    } | changed


def test_what_did_not_happen_is_not_told() -> None:
    rows = dict(rows_of(document(), DAY))
    assert rows["orders"] == "1,234,567"
    assert rows["rejected"] == "3"
    assert "late" not in rows
    assert "gross in CNY" not in rows


def test_a_foreign_currency_without_a_rate_makes_the_home_total_a_lower_bound() -> None:
    money = {"CNY": {"gross": 100}, "USD": {"gross": 7}}
    home = {"currency": "CNY", "gross": 100, "missing": ["USD"]}
    assert dict(rows_of(document(money=money, home=home), DAY))["gross in CNY at least"] == "1.00"


def test_without_a_terminal_there_is_a_line_for_every_few_documents() -> None:
    stream = io.StringIO()
    with live_totals(DAY, stream) as show:
        for shown in range(LINE_EVERY_SHOWS + 1):
            show(document(orders=shown), DAY.start_ms + 3_600_000, "replay done")
        show(document(money={}, lag_records=5, complete=False), None, "")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "orders 0, gross CNY 1.00; festival time 01:00:00; replay done"
    assert [line.split(",")[0] for line in lines] == ["orders 0", f"orders {LINE_EVERY_SHOWS}"]
    with live_totals(DAY, stream) as show:
        show(document(money={}, lag_records=5, complete=False), None, "")
    assert stream.getvalue().splitlines()[-1].endswith("gross CNY 0; 5 records behind, not all partitions counted yet")


def test_a_sparkline_has_a_bar_per_value_and_room_for_the_small_ones() -> None:
    assert sparkline([0, 1, 4, 16, 64]) == " ▁▂▄█"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_day_grows_from_its_beginning_over_its_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    told = document(peak={"second": {"orders": 0, "start_ms": None}}, milestones=[])
    with live_totals(DAY, stream) as show:
        show(told, DAY.start_ms + 3_600_000, "", [9, 4, *[0] * 46])
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).splitlines()
    (bars,), (axis,) = ([line for line in lines if text in line][-1:] for text in ("█", "06:00"))
    assert bars.index("█") == axis.index("00:00")
    assert any("festival time 01:00:00" in line for line in lines)


def test_under_the_bars_stand_their_hours() -> None:
    assert hours(48) == "00:00       06:00       12:00       18:00       "
    assert len(hours(50)) == 50


def test_the_peak_and_the_newest_milestone_are_told_by_the_festivals_own_time() -> None:
    milestones: list[dict[str, Any]] = [
        {"minor": 100_00, "time_ms": DAY.start_ms + 96_000},
        {"minor": 2_000_00, "time_ms": DAY.end_ms},
    ]
    told = document(peak={"second": {"orders": 1_234, "start_ms": DAY.start_ms + 61_000}}, milestones=milestones)
    assert story_of(told, DAY) == [
        ("peak second", "1,234 orders at 00:01:01"),
        ("milestones", "2 of 2, 2,000 CNY at 24:00:00"),
    ]
    milestones[1]["time_ms"] = None
    assert story_of(told, DAY)[1] == ("milestones", "1 of 2, 100 CNY at 00:01:36")


def test_before_the_first_order_there_is_no_story() -> None:
    told = document(peak={"second": {"orders": 0, "start_ms": None}}, milestones=[{"minor": 1, "time_ms": None}])
    assert story_of(told, DAY) == []


def test_a_browser_is_opened_only_where_somebody_would_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_display()

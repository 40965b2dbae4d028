"""What is wrong for as long as it is."""

from __future__ import annotations

from streams.engine.remarks import Remarks


def test_each_remark_is_told_once_when_it_appears_and_once_when_it_has_gone() -> None:
    remarks = Remarks()
    assert remarks.news({}) == ([], [])
    assert remarks.news({"orders": "is 1", "ledger": "is 2"}) == (["is 1", "is 2"], [])
    assert remarks.news({"orders": "is 7", "ledger": "is 2"}) == ([], [])
    assert remarks.news({"ledger": "is 2"}) == ([], ["orders"])
    assert remarks.news({"orders": "is 1"}) == (["is 1"], ["ledger"])

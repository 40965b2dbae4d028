"""The published error of the forecast."""

from pathlib import Path

from streams.board import backtest


def test_the_page_in_docs_is_the_one_the_back_test_writes() -> None:
    page = Path(__file__).parents[3] / "docs" / "forecast.md"
    assert page.read_text("utf-8") == backtest.markdown(), "run: python -m streams.board.backtest > docs/forecast.md"

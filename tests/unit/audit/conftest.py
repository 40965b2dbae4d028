"""Fixtures of the audit's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.audit.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a counter under the built-in declarations."""
    return Bench(tmp_path / "audit")

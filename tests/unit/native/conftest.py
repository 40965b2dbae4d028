"""The tests of the compiled part need it."""

from __future__ import annotations

import pytest

from streams.native import IS_BUILT
from tests.conftest import skip


@pytest.fixture(autouse=True)
def _is_built() -> None:
    if not IS_BUILT:
        skip("the compiled part is not built here: no C compiler, or no headers of Python")

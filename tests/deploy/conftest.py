"""Fixtures of the tests of `deploy/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.errors import UnreachableError
from tests.conftest import skip
from tests.deploy.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package", params=[5, pytest.param(1, marks=pytest.mark.long)], ids="1/{}".format)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a running stage: in CI with all durations a fifth, in the long tests with those of `deploy/`."""
    try:
        with Stage(tmp_path_factory.mktemp("stage"), request.param) as running:
            yield running
    except UnreachableError as error:
        skip(str(error))

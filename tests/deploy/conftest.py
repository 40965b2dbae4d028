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


@pytest.fixture(scope="package")
def bridged(stage: Stage) -> Stage:
    """Return the stage with a bridge on it, which has translated, ignored and rejected something."""
    stage.start_bridge()
    for outcome in ("sent", "ignored", "rejected"):
        query = f'streams_bridge_records_total{{outcome="{outcome}"}} > 0'
        stage.until(lambda query=query: bool(stage.query(query)), f"the bridge is scraped: {query}")  # type: ignore[misc]
    return stage

"""A shop's module with one agent that has nothing to do: what `python -m bench.shop_agent` runs beside the count."""

from __future__ import annotations

from typing import Any

from streams.faust import app


@app.agent(app.topic(f"{app.conf.id}.idle"))
async def idle(stream: Any) -> None:  # noqa: ANN401 - a stream of Faust's
    """Wait for records that never come."""
    async for _ in stream:
        pass

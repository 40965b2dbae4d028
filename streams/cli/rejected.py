"""`festival rejected`: lists rejected records and why."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from streams.audit.set_aside import SetAside, read_set_aside
from streams.cli.options import broker_options, json_option
from streams.engine.topic_names import BRIDGE, SOURCES
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.settings import Settings

SHOWN_BYTES = 80
JSON_BYTES = 1_000


@click.command
@click.option(
    "--topic", "topics", multiple=True, type=click.Choice(SOURCES), help="List those of this topic only; repeatable."
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="List the newest N.")
@click.option("--bridge", "is_bridge", is_flag=True, help="List those that bridges have set aside.")
@click.option("--follow", is_flag=True, help="Go on with new ones until Ctrl-C; with --json one document per line.")
@json_option
@broker_options
def command(
    settings: Settings, topics: Sequence[str], limit: int, *, is_bridge: bool, follow: bool, as_json: bool
) -> None:
    """List rejected records: time, source, reason, what is wrong, first bytes."""
    if is_bridge and topics:
        raise UsageError("--topic: is for what workers have set aside, not for --bridge")
    asyncio.run(
        _list(
            settings,
            (BRIDGE,) if is_bridge else topics or SOURCES,
            _Listing(limit, is_json=as_json, is_following=follow),
        )
    )


async def _list(settings: Settings, topics: Sequence[str], listing: _Listing) -> None:
    async for records in read_set_aside(settings, topics, is_following=listing.is_following):
        if records is None:
            listing.show_past()
        else:
            listing.add(records)


class _Listing:
    """Keeps the newest records until all were read, then prints them; later ones at once."""

    def __init__(self, limit: int, *, is_json: bool, is_following: bool) -> None:
        self.is_following = is_following
        self._limit = limit
        self._is_json = is_json
        self._newest: list[SetAside] = []
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._is_live = False

    def add(self, records: list[SetAside]) -> None:
        if self._is_live:
            for record in records:
                self._print(record)
            return
        self._reasons.update((record.topic, record.reason) for record in records)
        self._newest += records
        if len(self._newest) > 2 * self._limit:
            self._drop_old()

    def _drop_old(self) -> None:
        self._newest.sort(key=lambda r: (r.record_time_ms, r.topic, r.partition, r.offset))
        del self._newest[: -self._limit]

    def show_past(self) -> None:
        self._is_live = True
        self._drop_old()
        if self._is_json and not self.is_following:
            reasons: dict[str, dict[str, int]] = {}
            for (topic, reason), count in sorted(self._reasons.items()):
                reasons.setdefault(topic, {})[reason] = count
            records = [_document(record) for record in self._newest]
            click.echo(json.dumps({"rejected": records, "count": self._reasons.total(), "reasons": reasons}))
            return
        for record in self._newest:
            self._print(record)
        if not self._is_json:
            total = self._reasons.total()
            if total > len(self._newest):
                click.echo(f"The newest {len(self._newest)} of {total:,}; --limit shows more.", err=True)
            elif not total:
                click.echo("No record was rejected.", err=True)

    def _print(self, record: SetAside) -> None:
        if self._is_json:
            click.echo(json.dumps(_document(record)))
            return
        source = f"{record.topic}[{record.partition}]@{record.offset}"
        value = "(null)" if record.value is None else _text(record.value, SHOWN_BYTES)
        click.echo(f"{_moment(record.record_time_ms)}  {source}  {record.reason}: {record.detail}  {value}")


def _document(record: SetAside) -> dict[str, Any]:
    return {
        "record_time_ms": record.record_time_ms,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "reason": record.reason,
        "detail": record.detail,
        "key": None if record.key is None else _text(record.key, JSON_BYTES),
        "value": None if record.value is None else _text(record.value, JSON_BYTES),
        "bytes": record.original_bytes,
    }


def _text(content: bytes, limit: int) -> str:
    """Return the beginning of some bytes, on one line, whatever they are."""
    text = content[:limit].decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return printable if len(content) <= limit else printable + "…"


def _moment(time_ms: int) -> str:
    moment = dt.datetime.fromtimestamp(time_ms // 1000, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03}Z"

"""The record of the last audit on this machine: written by `festival audit`, shown by the metrics of its neighbours.

A small JSON file in the data directory, one per prefix, so that a rehearsal's audit is not taken for the real one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class LastAudit:
    """When an audit ended, and by how much each measure differed."""

    ended_ms: int
    difference_by_measure: Mapping[str, int]


def record_path(settings: Settings) -> Path:
    """Return where the record of these settings lies."""
    return settings.data_dir / f"{settings.prefix}audit.json"


def write_record(path: Path, record: LastAudit) -> None:
    """Replace the record whole; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    document = {"ended_ms": record.ended_ms, "difference_by_measure": dict(record.difference_by_measure)}
    draft.write_text(json.dumps(document), encoding="utf-8")
    draft.replace(path)


def read_record(path: Path) -> LastAudit | None:
    """Return the record, None where no audit ran; raises `OSError` or `ValueError` for one that cannot be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    try:
        return LastAudit(
            int(document["ended_ms"]), {str(k): int(v) for k, v in document["difference_by_measure"].items()}
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no record of an audit: {error!r}") from error

"""The built-in festivals, and the loading of an operator's own."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from streams.domain.festivals import Festival, FestivalFileError, parse_festival
from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def load_festivals(directory: Path | None = None) -> dict[str, Festival]:
    """Return every festival by id: the built-in ones, and those of `directory`, which win over built-in ones.

    Raises `UsageError` with all problems of all files at once.
    """
    texts = [(str(f.name), f.read_text("utf-8")) for f in files(__name__).iterdir() if f.name.endswith(".toml")]
    problems: list[str] = []
    own: list[tuple[str, str]] = []
    if directory is not None and not directory.is_dir():
        problems.append(f"{directory}: no such directory of festival files")
    elif directory is not None:
        own = [(str(path), path.read_text("utf-8", errors="replace")) for path in sorted(directory.glob("*.toml"))]
    festivals: dict[str, Festival] = {}
    sources: dict[str, str] = {}
    for source, text in sorted(texts) + own:
        try:
            festival = parse_festival(text, source)
        except FestivalFileError as error:
            problems.append(str(error))
            continue
        if (source, text) in own and sources.get(festival.id) in {s for s, _ in own}:
            problems.append(f"{source}: `id` {festival.id} is taken by {sources[festival.id]}")
        festivals[festival.id] = festival
        sources[festival.id] = source
    if problems:
        raise UsageError("\n".join(problems))
    return festivals

"""The built-in festivals, and the loading of an operator's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from streams.domain.festivals import Festival, FestivalFileError, Previous, no_sealed_file, parse_festival
from streams.errors import UsageError
from streams.sealed_files import read_sealed_file

if TYPE_CHECKING:
    from streams.domain.festivals import ReadSealed

BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True)
class Found:
    """A festival, and where its file lies."""

    festival: Festival
    source: str
    """The path of its file; `BUILT_IN` where the package brings it."""


def load_festivals(directory: Path | None = None) -> dict[str, Festival]:
    """Return every festival by id: the built-in ones, and those of `directory`, which win over built-in ones.

    Raises `UsageError` with all problems of all files at once.
    """
    return {festival_id: found.festival for festival_id, found in find_festivals(directory).items()}


def find_festivals(directory: Path | None = None) -> dict[str, Found]:
    """Return what `load_festivals` does, with the sources."""
    texts = [(str(f.name), f.read_text("utf-8")) for f in files(__name__).iterdir() if f.name.endswith(".toml")]
    problems: list[str] = []
    own = _own(directory, problems)
    found: dict[str, Found] = {}
    for source, text in sorted(texts) + own:
        try:
            is_own = (source, text) in own
            festival = parse_festival(text, source, _beside(Path(source)) if is_own else no_sealed_file)
        except FestivalFileError as error:
            problems.append(str(error))
            continue
        before = found.get(festival.id)
        if is_own and before is not None and before.source != BUILT_IN:
            problems.append(f"{source}: `id` {festival.id} is taken by {before.source}")
        found[festival.id] = Found(festival, source if is_own else BUILT_IN)
    if problems:
        raise UsageError("\n".join(problems))
    return found


def _beside(path: Path) -> ReadSealed:
    """Return what reads the sealed file that a festival file names: its path counts from there."""

    def read(name: str) -> tuple[Previous, str]:
        try:
            header = read_sealed_file(path.parent / name).header
        except UsageError as error:
            raise ValueError(f"`sealed`: {error}") from error
        edition = header.edition
        if edition is None:
            raise ValueError(f"`sealed`: {name} has no total to compare with: {header.why_no_edition}")
        previous = Previous(edition.name, edition.total_minor, edition.curve, edition.before_minor)
        return previous, edition.currency

    return read


def _own(directory: Path | None, problems: list[str]) -> list[tuple[str, str]]:
    """Return paths and texts of an operator's files; what cannot be read is a problem."""
    if directory is None:
        return []
    if not directory.is_dir():
        problems.append(f"{directory}: no such directory of festival files")
        return []
    own: list[tuple[str, str]] = []
    for path in sorted(directory.glob("*.toml")):
        try:
            own.append((str(path), path.read_text("utf-8")))
        except OSError as error:
            problems.append(f"{path}: cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            problems.append(f"{path}: byte {error.start} is not UTF-8, which TOML is written in")
    return own

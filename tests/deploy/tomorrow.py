"""An index as it may be tomorrow: what a lock pins, and of every package of it a release that is newer.

The wheels are made up: the real names, versions and requirements, as they are installed here, and no code. Only what
builds the package itself (setuptools) is the real thing, packed again from where it is installed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEWER = "9999.0"
"""The version of every package tomorrow."""
REAL = frozenset({"setuptools"})
PIN = re.compile(
    r"^(?P<pin>[a-z0-9][\w.-]*==[^\\\n]+?) \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock whose hashes are those of the made-up wheels."""

    text: str
    pinned: dict[str, str]
    """Name → version, of what is installed on this machine."""


def lock_of_tomorrow(lock: str, index: Path) -> Lock:
    """Write the wheels of `lock` and their newer releases into the folder `index`; return the lock that names them."""
    pinned: dict[str, str] = {}

    def made_up(match: re.Match[str]) -> str:
        requirement = Requirement(match["pin"])
        if requirement.marker is not None and not requirement.marker.evaluate():
            return match[0]
        (specifier,) = requirement.specifier
        pinned[requirement.name] = specifier.version
        wheel = _write_wheel(index, requirement.name, specifier.version)
        _write_wheel(index, requirement.name, NEWER)
        return f"{match['pin']} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"

    return Lock(PIN.sub(made_up, lock), pinned)


def _write_wheel(index: Path, name: str, version: str) -> Path:
    """Write one wheel, always with the same bytes; one that is there already is left as it is."""
    label = name.replace("-", "_")
    path = index / f"{label}-{version}-py3-none-any.whl"
    if path.exists():
        return path
    installed = distribution(name)
    place = f"{label}-{version}.dist-info"
    contents = dict(_metadata(installed, place, version))
    if name in REAL and version != NEWER:
        contents |= dict(_files(installed))
    record = io.StringIO()
    csv.writer(record, lineterminator="\n").writerows([name, "", ""] for name in (*contents, f"{place}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in (*contents.items(), (f"{place}/RECORD", record.getvalue().encode())):
            archive.writestr(zipfile.ZipInfo(file), content)
    return path


def _metadata(installed: Distribution, place: str, version: str) -> Iterator[tuple[str, bytes]]:
    required = "".join(f"Requires-Dist: {line}\n" for line in installed.requires or ())
    extras = "".join(f"Provides-Extra: {extra}\n" for extra in installed.metadata.get_all("Provides-Extra") or ())
    head = f"Metadata-Version: 2.1\nName: {installed.name}\nVersion: {version}\n"
    yield f"{place}/METADATA", f"{head}{extras}{required}".encode()
    yield f"{place}/WHEEL", b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def _files(installed: Distribution) -> Iterator[tuple[str, bytes]]:
    """Return the files of a package, its entry points too, without what was compiled at its installation."""
    for file in installed.files or ():
        is_own = not file.parts[0].endswith(".dist-info") or file.name == "entry_points.txt"
        if is_own and ".." not in file.parts and "__pycache__" not in file.parts:
            yield str(file), file.read_binary()

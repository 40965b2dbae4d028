"""The container of a sealed festival: a ZIP whose comment is the SHA-256 of all bytes before it.

The comment is the last thing in a ZIP, 64 hexadecimal digits here. So `head -c -64 FILE | sha256sum` says what
`tail -c 64 FILE` does, any ZIP tool opens the file, and no byte of it can change unseen.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGEST_BYTES = 64
_MADE = (1980, 1, 1, 0, 0, 0)
"""The first moment a ZIP can tell: the time of writing would make two files of one state."""
_UNIX = 3
_MODE = 0o100444 << 16
_NOWHERE = b"0" * DIGEST_BYTES


class SealError(ValueError):
    """These bytes are no sealed festival, or not any more; the message says what is wrong."""


def pack_members(members: Mapping[str, bytes]) -> tuple[bytes, str]:
    """Return the file that holds `members`, in their order, and its digest. Equal ones give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _MADE)
            entry.create_system, entry.external_attr, entry.compress_type = _UNIX, _MODE, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
        archive.comment = _NOWHERE
    content = out.getvalue()[:-DIGEST_BYTES]
    digest = hashlib.sha256(content).hexdigest()
    return content + digest.encode(), digest


class Members:
    """The members of a file whose digest fits."""

    def __init__(self, data: bytes) -> None:
        """Open the bytes of a file; raises `SealError` where one of them is not as it was sealed."""
        content, told = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        self.digest = hashlib.sha256(content).hexdigest()
        """SHA-256 of all but the comment, in hexadecimal."""
        if told != self.digest.encode():
            if not data.startswith(b"PK"):
                raise SealError("this is no sealed festival")
            raise SealError(
                f"it was changed or cut off since it was sealed: the SHA-256 of its content is {self.digest}, and its "
                "last 64 bytes do not say so"
            )
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except zipfile.BadZipFile as error:
            raise SealError(f"this is no sealed festival: {error}") from error

    def names(self) -> list[str]:
        """Return the members' names."""
        return self._archive.namelist()

    def read(self, name: str) -> bytes:
        """Return a member; raises `SealError` where there is none."""
        try:
            return self._archive.read(name)
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise SealError(f"this is no sealed festival: {name} cannot be read: {error}") from error

"""Files that are read again when they change, and TLS for connections that are made after that.

Certificates, keys, passwords and tokens are renewed under a running process: whoever connects later uses the new ones.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger("festival.security")

Signature = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of change of each file; None for one that is not there."""


def signature(files: Sequence[Path]) -> Signature:
    """Return what tells a changed file from an unchanged one."""
    return tuple(_of(file) for file in files)


def _of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def first_line(file: Path) -> str:
    """Return the first line of a file. Raises `OSError`, and `ValueError` where it is empty."""
    line = file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    if not line:
        raise ValueError(f"{file} begins with an empty line, the secret should stand there")
    return line


class Secret(str):
    """Text that shows itself to nobody who asks with `repr`, as tracebacks and logged dictionaries do."""

    __slots__ = ("file",)

    file: Path | None

    def __new__(cls, text: str, file: Path | None = None) -> Self:
        """`file` is where the text was read, if it was."""
        self = super().__new__(cls, text)
        self.file = file
        return self

    def current(self) -> str:
        """Return what stands in the file now; where it has none, or cannot be read just now, what it was."""
        if self.file is None:
            return self
        try:
            return Secret(first_line(self.file), self.file)
        except (OSError, ValueError) as error:
            log.warning("a secret cannot be read again, the one before is used: %s", error)
            return self

    def __repr__(self) -> str:
        """Return a placeholder."""
        return "'***'"


class RenewedContext(ssl.SSLContext):
    """A context whose connections are each made with the one that is current then.

    Servers and clients hold one context for their life; asyncio and uvloop ask it for each connection (`wrap_bio`).
    """

    _current: Callable[[], ssl.SSLContext]

    def __new__(cls, protocol: int, current: Callable[[], ssl.SSLContext]) -> Self:
        """Make one that asks `current` for each connection; what that raises ends the connection."""
        self = super().__new__(cls, protocol)
        self._current = current
        return self

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - as the library's
        """Return the TLS of one connection."""
        return self._current().wrap_bio(*args, **options)


class ClientTls:
    """TLS to a server: whom to trust, and what to show of oneself."""

    def __init__(
        self,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        key_password: Secret | None = None,
    ) -> None:
        """Without `ca_file` the system's authorities are trusted; without `key_file` the key is in `cert_file`."""
        self._ca_file, self._cert_file, self._key_file = ca_file, cert_file, key_file
        self._key_password = key_password
        secret = key_password.file if key_password is not None else None
        self._files = [file for file in (ca_file, cert_file, key_file, secret) if file is not None]
        self._read: Signature | None = None
        self._context: ssl.SSLContext | None = None

    def renewed(self) -> RenewedContext:
        """Return the context for the life of a client."""
        return RenewedContext(ssl.PROTOCOL_TLS_CLIENT, self.context)

    def context(self) -> ssl.SSLContext:
        """Return what a new connection is made with; reads the files where they have changed.

        Raises `ValueError` where they cannot be used and never could.
        """
        found = signature(self._files)
        if self._context is None or found != self._read:
            try:
                self._context = self._made()
            except ValueError as error:
                if self._context is None:
                    raise
                log.warning("certificates cannot be read again, those before are used: %s", error)
            self._read = found
        return self._context

    def check_authorities(self) -> None:
        """Raise `ValueError` where the file of authorities cannot be used."""
        try:
            ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._ca_file}: {why_unusable(error)}") from error

    def check_certificate(self) -> None:
        """Raise `ValueError` where certificate and key cannot be used."""
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _made(self) -> ssl.SSLContext:
        self.check_authorities()
        context = ssl.create_default_context(cafile=self._ca_file)
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        if self._cert_file is None:
            return
        try:
            context.load_cert_chain(self._cert_file, self._key_file, password=self._password)
        except (OSError, ValueError) as error:
            is_about_password = isinstance(error, ssl.SSLError) and error.reason is None and self._key_password
            why = "the password is not that of the key" if is_about_password else why_unusable(error)
            files = ", ".join(str(file) for file in (self._cert_file, self._key_file) if file is not None)
            raise ValueError(f"{files}: {why}") from error

    def _password(self) -> str:
        if self._key_password is None:
            raise ValueError("the key is encrypted, and no password is set for it")
        return str.__str__(self._key_password.current())


def why_unusable(error: Exception) -> str:
    """Return what is wrong with a file of certificates or keys."""
    if isinstance(error, ssl.SSLError):
        is_mismatch = error.reason == "KEY_VALUES_MISMATCH"
        return "the key is not that of the certificate" if is_mismatch else "that is not PEM that can be used"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

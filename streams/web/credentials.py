"""Who asks: passwords by bcrypt, tokens by their digest.

A check of a password takes a tenth of a second or more of a CPU, by design. So what was found right is remembered, and
only a few are checked in a second: guessing is slow, and it cannot take the CPU away from the count.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

import bcrypt

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.web.web_config import WebConfig

CHECKS = 2
"""Passwords that are checked within `CHECKS_SECONDS`."""
CHECKS_SECONDS = 1.0
PASSWORD_BYTES = 72
"""bcrypt looks at no more."""
_NOBODY = b"$2b$10$" + b"." * 53
"""What the password of a user is compared with who is not known: that must take as long."""


class Answer(Enum):
    """What is found of somebody who asks."""

    KNOWN = auto()
    UNKNOWN = auto()
    BUSY = auto()
    """Too many passwords are being checked: ask again in a second."""


class Credentials:
    """Those of one file. Belongs to one event loop."""

    def __init__(self, config: WebConfig, now: Callable[[], float] = time.monotonic) -> None:
        """Remember nobody yet; `now` is monotonic."""
        self._config = config
        self._now = now
        self._salt = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        """User → digest of the password that was found right."""
        self._checks: deque[float] = deque(maxlen=CHECKS)
        self._running: dict[tuple[str, bytes], asyncio.Task[bool]] = {}
        """A page asks for ten things at once: one check is enough for all."""

    @property
    def challenges(self) -> list[str]:
        """Return what a client may answer with, as `WWW-Authenticate` has it; nothing where nobody is asked."""
        found = ['Basic realm="festival", charset="UTF-8"'] if self._config.users else []
        return [*found, 'Bearer realm="festival"'] if self._config.tokens else found

    async def judge(self, authorization: str | None) -> Answer:
        """Return whether the header names somebody of the file."""
        scheme, _, told = (authorization or "").strip().partition(" ")
        match scheme.lower():
            case "bearer":
                digest = hashlib.sha256(told.strip().encode()).digest()
                found = [hmac.compare_digest(digest, known) for known in self._config.tokens.values()]
                return Answer.KNOWN if any(found) else Answer.UNKNOWN
            case "basic" if self._config.users:
                named = _basic(told)
                return Answer.UNKNOWN if named is None else await self._judge_password(*named)
        return Answer.UNKNOWN

    async def _judge_password(self, user: str, password: bytes) -> Answer:
        digest = hmac.digest(self._salt, password, "sha256")
        if hmac.compare_digest(self._right.get(user, b""), digest):
            return Answer.KNOWN
        running = self._running.get((user, digest))
        if running is None:
            now = self._now()
            if len(self._checks) == CHECKS and now - self._checks[0] < CHECKS_SECONDS:
                return Answer.BUSY
            self._checks.append(now)
            running = asyncio.create_task(self._check(user, password, digest))
            self._running[user, digest] = running
        # Who goes away does not end the check for the others.
        return Answer.KNOWN if await asyncio.shield(running) else Answer.UNKNOWN

    async def _check(self, user: str, password: bytes, digest: bytes) -> bool:
        try:
            known = self._config.users.get(user)
            is_right = await asyncio.to_thread(_is_password, password, known or _NOBODY)
        finally:
            del self._running[user, digest]
        if is_right and known is not None:
            self._right[user] = digest
        return is_right and known is not None


def _is_password(password: bytes, known: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:PASSWORD_BYTES], known)
    except ValueError:  # a password with a NUL, which nobody can have
        return False


def _basic(told: str) -> tuple[str, bytes] | None:
    """Return user and password; None where the text names nobody."""
    try:
        user, colon, password = base64.b64decode(told.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None

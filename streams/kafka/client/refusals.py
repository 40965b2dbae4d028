"""Why a broker and we do not come to an understanding: each in a sentence that names the setting to look at.

Neither TLS nor Kafka says so plainly. A broker that expects something else just closes the connection: then it is
asked in the other way whether it would understand that.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from typing import TYPE_CHECKING

from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from streams import security_configuration as declared
from streams.tokens import TokenError

if TYPE_CHECKING:
    from collections.abc import Sized

LOOK_SECONDS = 2.0
"""Longest look at what a broker speaks."""
_EXPIRED, _NOT_YET, _OTHER_HOST = 10, 9, (62, 64)
"""OpenSSL's codes of what is wrong with a certificate (X509_V_ERR_…)."""
PROTOCOL, CERT_FILE = declared.PROTOCOL.variable, declared.CERT_FILE.variable


class RefusedError(KafkaConnectionError):
    """Broker and client do not come to an understanding; waiting helps where somebody mends it."""

    def __str__(self) -> str:
        """Return the sentence; the client library's errors put their class before it."""
        return str(self.args[0])


def told_of(error: BaseException) -> str:
    """Return an error of a client for the log: what is behind it, where that has a name."""
    return str(error.__cause__) if isinstance(error.__cause__, RefusedError) else repr(error)


async def named(error: BaseException, protocol: str, host: str, port: int) -> BaseException:
    """Return an error of a new connection with a name, where it has one: `RefusedError`; else the error itself."""
    told = _told(error)
    if told is None and _is_closed(error):
        told = await _spoken(protocol, host, port)
    if told is None:
        return error
    refused = RefusedError(told)
    refused.__cause__ = error
    return refused


def unheard(opened: Sized) -> BaseException | None:
    """Return what is wrong where connections were made and the first question on them was not answered."""
    if not opened:
        return None
    return RefusedError(
        f"it takes the connection and closes it at the first question: does it ask who we are? See {PROTOCOL}"
    )


def _told(error: BaseException) -> str | None:
    """Return what an error says by itself."""
    match error:
        case TokenError():
            return str(error)
        case SaslAuthenticationFailed():
            said = str(error.args[0]) if error.args else ""
            who = f"{declared.USER.variable}, {declared.PASSWORD.variable} or the token"
            return f"it does not let us in ({said}): see {who}"
        case UnsupportedSaslMechanismError():
            return f"it does not take {declared.MECHANISM.variable}: {error.args[0]}"
        case IllegalSaslStateError():
            return f"it asks nobody who they are: see {PROTOCOL}"
    return _of_tls(error) if isinstance(error, ssl.SSLError) else None


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "its certificate has expired"
    if error.verify_code == _NOT_YET:
        return "its certificate is not valid yet"
    if error.verify_code in _OTHER_HOST:
        return f"its certificate is of another host: see FESTIVAL_BROKER ({error.verify_message})"
    return f"its certificate is of nobody whom {declared.CA_FILE.variable} trusts ({error.verify_message})"


def _of_tls(error: ssl.SSLError) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error)
    reason = error.reason or ""
    if "CERTIFICATE" in reason and "ALERT" in reason:
        return f"it does not take our certificate, or wants one: see {CERT_FILE} ({reason.lower()})"
    if reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE"}:
        return f"it speaks no TLS: see {PROTOCOL}"
    return None


def _is_closed(error: BaseException) -> bool:
    """Return whether the other side has closed the connection, or something like it."""
    if isinstance(error, ConnectionRefusedError):
        return False
    return isinstance(error, (ConnectionError, ssl.SSLError, KafkaConnectionError)) or type(error) is KafkaError


async def _spoken(protocol: str, host: str, port: int) -> str | None:
    """Return what to do about a broker that has closed the connection, where it would speak otherwise."""
    has_tls = protocol.endswith("SSL")
    if not has_tls:
        return f"it speaks TLS: see {PROTOCOL}" if await _shakes_hands(host, port) else None
    if await _answers_plainly(host, port):
        return f"it speaks no TLS: see {PROTOCOL}"
    wants = f"it wants a certificate of ours, or another one: see {CERT_FILE}"
    return wants if await _shakes_hands(host, port) else None


async def _shakes_hands(host: str, port: int) -> bool:
    """Return whether TLS is spoken there, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.transport.abort()
    except (OSError, TimeoutError):
        return False
    return True


async def _answers_plainly(host: str, port: int) -> bool:
    """Return whether Kafka is spoken there without TLS: ApiVersions (version 0) is answered to everybody."""
    api_versions, version, correlation, no_client = 18, 0, 1, -1
    request = struct.pack(">hhih", api_versions, version, correlation, no_client)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(struct.pack(">i", len(request)) + request)
                answer = await reader.readexactly(8)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, EOFError):
        return False
    return bool(struct.unpack(">ii", answer)[1] == correlation)

"""JSON payloads: strict, UTF-8 throughout, the last of a key that stands twice."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.bridge.decoding.leaf import NoSchema, Shape
from streams.bridge.outcomes import RejectedError
from streams.domain.rejections import Reason


class JsonDecoder:
    """Reads JSON, framed or not: no schema is asked for."""

    shape: Shape = NoSchema()

    def __init__(self) -> None:
        """All values are decoded, also those that no path names: each must be UTF-8."""
        self._decode = msgspec.json.Decoder().decode

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - whatever the record holds
        """Return the payload's value. Raises `RejectedError`."""
        try:
            return self._decode(payload)
        except RecursionError:
            raise RejectedError(Reason.NOT_JSON, None, "nested too deeply") from None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _rejection(payload, error) from None


def _rejection(payload: bytes, error: Exception) -> RejectedError:
    if not payload:
        return RejectedError(Reason.EMPTY, None, "the record's value has no bytes")
    try:
        payload.decode()
    except UnicodeDecodeError as found:
        return RejectedError(Reason.NOT_UTF8, None, f"byte {found.start} is not UTF-8")
    return RejectedError(Reason.NOT_JSON, None, f"not JSON: {error}"[:200])

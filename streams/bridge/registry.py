"""A client of a schema registry with the Confluent API: what an id means, asked once and kept.

Ids never change their meaning, so what was answered is kept for the life of the process. A schema that the registry
does not know is asked again every 5 seconds; an address that does not answer gives way to the next.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

from streams.bridge.decoding.avro import AvroDecoder
from streams.bridge.outcomes import WaitReason
from streams.bridge.schemas import Fault, NoDecoder

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from streams.settings import RegistryAccess

log = logging.getLogger("festival.registry")

TIMEOUT_SECONDS = 10.0
"""Longest wait for one address: then the next one is asked."""
AGAIN_SECONDS = 5.0
"""Between two questions for a schema that the registry does not know."""
AWAY_SECONDS = 1.0
"""Between two rounds of all addresses."""
REFERENCES_LIMIT = 200
"""Schemas that one schema may be made of: more is a circle."""
TOLD_SECONDS = 60.0
"""Between two lines of the log about one schema that is waited for for the same reason."""
_NOT_FOUND = 404
_MISSING_CODES = (40401, 40402, 40403)
"""So the API says that it has no such subject, version or schema."""
_REASONS = {401: WaitReason.NOT_ALLOWED, 403: WaitReason.NOT_ALLOWED, _NOT_FOUND: WaitReason.UNKNOWN_SCHEMA}
"""What a status says of a registry, else that it is away."""
_HINTS = {
    401: ": see FESTIVAL_REGISTRY_*",
    403: ": see FESTIVAL_REGISTRY_*",
    # Whatever stands there, it has not said that it does not know the schema: no record is rejected for that.
    _NOT_FOUND: ", and not as the API does: does the address lack a path, such as /apis/ccompat/v7 of Apicurio's?",
}
_ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"


class RegistryError(Exception):
    """No address answers, or the registry refuses; `reason` is why whoever needs a schema waits."""

    def __init__(self, reason: WaitReason, detail: str) -> None:
        """Remember both."""
        super().__init__(detail)
        self.reason = reason


class _MissingError(Exception):
    """The registry answers that it does not have it."""


class Registry:
    """The schemas of one registry: `streams.bridge.schemas.Schemas`.

    `find` never waits; what it does not know yet is looked up by `run`, which ends when it is cancelled. `look_up`
    waits for one answer.
    """

    def __init__(self, urls: Sequence[str], access: RegistryAccess) -> None:
        """Connect to nothing yet; `urls` are tried in turn."""
        self._urls = list(urls)
        self._access = access
        self._known: dict[str, AvroDecoder | NoDecoder] = {}
        self._due: dict[str, float] = {}
        """When a schema that somebody waits for is to be asked for, in the loop's time."""
        self._not_before: dict[str, float] = {}
        self._why: dict[str, WaitReason] = {}
        self._told: dict[str, tuple[WaitReason, float]] = {}
        """Schema that is waited for → what the log said of it last, and when."""
        self._wanted = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        self.failures = 0

    def find(self, schema: str) -> AvroDecoder | NoDecoder | None:
        """Return what is known; what is not is looked up, where `run` runs."""
        found = self._known.get(schema)
        if (found is None or _is_unknown(found)) and schema not in self._due:
            self._due[schema] = self._not_before.get(schema, 0.0)
            self._wanted.set()
        return found

    def why(self, schema: str) -> WaitReason | None:
        """Return why a schema that is waited for is not there; None where the registry has not answered yet."""
        return self._why.get(schema)

    async def run(self) -> None:
        """Look up what is wanted, again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._wanted.clear()
            now = loop.time()
            for schema in [schema for schema, due in self._due.items() if due <= now]:
                await self._attempt(schema)
            pause = max(0.0, min(self._due.values(), default=now + AGAIN_SECONDS) - loop.time())
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _attempt(self, schema: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await self.look_up(schema)
        except RegistryError as error:
            pause = AGAIN_SECONDS if error.reason is WaitReason.UNKNOWN_SCHEMA else AWAY_SECONDS
            self._due[schema], self._why[schema] = loop.time() + pause, error.reason
            self._tell(schema, error)
            return
        self._told.pop(schema, None)
        # Whoever still waits for it asks again.
        del self._due[schema]
        if _is_unknown(found):
            self._not_before[schema], self._why[schema] = loop.time() + AGAIN_SECONDS, WaitReason.UNKNOWN_SCHEMA
        else:
            self._why.pop(schema, None)

    def _tell(self, schema: str, error: RegistryError) -> None:
        """Log why a schema is not there: when that begins, and now and then while it lasts."""
        now = asyncio.get_running_loop().time()
        reason, told = self._told.get(schema, (None, 0.0))
        if reason is not error.reason or now - told >= TOLD_SECONDS:
            self._told[schema] = error.reason, now
            log.warning("schema not to be had: %s", error, extra={"schema": schema, "reason": str(error.reason)})

    async def look_up(self, schema: str) -> AvroDecoder | NoDecoder:
        """Return what the registry says of an id or a GUID now. Raises `RegistryError`."""
        kind = "ids" if schema.isdigit() else "guids"
        found: AvroDecoder | NoDecoder
        try:
            answer = await self._get(f"/schemas/{kind}/{quote(schema)}")
            references = await self._references(answer)
            found = _decoder(answer, references)
        except _MissingError:
            found = NoDecoder(Fault.UNKNOWN, "the registry does not know it")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            found = NoDecoder(Fault.UNUSABLE, f"{error}"[:200])
        self._known[schema] = found
        return found

    async def close(self) -> None:
        """Release the connections."""
        if self._session is not None:
            await self._session.close()

    async def _references(self, answer: Any) -> list[Any]:  # noqa: ANN401 - JSON
        """Return the schemas that a schema refers to, each behind those that it refers to itself."""
        found: dict[tuple[str, int], Any] = {}

        async def follow(schema: Any) -> None:  # noqa: ANN401 - JSON
            for reference in schema.get("references") or ():
                name = reference["subject"], reference["version"]
                if name in found:
                    continue
                if len(found) >= REFERENCES_LIMIT:
                    raise ValueError(f"more than {REFERENCES_LIMIT} references")
                found[name] = None
                inner = await self._get(f"/subjects/{quote(name[0], safe='')}/versions/{name[1]}")
                await follow(inner)
                del found[name]
                found[name] = json.loads(inner["schema"])

        await follow(answer)
        return [schema for schema in found.values() if schema is not None]

    async def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return the answer of the first address that has one. Raises `RegistryError`, `_MissingError`."""
        self._session = self._session or self._connect()
        problems: list[str] = []
        reasons: set[WaitReason] = set()
        is_missing = False
        for url in list(self._urls):
            self.requests += 1
            try:
                async with self._session.get(url + path, headers=self._headers()) as response:
                    body = await response.read()
                    if response.status == 200:  # noqa: PLR2004 - HTTP
                        return json.loads(body)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                problems.append(f"{url}: {error or type(error).__name__}")
            else:
                if response.status == _NOT_FOUND and _error_code(body) in _MISSING_CODES:
                    is_missing = True
                    continue
                problems.append(f"{url} answers {response.status}{_HINTS.get(response.status, '')}")
                reasons.add(_REASONS.get(response.status, WaitReason.REGISTRY_AWAY))
            self.failures += 1
            self._urls.append(self._urls.pop(0))
        if is_missing:
            raise _MissingError
        raise _refusal(problems, reasons)

    def _connect(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._access.tls().renewed()),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        )

    def _headers(self) -> dict[str, str]:
        """Return what a question begins with; secrets in files are those of now."""
        access = self._access
        headers = {"Accept": _ACCEPT}
        if access.token is not None:
            headers["Authorization"] = f"Bearer {access.token.current()}"
        elif access.user is not None:
            told = f"{access.user}:{access.password.current() if access.password else ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(told).decode()}"
        return headers


def _is_unknown(found: AvroDecoder | NoDecoder) -> bool:
    return isinstance(found, NoDecoder) and found.fault is Fault.UNKNOWN


def _error_code(body: bytes) -> int | None:
    """Return the code in an answer that tells of an error, None where that is no answer of the API."""
    try:
        told = json.loads(body)
    except ValueError:
        return None
    code = told.get("error_code") if isinstance(told, dict) else None
    return code if isinstance(code, int) else None


def _refusal(problems: Sequence[str], reasons: Collection[WaitReason]) -> RegistryError:
    ranked = (WaitReason.NOT_ALLOWED, WaitReason.REGISTRY_AWAY, WaitReason.UNKNOWN_SCHEMA)
    reason = next((reason for reason in ranked if reason in reasons), WaitReason.REGISTRY_AWAY)
    told = "; ".join(problems) or "no address is set: [registry] url in the map, or FESTIVAL_REGISTRY_URL"
    return RegistryError(reason, f"the schema registry does not answer: {told}")


def _decoder(answer: Any, references: Sequence[Any]) -> AvroDecoder:  # noqa: ANN401 - JSON
    kind = answer.get("schemaType") or "AVRO"
    if kind != "AVRO":
        raise ValueError(f"it is of {kind}, not of Avro")
    return AvroDecoder(json.loads(answer["schema"]), references)

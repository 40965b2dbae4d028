"""The HTTP interface described for clients: made of the types that are sent, and of what the ledger tells apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streams.board.answers.series import STEPS_MS
from streams.board.answers.values import Festivals, Series, Totals
from streams.web.messages import Error, Liveness, Readiness

if TYPE_CHECKING:
    from collections.abc import Sequence

Schema = dict[str, Any]
SENT = (Totals, Series, Festivals, Error, Readiness, Liveness)
"""The documents of all paths."""
_REFERENCE = "#/components/schemas/{name}"
INFO = {
    "title": "Festival board",
    "version": "1",
    "description": "Committed totals of a shopping festival, read-only. Times are integer milliseconds since the Unix "
    "epoch (UTC), money is an integer number of minor units of an ISO 4217 currency; both may exceed 64 bits in sums. "
    "Documents may gain keys.",
}
_HEAD = {
    "openapi": "3.1.0",
    "info": INFO,
    "servers": [{"url": "..", "description": "Seen from this file, wherever the server lies."}],
}
_LATER = (
    "No committed state was read yet, all connections are taken, or a worker's visitors have had their share of it; "
    "Retry-After says when to ask again."
)
_BUSY = (
    "All connections are taken, or a worker's visitors have had their share of it; Retry-After says when to ask again."
)


def schemas(dimensions: Sequence[str], amounts: Sequence[str]) -> Schema:
    """Return the schema of each type by its name, as the documents have it."""
    _, found = msgspec.json.schema_components(SENT, ref_template=_REFERENCE)
    # A document tells the story beside the totals, and a row's value under its dimension (`board.answers.documents`).
    story, totals, row = found.pop("Story"), found["Totals"], found["Row"]
    totals["properties"] = {
        name: schema
        for key, whole in totals["properties"].items()
        for name, schema in (story["properties"].items() if key == "story" else [(key, whole)])
    }
    totals["required"] += story["required"]
    for name in ("dimension", "value"):
        del row["properties"][name]
    del row["required"]
    row["properties"] |= {name: {"type": "string"} for name in dimensions}
    for money in (totals["properties"]["money"], row["properties"]["money"]):
        if amounts:
            money["additionalProperties"]["properties"] = {name: {"type": "integer"} for name in amounts}
    for schema in found.values():
        schema["description"] = " ".join(schema["description"].split())
    return found


def description(dimensions: Sequence[str], amounts: Sequence[str] = ()) -> Schema:
    """Return the OpenAPI document of a ledger that has these dimensions, and these amounts that a shop declared."""
    festival = _query("festival", "Id of a festival; without it the running one, else the latest with totals.")
    paths = {
        "/api/totals": _path(
            "The committed totals of a festival",
            _answers(Totals, "The document that `festival totals --json` prints.", _LATER),
            festival,
            _query(
                "at",
                "Count festival time up to the end of this second: a time such as 01:03:59, or an instant with an "
                "offset.",
            ),
            _query("by", "Add the rows of a dimension, largest first.", {"enum": list(dimensions)}),
            _query("top", "At most so many rows.", {"type": "integer", "minimum": 1}),
            _query(
                "in",
                "Tell the home total in these currencies too: ISO 4217 codes, with commas or the parameter several "
                "times. The festival's file must have a rate of each.",
            ),
        ),
        "/api/series": _path(
            "One measure over the festival",
            _answers(Series, "A value for each step from start to end.", _LATER),
            festival,
            _query(
                "measure",
                "orders (default), captured, gross, net, paid, home_gross (in the home currency, without `currency`) "
                f"and so on{''.join(f', {name}' for name in amounts)}.",
            ),
            _query("currency", "Needed by, and only by, measures of money."),
            _query("step", "Width of a step.", {"enum": list(STEPS_MS), "default": "minute"}),
        ),
        "/api/festivals": _path(
            "The festivals this server knows, the latest first",
            _answers(Festivals, "What is fixed about each.", _BUSY),
        ),
        "/api/stream": _stream(festival),
        "/livez": _path("Whether the process is up", {"200": _json(Liveness, "It is.")}),
        "/readyz": _path(
            "Whether the process does its work",
            {"200": _json(Readiness, "It does."), "503": _json(Readiness, "It does not, and why.")},
        ),
        "/metrics": _path(
            "Metrics for Prometheus",
            {"200": _text("text/plain", "In Prometheus' text format, or OpenMetrics where the client accepts it.")},
        ),
    }
    return {**_HEAD, "paths": paths, "components": {"schemas": schemas(dimensions, amounts)}}


def _stream(festival: Schema) -> Schema:
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "The last id received.",
    }
    answers = {
        "200": _text(
            "text/event-stream",
            "Until the client or the server leaves. A client that does not read for 5 s is dropped.",
        ),
        **_refusals(_LATER),
    }
    path = _path("Server-Sent Events: what the big screen shows, as it is committed", answers, festival, last)
    path["get"]["description"] = (
        "Events, each with one JSON document: `totals` (a Totals document with `screen`, whenever it changed, at most "
        "every 250 ms), `curve` (the main measure per minute; only the part from minute `from` on that differs from "
        "what the client has), `ranks` (largest values per dimension, and every market and origin), and each second "
        "`alive` (by this server's clock, up to when everything on Kafka is in the totals). Ids are made of the "
        "content and the same on every server: a client that sends Last-Event-ID is sent what has changed since."
    )
    return path


def _path(summary: str, answers: Schema, *parameters: Schema) -> Schema:
    asked = {"parameters": list(parameters)} if parameters else {}
    return {"get": {"summary": summary, **asked, "responses": answers}}


def _query(name: str, sentence: str, schema: Schema | None = None) -> Schema:
    wanted = schema or {"type": "string", "minLength": 1}
    return {"name": name, "in": "query", "required": False, "description": sentence, "schema": wanted}


def _answers(sent: type[msgspec.Struct], sentence: str, later: str) -> Schema:
    """Return the answers of a path whose documents have an ETag."""
    tag = {
        "description": "Changes with the content; send it back in If-None-Match.",
        "schema": {"type": "string"},
    }
    return {
        "200": {**_json(sent, sentence), "headers": {"ETag": tag}},
        "304": {"description": "What the client has is still so."},
        **_refusals(later),
    }


def _refusals(later: str) -> Schema:
    return {
        "400": _json(Error, "What is wrong with the request, in a sentence."),
        "421": _json(Error, "The request asks for a host that this server does not answer to."),
        "503": _json(Error, later),
    }


def _json(sent: type[msgspec.Struct], sentence: str) -> Schema:
    schema = {"$ref": _REFERENCE.format(name=sent.__name__)}
    return {"description": sentence, "content": {"application/json": {"schema": schema}}}


def _text(content_type: str, sentence: str) -> Schema:
    return {"description": sentence, "content": {content_type: {"schema": {"type": "string"}}}}

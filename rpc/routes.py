"""What every HTTP route answers, as a table for the OpenAPI document. A test compares it with the application's."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import Struct

from rpc.document_messages import OpenApiDocument, OpenRpcDocument
from rpc.health import Health, Readiness
from rpc.http_server import FIELD_BYTES, LINE_BYTES

ERROR_SCHEMA = "ErrorResponse"
"""the component of an answer that is an error"""
JSON = "application/json"
TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class Answer:
    """One status of a route. `body`: a struct, the name of a component, or None for no body; `headers` and what they
    say, beside those that every answer has."""

    status: int
    words: str
    body: type[Struct] | str | None = None
    media: str = JSON
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def as_openapi(self, schema: Callable[[type[Struct]], dict[str, Any]]) -> dict[str, Any]:
        """The OpenAPI response object; `schema` gives those of structs."""
        headers = {**EVERY_ANSWER, **self.headers}
        shown: dict[str, Any] = {
            "description": self.words,
            "headers": {name: _header(words) for name, words in headers.items()},
        }
        if isinstance(self.body, str):
            shown["content"] = {self.media: {"schema": {"$ref": f"#/components/schemas/{self.body}"}}}
        elif self.body is not None:
            shown["content"] = {self.media: {"schema": schema(self.body)}}
        elif self.media != JSON:
            shown["content"] = {self.media: {"schema": {"type": "string"}}}
        return shown


def _header(words: str) -> dict[str, Any]:
    return {"description": words, "required": True, "schema": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `calls`: whether JSON-RPC calls go there."""

    verb: str
    path: str
    summary: str
    answers: tuple[Answer, ...]
    calls: bool = False

    @property
    def operation_id(self) -> str:
        return self.path.strip("/").replace(".", "_").replace("/", "_")

    @property
    def all_answers(self) -> tuple[Answer, ...]:
        """Its own, and those of the gate before it; one of a status that both have says both."""
        before = {answer.status: answer for answer in GATE}
        own = [
            replace(answer, words=f"{answer.words}; or {before[answer.status].words}")
            if answer.status in before
            else answer
            for answer in self.answers
        ]
        given = {answer.status for answer in own}
        return (*own, *(answer for answer in GATE if answer.status not in given))

    def structs(self) -> list[type[Struct]]:
        """Those of its bodies."""
        return [answer.body for answer in self.answers if isinstance(answer.body, type)]


EVERY_ANSWER = {"X-Request-Id": "names the request in the log"}

GATE = (
    Answer(400, "this is no HTTP/1.1 request, or not with one Host header", ERROR_SCHEMA),
    Answer(403, "a page of another origin asks, which is not in the setting rpc.cors_origins", ERROR_SCHEMA),
    Answer(421, "the Host header names neither this machine nor one of the setting rpc.allowed_hosts", ERROR_SCHEMA),
    Answer(414, f"the first line of the request has more than {LINE_BYTES} bytes", ERROR_SCHEMA),
    Answer(431, f"a header has more than {FIELD_BYTES} bytes", ERROR_SCHEMA),
)
"""before every route: what is no request is refused by rpc.http_server, the rest by rpc.gate"""

_CHALLENGE = {"WWW-Authenticate": "`Bearer`, with what is wrong (RFC 6750, section 3)"}
_RETRY = {"Retry-After": "seconds after which a retry makes sense"}

_REFUSALS = (
    Answer(400, "the body cannot be read", ERROR_SCHEMA),
    Answer(
        401,
        "the Authorization header is malformed, or its token is not valid, and some call needs one; nothing was run",
        ERROR_SCHEMA,
        headers=_CHALLENGE,
    ),
    Answer(405, "another verb than POST", ERROR_SCHEMA, headers={"Allow": "POST"}),
    Answer(408, "the body did not arrive in time", ERROR_SCHEMA),
    Answer(413, "the body is too large", ERROR_SCHEMA),
    Answer(415, "the body is not declared to be JSON", ERROR_SCHEMA),
    Answer(
        503,
        "this front ends, another one or the next answers",
        ERROR_SCHEMA,
        headers=_RETRY,
    ),
)

ROUTES = (
    Route(
        "post",
        "/rpc",
        "Call methods: one, or several as a batch. Every JSON-RPC answer, errors included, has the status 200",
        (
            Answer(200, "the answer, or in a batch the answers, to calls", "ResponseBody"),
            Answer(204, "there were notifications only"),
            *_REFUSALS,
        ),
        calls=True,
    ),
    Route("get", "/healthz", "Whether the process lives", (Answer(200, "it does", Health),)),
    Route(
        "get",
        "/readyz",
        "Whether calls would be served",
        (Answer(200, "they would", Readiness), Answer(503, "they would not; `reasons` says why", Readiness)),
    ),
    Route("get", "/openapi.json", "This document", (Answer(200, "OpenAPI 3.1", OpenApiDocument),)),
    Route("get", "/openrpc.json", "The methods, one by one", (Answer(200, "OpenRPC 1.3", OpenRpcDocument),)),
    Route(
        "get",
        "/ws",
        "A WebSocket: the same JSON-RPC, one message a call or batch, and subscriptions to output",
        (
            Answer(101, "the WebSocket is open"),
            Answer(400, "parameters in the URL, or a subprotocol", ERROR_SCHEMA),
            Answer(401, "the token of the Authorization header is not valid", ERROR_SCHEMA, headers=_CHALLENGE),
            Answer(426, "no handshake of a WebSocket", ERROR_SCHEMA, headers={"Upgrade": "`websocket`"}),
            Answer(503, "this front ends, or has too many WebSockets", ERROR_SCHEMA, headers=_RETRY),
        ),
    ),
    Route(
        "get",
        "/metrics",
        "Figures for Prometheus, for callers on this machine",
        (
            Answer(200, "text format, or OpenMetrics if asked for", media=TEXT),
            Answer(403, "the caller is elsewhere, behind a proxy, or a page of another origin", ERROR_SCHEMA),
        ),
    ),
)
"""Every route of the application."""

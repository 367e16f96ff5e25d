"""The OpenAPI document of the service: its routes, and every method as one of the bodies of POST /rpc. OpenAPI 3.1."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import structs

from rpc import error_docs
from rpc.document_messages import OpenApiDocument
from rpc.error_docs import ErrorDoc
from rpc.errors import TABLE, InvalidParams
from rpc.examples import Example
from rpc.messages import API_VERSION
from rpc.openrpc import ABOUT, TITLE, method_schemas, summary
from rpc.params import TOKEN
from rpc.registry import Method
from rpc.routes import ERROR_SCHEMA, ROUTES, Route
from rpc.schemas import REF, Schemas

VERSION = "3.1.0"
TOKEN_WORDS = "the token of `login`, or one of create_token"  # noqa: S105 (words about tokens)
_ID = {"description": "echoed unchanged; a request without it is a notification, which gets no answer"}
_ID_TYPE: dict[str, Any] = {"type": ["string", "number", "null"]}
_RPC_VERSION: dict[str, Any] = {"const": "2.0"}
Schema = dict[str, Any]


def document(registry: Mapping[str, Method[Any]], examples: Sequence[Example] = ()) -> OpenApiDocument:
    """The document. `examples` are shown as they are: give them without placeholders."""
    registry = {name: entry for name, entry in registry.items() if not entry.websocket}
    data = [doc.data for doc in error_docs.documented() if doc.data is not None]
    bodies = [kind for route in ROUTES for kind in route.structs()]
    schemas = method_schemas(registry, *data, *bodies)
    components = {**schemas.components, **_messages(registry, schemas), **_errors(schemas)}
    _open_params(components, registry)
    return OpenApiDocument(
        openapi=VERSION,
        info={
            "title": TITLE,
            "version": API_VERSION,
            "description": f"{ABOUT} The methods one by one, with those of WebSockets, are in /openrpc.json.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        servers=[{"url": "/"}],
        paths={route.path: {route.verb: _operation(route, schemas, registry, examples)} for route in ROUTES},
        components={
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": TOKEN_WORDS}},
        },
    )


def request_name(method: str) -> str:
    """The component of a method's request."""
    return f"{_camel(method)}Request"


def response_name(method: str) -> str:
    """The component of a method's answer."""
    return f"{_camel(method)}Response"


def _messages(registry: Mapping[str, Method[Any]], schemas: Schemas) -> dict[str, Schema]:
    """Requests and answers of each method, and any of them, alone or as a batch."""
    found: dict[str, Schema] = {}
    for entry in registry.values():
        found[request_name(entry.name)] = _request(entry, schemas)
        found[response_name(entry.name)] = _response(entry, schemas)
    request = {"oneOf": [_ref(request_name(name)) for name in registry]}
    answer = {"anyOf": [*(_ref(response_name(name)) for name in registry), _ref(ERROR_SCHEMA)]}
    found["Request"] = request | {"description": "a call, or a notification if it has no id"}
    found["Response"] = answer | {"description": "the answer to a call"}
    batch = {"type": "array", "items": _ref("Request"), "minItems": 1}
    found["RequestBody"] = {"oneOf": [_ref("Request"), batch]}
    answers = {"type": "array", "items": _ref("Response"), "minItems": 1}
    found["ResponseBody"] = {"anyOf": [_ref("Response"), answers]}
    return found


def _request(entry: Method[Any], schemas: Schemas) -> Schema:
    fields = structs.fields(entry.params)
    required = sum(field.required for field in fields)
    by_position: Schema = {
        "type": "array",
        "description": "by position; only the first is promised to stay where it is",
        "prefixItems": [schemas.member(entry.params, field.encode_name) for field in fields],
        "minItems": required,
        "maxItems": len(fields),
    }
    if not fields:
        del by_position["prefixItems"]
    return {
        "type": "object",
        "description": summary(entry),
        "properties": {
            "jsonrpc": _RPC_VERSION,
            "id": {**_ID_TYPE, **_ID},
            "method": {"const": entry.name},
            "params": {"anyOf": [schemas.of(entry.params), by_position]},
        },
        "required": ["jsonrpc", "method", *(["params"] if required else [])],
        "x-token": entry.token,
        "x-scope": entry.scope,
        "x-errors": [doc.code for doc in error_docs.of_method(entry)],
    }


def _response(entry: Method[Any], schemas: Schemas) -> Schema:
    return {
        "type": "object",
        "description": f"the answer of {entry.name}",
        "properties": {"jsonrpc": _RPC_VERSION, "id": _ID_TYPE, "result": schemas.of(entry.result)},
        "required": ["jsonrpc", "id", "result"],
        "additionalProperties": False,
    }


def _errors(schemas: Schemas) -> dict[str, Schema]:
    documented = error_docs.documented()
    found = {f"{doc.key}Error": _error(doc, schemas) for doc in documented}
    found[ERROR_SCHEMA] = {
        "type": "object",
        "description": "an answer that is an error; id is null if the request's could not be read",
        "properties": {
            "jsonrpc": _RPC_VERSION,
            "id": _ID_TYPE,
            "error": {"oneOf": [_ref(f"{doc.key}Error") for doc in documented]},
        },
        "required": ["jsonrpc", "id", "error"],
        "additionalProperties": False,
    }
    return found


def _error(doc: ErrorDoc, schemas: Schemas) -> Schema:
    properties: dict[str, Any] = {"code": {"const": doc.code}, "message": {"type": "string"}}
    if doc.data is not None:
        properties["data"] = schemas.of(doc.data)
    return {
        "type": "object",
        "description": doc.when,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _open_params(components: dict[str, Schema], registry: Mapping[str, Method[Any]]) -> None:
    """By name, every method takes the token as a member too."""
    for entry in registry.values():
        properties: dict[str, Any] = components[entry.params.__name__]["properties"]
        properties[TOKEN] = {"type": "string", "description": "the token, for clients that cannot send the header"}


def _operation(
    route: Route, schemas: Schemas, registry: Mapping[str, Method[Any]], examples: Sequence[Example]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.operation_id,
        "responses": {str(answer.status): answer.as_openapi(schemas.of) for answer in route.all_answers},
    }
    if not route.calls:
        return operation
    requests, answers = _shown(examples, registry)
    operation["security"] = [{"token": []}, {}]
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": _ref("RequestBody"), "examples": requests}},
    }
    operation["responses"]["200"]["content"] = {
        "application/json": {"schema": _ref("ResponseBody"), "examples": answers}
    }
    return operation


def _shown(examples: Sequence[Example], registry: Mapping[str, Method[Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The requests and the answers of the examples, by name."""
    requests: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    for example in examples:
        if example.method not in registry:
            continue
        for number, step in enumerate(example.calls()):
            name = f"{example.name}_{number + 1}" if number else example.name
            if not _is_refused(step.answer):
                requests[name] = {"summary": example.title, "value": step.request}
            if step.answer is not None:
                answers[name] = {"summary": example.title, "value": step.answer}
    return requests, answers


def _is_refused(answer: Any) -> bool:
    """Whether the request was a bad one, so that it does not fit the schema."""
    error = cast("dict[str, Any]", answer).get("error") if isinstance(answer, dict) else None
    return error is not None and error["code"] == TABLE[InvalidParams].code


def _camel(method: str) -> str:
    return "".join(part.capitalize() for part in method.replace(".", "_").split("_"))


def _ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}

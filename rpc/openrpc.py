"""The OpenRPC document of the service, made from its methods. OpenRPC 1.3: https://spec.open-rpc.org"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from kernel_bridge.event_contents import EVENT_TYPES, Event
from rpc import error_docs, meanings
from rpc.document_messages import OpenRpcDocument
from rpc.error_docs import ErrorDoc
from rpc.examples import Example
from rpc.messages import API_VERSION
from rpc.registry import Method
from rpc.schemas import REF, Schemas

VERSION = "1.3.2"
TITLE = "kernelwire"
ABOUT = (
    "JSON-RPC 2.0 to live Jupyter kernels: log in, evaluate, complete, inspect, and read every output in order, with "
    "none lost. Calls go to POST /rpc. Send the token of `login` as `Authorization: Bearer TOKEN`, or as the member "
    "`token` of params by name. Of positional params only the first is promised stable. Times are RFC 3339 UTC, "
    "durations seconds, sizes bytes, positions in code Unicode code points. Ignore members that you do not know."
)


def document(registry: Mapping[str, Method[Any]], examples: Sequence[Example] = ()) -> OpenRpcDocument:
    """The document. `examples` are shown as they are: give them without placeholders."""
    schemas = method_schemas(registry)
    return OpenRpcDocument(
        openrpc=VERSION,
        info={"title": TITLE, "version": API_VERSION, "description": ABOUT},
        servers=[{"name": "this service", "url": "/rpc"}],
        methods=[_method(entry, schemas, examples) for entry in registry.values()],
        components={
            "schemas": {name: schemas.components[name] for name in _used(registry, schemas)},
            "errors": {doc.key: _error(doc) for doc in error_docs.documented()},
        },
    )


def method_schemas(registry: Mapping[str, Method[Any]], *more: Any) -> Schemas:
    """Schemas of the params and results of all methods, of events, and of some more types."""
    types = [kind for entry in registry.values() for kind in (entry.params, entry.result)]
    contents = [kind for event in EVENT_TYPES.values() for kind in event.contents]
    schemas = Schemas(list(dict.fromkeys([*types, Event, *contents, *more])))
    _open_events(schemas.components)
    return schemas


def _open_events(components: dict[str, Any]) -> None:
    """Pages carry events as raw JSON; the schema says what is in them. User code may put anything into a content that
    comes from the kernel, so that is told beside the schema, which must hold."""
    event = components["Event"]["properties"]
    event["type"] = {"enum": sorted(EVENT_TYPES), "description": event["type"]["description"]}
    event["content"]["x-by-type"] = {
        name: [{"$ref": REF.format(name=kind.__name__)} for kind in kinds.contents]
        for name, kinds in sorted(EVENT_TYPES.items())
    }
    if "Page" in components:
        components["Page"]["properties"]["events"]["items"] = {"$ref": REF.format(name="Event")}


def paragraphs(entry: Method[Any]) -> list[str]:
    """What the handler's docstring says to users: all but `Raises`, which stands among the errors."""
    found = [" ".join(part.split()) for part in (inspect.getdoc(entry.handler) or "").split("\n\n")]
    return [text for part in found if (text := part.partition("Raises")[0].strip())]


def summary(entry: Method[Any]) -> str:
    """The first sentence, without its full stop."""
    return entry.doc.partition(". ")[0].removesuffix(".")


def _method(entry: Method[Any], schemas: Schemas, examples: Sequence[Example]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "summary": summary(entry),
        "description": "\n\n".join(paragraphs(entry)),
        "paramStructure": "either",
        "params": [_param(entry.params, field, schemas) for field in structs.fields(entry.params)],
        "result": {"name": f"{entry.name}_result", "schema": schemas.of(entry.result)},
        "errors": [{"$ref": f"#/components/errors/{doc.key}"} for doc in error_docs.of_method(entry)],
        "examples": [
            _pairing(example, number, step.request, step.answer)
            for example in examples
            if example.method == entry.name
            for number, step in enumerate(example.calls())
            if isinstance(step.request, dict) and isinstance(step.answer, dict) and "result" in step.answer
        ],
        "x-token": entry.token,
        "x-scope": entry.scope,
        "x-websocket": entry.websocket,
    }


def _param(params: type[Struct], field: structs.FieldInfo, schemas: Schemas) -> dict[str, Any]:
    return {
        "name": field.encode_name,
        "description": meanings.of_params(params, field.name) or "",
        "required": field.required,
        "schema": schemas.member(params, field.encode_name),
    }


def _error(doc: ErrorDoc) -> dict[str, Any]:
    error: dict[str, Any] = {"code": doc.code, "message": f"{doc.name}: {doc.when}"}
    if doc.data is not None:
        error["data"] = {fact: meanings.OF_ERRORS.get(fact, "") for fact in doc.data.__struct_fields__}
    return error


def _pairing(example: Example, number: int, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] | list[Any] = request.get("params", {})
    named = params.items() if isinstance(params, dict) else ((str(n), value) for n, value in enumerate(params))
    return {
        "name": f"{example.name}_{number + 1}" if number else example.name,
        "description": example.title,
        "params": [{"name": name, "value": value} for name, value in named],
        "result": {"name": "result", "value": answer["result"]},
    }


def _used(registry: Mapping[str, Method[Any]], schemas: Schemas) -> list[str]:
    """The components that results and members of params refer to; params themselves are given one by one."""
    params = {entry.params.__name__ for entry in registry.values()}
    return sorted(name for name in schemas.components if name not in params)

"""docs/reference/errors.md."""

from msgspec import structs as msgspec_structs

from docs.generator import types
from docs.generator.markdown import anchor, block, code, contents, join, json_text, table
from rpc import error_docs, examples, meanings
from rpc.error_docs import ErrorDoc
from rpc.methods import REGISTRY
from rpc.routes import ERROR_SCHEMA, GATE, ROUTES

_HEAD = """
An error is the member `error` of an answer: `code`, `message` for people, and for most of them `data` for programs. It
comes with the HTTP status 200, like every answer to a call. An exception in the code of a cell is none: the cell ends
with `error`, and the exception is among its outputs.
"""


def page() -> str:
    """The text of the page."""
    documented = error_docs.documented()
    return join(
        "# Errors",
        contents([*(doc.name for doc in documented), "Refusals by HTTP status"]),
        _HEAD.strip(),
        table(("code", "name", "when"), ((str(doc.code), _link(doc.name), doc.when) for doc in documented)),
        *(_section(doc) for doc in documented),
        "## Refusals by HTTP status",
        "What is refused before or beside a call. The body is an error object all the same, with id null.",
        table(("path", "status", "when", "headers"), _refusals()),
    )


def _section(doc: ErrorDoc) -> str:
    rows = [
        (code(field.name), types.words(field.type).split("](")[0].lstrip("["), meanings.OF_ERRORS.get(field.name, ""))
        for field in (msgspec_structs.fields(doc.data) if doc.data is not None else ())
    ]
    methods = [entry.name for entry in REGISTRY.values() if doc in error_docs.of_method(entry)]
    everywhere = doc.code <= error_docs.STANDARD or len(methods) == len(REGISTRY)
    where = "every method" if everywhere else ", ".join(_method(name) for name in methods)
    return join(
        f"## {doc.name}",
        f"**{doc.code}**: {doc.when}.",
        table(("data", "type", "what"), rows),
        f"At: {where}.",
        _example(doc),
    )


def _example(doc: ErrorDoc) -> str:
    """The first answer of the examples that is this error."""
    for example in examples.shown(examples.load()):
        for step in example.steps:
            answer = step.answer
            if isinstance(answer, dict) and "error" in answer and answer["error"]["code"] == doc.code:
                return block(json_text(answer), "json")
    return ""


def _refusals() -> list[tuple[str, str, str, str]]:
    elsewhere = [
        ("other paths", "404", "there is nothing", ""),
        ("other paths than `/rpc`", "405", "another verb than GET, or HEAD where `Allow` names it", code("Allow")),
    ]
    gate = [("every path", str(answer.status), answer.words, "") for answer in GATE]
    return (
        gate
        + elsewhere
        + [
            (code(route.path), str(answer.status), answer.words, ", ".join(code(name) for name in answer.headers))
            for route in ROUTES
            for answer in route.answers
            if answer.body == ERROR_SCHEMA
        ]
    )


def _link(name: str) -> str:
    return f"[{name}](#{anchor(name)})"


def _method(name: str) -> str:
    return f"[{name}](methods.md#{anchor(name)})"

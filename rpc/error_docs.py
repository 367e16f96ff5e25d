"""The errors of the table as documents show them: when they come, what `data` has, and at which methods."""

import functools
import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec import Struct, defstruct

from auth import errors as auth_errors
from kernel_bridge import errors as bridge_errors
from kernel_bridge import hop
from rpc import errors
from rpc.registry import Method

STANDARD = -32600
"""codes up to here are those of JSON-RPC"""
_PARSE_ERROR = -32700


@dataclass(frozen=True, slots=True)
class ErrorDoc:
    """One code. `data`: the struct of the member `data`, None where there is none."""

    code: int
    name: str
    kinds: tuple[type[Exception], ...]
    when: str
    data: type[Struct] | None

    @property
    def key(self) -> str:
        """A name without blanks."""
        return "".join(word[:1].upper() + word[1:] for word in self.name.split())


class InternalErrorData(Struct, frozen=True):
    """`data` of -32603."""

    request_id: str


INTERNAL = ErrorDoc(
    errors.INTERNAL_ERROR,
    "Internal error",
    (),
    "a defect of the service; nothing of the exception is shown: tell the administrator the request id",
    InternalErrorData,
)


@functools.cache
def documented() -> tuple[ErrorDoc, ...]:
    """Every code of the table, the standard ones first."""
    by_code: dict[int, list[type[Exception]]] = {}
    for kind, entry in errors.TABLE.items():
        by_code.setdefault(entry.code, []).append(kind)
    found = [_doc(code, tuple(kinds)) for code, kinds in by_code.items()]
    standard = sorted((doc for doc in [*found, INTERNAL] if doc.code <= STANDARD), key=_order)
    return (*standard, *sorted((doc for doc in found if doc.code > STANDARD), key=_order))


def of_method(entry: Method[Any]) -> list[ErrorDoc]:
    """The errors that a call of the method may get beside the standard five, in the order of documented()."""
    kinds = set(_expected(entry))
    return [doc for doc in documented() if kinds.intersection(doc.kinds)]


def _expected(entry: Method[Any]) -> Iterator[type[Exception]]:
    """What follows from the params and from what the method needs, and what it says itself."""
    yield from entry.raises
    yield bridge_errors.ShuttingDown
    if entry.token:
        yield auth_errors.InvalidToken
    if entry.scope is not None:
        yield auth_errors.Forbidden
    if typing.get_origin(inspect.signature(entry.handler).return_annotation) is hop.Answer:
        yield bridge_errors.HostUnavailable
    names = {member.name for member in entry.reader.members}
    if "session" in names:
        yield bridge_errors.SessionNotFound
        yield bridge_errors.AccessDenied
    if "cell" in names and bridge_errors.CellConflict not in entry.raises:
        yield bridge_errors.CellNotFound
    if "kernel" in names:
        yield bridge_errors.KernelspecNotFound
    if names & {"code", "wait"}:
        yield bridge_errors.LimitExceeded


def _order(doc: ErrorDoc) -> tuple[bool, int]:
    """From -32600 downwards, as the specification has them, and -32700 before."""
    return doc.code != _PARSE_ERROR, -doc.code


def _doc(code: int, kinds: tuple[type[Exception], ...]) -> ErrorDoc:
    entries = [errors.TABLE[kind] for kind in kinds]
    when = "; or ".join(entry.when for entry in entries if entry.when)
    return ErrorDoc(code, entries[0].name, kinds, when, _data(entries[0].name, kinds))


def _data(name: str, kinds: tuple[type[Exception], ...]) -> type[Struct] | None:
    types: dict[str, Any] = {}
    for kind in kinds:
        hints = typing.get_type_hints(kind.__init__)
        types |= {fact: hints.get(fact, Any) for fact in errors.TABLE[kind].facts}
    if not types:
        return None
    always = [(fact, kind) for fact, kind in types.items() if fact not in errors.OPTIONAL_FACTS]
    sometimes = [(fact, kind | None, None) for fact, kind in types.items() if fact in errors.OPTIONAL_FACTS]
    return defstruct(f"{name.replace(' ', '')}Data", [*always, *sometimes], frozen=True, omit_defaults=True)

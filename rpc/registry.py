"""The one table of methods: names, params, results, scopes and handlers, from which documents are made too."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, Generic, TypeVar

from msgspec import Struct

from auth.tokens import SCOPES
from rpc.context import Context
from rpc.params import TOKEN, ParamsReader

P = TypeVar("P", bound=Struct)
Handler = Callable[[Context, P], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method(Generic[P]):
    """One method of the service.

    The handler answers with the struct `result`, or with a hop.Answer whose JSON is one. It sends what order
    matters for before its first await.
    """

    name: str
    params: type[P]
    result: Any
    token: bool
    scope: str | None
    doc: str
    """the first paragraph of the handler's docstring"""
    handler: Handler[P]
    reader: ParamsReader[P]
    raises: tuple[type[Exception], ...] = ()
    """errors that do not follow from its params and scope, for the documents (rpc.error_docs)"""
    websocket: bool = False
    """whether it is there over WebSockets only"""


def method(
    name: str,
    *,
    params: type[P],
    result: Any,
    scope: str | None,
    token: bool = True,
    raises: tuple[type[Exception], ...] = (),
    websocket: bool = False,
) -> Callable[[Handler[P]], Method[P]]:
    """Turn a handler into a Method; a Registry then finds it in its module.

    `scope`: what the token must allow, one of SCOPES. It has no default, so that nobody opens a method by forgetting
    it: None, any token will do, has to be written down. `token`: whether a call needs one at all; `raises`: errors
    that do not follow from params and scope; `websocket`: it is there over WebSockets only (both for the documents).

    Raises ValueError: no such scope, or one where no token is asked for.
    """
    if scope is not None and (scope not in SCOPES or not token):
        raise ValueError(f"{name}: expected a scope of {', '.join(SCOPES)}, or None; without a token None")

    def wrap(handler: Handler[P]) -> Method[P]:
        reader = ParamsReader(params)
        if any(member.name == TOKEN for member in reader.members):
            raise TypeError(f"{name}: `{TOKEN}` is the transport's own member")
        doc = " ".join((inspect.getdoc(handler) or "").split("\n\n")[0].split())
        return Method(name, params, result, token, scope, doc, handler, reader, raises, websocket)

    return wrap


class Registry(Mapping[str, Method[Any]]):
    """Methods by name. Immutable."""

    def __init__(self, *methods: Method[Any]) -> None:
        """Raises ValueError when two have one name."""
        table: dict[str, Method[Any]] = {}
        for entry in methods:
            if entry.name in table:
                raise ValueError(f"two methods are called {entry.name}")
            table[entry.name] = entry
        self._table = MappingProxyType(table)

    @classmethod
    def of_modules(cls, *modules: ModuleType) -> "Registry":
        """All methods that the modules define, in their order."""
        found: list[Method[Any]] = []
        for module in modules:
            found += [entry for entry in vars(module).values() if isinstance(entry, Method)]
        return cls(*found)

    def __getitem__(self, name: str) -> Method[Any]:
        return self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

"""jsonrpcserver: from one request object, already checked, to its response."""

import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Raw

from rpc.context import Context
from rpc.envelope import Item
from rpc.errors import ErrorObject

with warnings.catch_warnings():
    # jsonrpcserver 5.0.9 reads its schema with importlib.resources.open_text, deprecated since Python 3.11.
    warnings.simplefilter("ignore", DeprecationWarning)
    from jsonrpcserver import async_dispatch_to_serializable
    from jsonrpcserver.result import Error, Result, Success

Outcome = Raw | ErrorObject
"""The JSON of a result, or the error that came instead."""
Runner = Callable[[Context, Raw | None], Awaitable[Outcome]]
"""A method that decodes its params itself and never raises, except when it is cancelled."""
Response = dict[str, Any]


class Methods(dict[str, Callable[[Context, Raw | None], Awaitable[Result]]]):
    """Runners as jsonrpcserver wants them; `unknown` makes one for a name that is not there."""

    def __init__(self, runners: Mapping[str, Runner], unknown: Callable[[str], Runner]) -> None:
        super().__init__({name: _method(runner) for name, runner in runners.items()})
        self._unknown = unknown

    def __missing__(self, name: str) -> Callable[[Context, Raw | None], Awaitable[Result]]:
        return _method(self._unknown(name))


async def dispatch_item(item: Item, methods: Methods, context: Context) -> Response | None:
    """The response object, with the id as it came; None for a notification. JSON-RPC 2.0, section 5."""
    # Params go as one opaque argument: as keywords they could clash with the names of ours.
    request: dict[str, Any] = {"method": item.method, "params": [item.params]}
    if item.id is not None:
        request["id"] = item.id
    response: Any = await async_dispatch_to_serializable(
        request,
        methods=methods,
        context=context,
        deserializer=_as_it_is,
        validator=_as_it_is,  # envelope.read has checked it
    )
    return response


def _method(runner: Runner) -> Callable[[Context, Raw | None], Awaitable[Result]]:
    async def method(context: Context, params: Raw | None) -> Result:
        outcome = await runner(context, params)
        return Success(outcome) if isinstance(outcome, Raw) else Error(**outcome.as_member())

    return method


def _as_it_is(request: Any) -> Any:
    return request

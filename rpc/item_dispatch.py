"""jsonrpcserver: from one request object, already checked, to its response.

Not by its `async_dispatch`, which parses the text, checks it, makes a task and works out each method's signature: here
an item has been parsed and checked, runs in the task of its caller, and every method takes the same two arguments. How
one is called, and what its response is, remains jsonrpcserver's.
"""

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
    from jsonrpcserver.async_dispatcher import call
    from jsonrpcserver.dispatcher import to_response
    from jsonrpcserver.request import Request
    from jsonrpcserver.response import to_serializable
    from jsonrpcserver.result import Error, Result, Success
    from jsonrpcserver.sentinels import NOID

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
    request = Request(item.method, [item.params], NOID if item.id is None else item.id)
    method: Any = methods[item.method]  # its types know no coroutines
    result = await call(request, context, method)
    if item.id is None:
        return None
    response: Any = to_response(request, result)
    answer: Any = to_serializable(response)
    return answer


def _method(runner: Runner) -> Callable[[Context, Raw | None], Awaitable[Result]]:
    async def method(context: Context, params: Raw | None) -> Result:
        outcome = await runner(context, params)
        return Success(outcome) if isinstance(outcome, Raw) else Error(**outcome.as_member())

    return method

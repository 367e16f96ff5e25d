"""The id of an HTTP request, which joins its answer to the log."""

import os
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

HEADER = "X-Request-Id"
REQUEST_ID = web.RequestKey("request_id", str)

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@web.middleware
async def give_request_id(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Take the client's X-Request-Id where it is short and safe to log, else make one."""
    given = request.headers.get(HEADER)
    request[REQUEST_ID] = given if given is not None and _SAFE.fullmatch(given) else os.urandom(8).hex()
    return await handler(request)

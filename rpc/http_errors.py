"""Error objects as HTTP responses: what is refused before or beside a call."""

import math
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from auth.errors import InvalidToken
from kernel_bridge.errors import LimitExceeded, ShuttingDown
from rpc import bearer, errors, logs
from rpc.errors import InvalidRequest
from rpc.request_id import REQUEST_ID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """An HTTP request that is refused with `status` and, as body, the error object of `error`."""

    def __init__(self, status: int, error: Exception, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error
        self.headers = headers or {}


def unauthorized(error: InvalidToken) -> Refusal:
    """401. RFC 6750, section 3."""
    return Refusal(401, error, {"WWW-Authenticate": bearer.challenge(error)})


def body_too_large(limit: int) -> Refusal:
    """413; the connection is closed, as the rest of the body is not wanted."""
    message = f"a request body may have {limit} bytes"
    return Refusal(413, LimitExceeded("body_bytes", limit, message), {"Connection": "close"})


def draining(retry_after_s: float) -> Refusal:
    """503: this front ends; another one, or the next, serves the retry."""
    return Refusal(503, ShuttingDown(), {"Retry-After": str(math.ceil(retry_after_s))})


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal, and every error of aiohttp's routes, as a JSON-RPC error object with id null."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return response(request, refusal)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        words = f"{error.method[:16]} is not allowed here; use {allowed}"
        return response(request, Refusal(405, InvalidRequest(words), {"Allow": allowed}))
    except web.HTTPNotFound:
        return response(request, Refusal(404, InvalidRequest("there is nothing here; calls go to POST /rpc")))
    except web.HTTPException as error:
        return response(request, Refusal(error.status, InvalidRequest(error.reason)))
    except ConnectionError:
        raise  # the client is gone; aiohttp knows what to do
    except Exception as error:  # noqa: BLE001 (the border: a defect of ours is logged and not shown)
        logs.failure(error, request_id=request[REQUEST_ID], method="?")
        return response(request, Refusal(500, error))


def response(request: web.BaseRequest, refusal: Refusal) -> web.Response:
    """The answer to a request that has a REQUEST_ID."""
    member = errors.show(refusal.error, request[REQUEST_ID]).as_member()
    body = msgspec.json.encode({"jsonrpc": "2.0", "error": member, "id": None})
    return web.Response(status=refusal.status, body=body, headers=refusal.headers, content_type="application/json")

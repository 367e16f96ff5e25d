"""The HTTP server on a listening socket. What is no HTTP request is refused as everything else is: as an error object.

aiohttp would answer it in its own words, and log it, which may hold a token, as an error.
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from rpc import answer_headers, http_errors, logs
from rpc.errors import InvalidRequest
from rpc.http_errors import Refusal
from rpc.request_id import REQUEST_ID

LINE_BYTES = 4096
FIELD_BYTES = 8190
HANDSHAKE_S = 10.0
"""what a client is given for the handshake of TLS"""
HEAD_S = 30.0
"""from the connection to the whole head of its first request; aiohttp itself would wait for an hour"""
_LINE = Refusal(414, InvalidRequest(f"the first line of the request is too long: it may have {LINE_BYTES} bytes"))
_FIELD = Refusal(431, InvalidRequest(f"a header is too long: its name and value may have {FIELD_BYTES} bytes"))
_OTHER = Refusal(400, InvalidRequest("this is no HTTP/1.1 request"))


async def start(
    runner: web.AppRunner,
    listener: socket.socket,
    refused: Callable[[int], None],
    *,
    backlog: int,
    tls: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """Serve `runner`, which is set up, on `listener`. `refused` is told the status of what was no HTTP request.

    The caller closes the server before it cleans the runner up. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    manager = runner.server
    if manager is None:
        raise RuntimeError("the runner is not set up")
    return await loop.create_server(
        lambda: Connected(manager, loop, refused),
        sock=listener,
        backlog=backlog,
        ssl=tls,
        ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
    )


class Connected(web.RequestHandler):
    """One connection."""

    __slots__ = ("_first_head", "_refused")

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, refused: Callable[[int], None]) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # pyright: ignore[reportArgumentType]  # it means: none
            auto_decompress=False,
            max_line_size=LINE_BYTES,
            max_field_size=FIELD_BYTES,
        )
        self._refused = refused
        self._first_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._first_head = asyncio.get_running_loop().call_later(HEAD_S, self._end_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._first_head is not None:
            self._first_head.cancel()
        super().connection_lost(exc)

    def _end_silent(self) -> None:
        """Nobody is answered: a browser that connected ahead of need sees a connection that has ended."""
        if not self._request_count:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  aiohttp's words, which may quote what came
    ) -> web.StreamResponse:
        """The answer to what could not be read, or to what no middleware caught; the connection ends with it.

        Raises ConnectionError if the answer has begun already, or the connection has ended.
        """
        if isinstance(exc, ConnectionError):
            raise exc  # the client is gone, in the middle of a WebSocket's handshake, say: no defect, nobody to answer
        request_id = request[REQUEST_ID] = os.urandom(8).hex()
        if status >= 500:
            error = exc if isinstance(exc, Exception) else RuntimeError()
            logs.failure(error, request_id=request_id, method="?")
            refusal = Refusal(status, error)
        else:
            refusal = _refusal(exc)
            reason = type(exc).__name__
            logs.event(logging.INFO, "http.refused", request_id=request_id, status=refusal.status, reason=reason)
        self._refused(refusal.status)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        answer = http_errors.response(request, refusal)
        answer_headers.add(answer.headers, request, varies=False)
        answer.force_close()
        return answer


def _refusal(error: BaseException | None) -> Refusal:
    if isinstance(error, LineTooLong):
        return _LINE if error.args[1] == LINE_BYTES else _FIELD
    return _OTHER

"""GET /ws: the handshake. Everything that it refuses is an HTTP answer, as the error object of JSON-RPC."""

import math
from dataclasses import dataclass

from aiohttp import web

from auth.errors import InvalidToken
from kernel_bridge.errors import LimitExceeded
from rpc import bearer, http_errors, logs
from rpc.arrival import ARRIVAL
from rpc.connection import Connection, Front, Line
from rpc.context import Services
from rpc.dispatch import Dispatcher
from rpc.errors import InvalidRequest
from rpc.http_errors import Refusal
from rpc.request_id import REQUEST_ID
from rpc.subscriptions import Subscriptions


@dataclass(frozen=True, slots=True)
class Figures:
    """What the WebSockets of a front come to."""

    connections: int
    subscriptions: int
    polls: int
    """questions to the host behind the subscriptions"""
    unsent_bytes: int
    """pages and frames that slow clients have not taken"""


class WebSocketEndpoint:
    """Owns the WebSockets of a front. `stop` ends them, each at its own pace, when the front drains."""

    def __init__(self, services: Services, dispatcher: Dispatcher) -> None:
        self._services = services
        self._front = Front(services, dispatcher, Subscriptions(services))
        self._connections: set[Connection] = set()

    @property
    def figures(self) -> Figures:
        """What there is at this moment, for monitors."""
        shared, all_of_them = self._front.subscriptions, self._connections
        held = sum(connection.held_bytes for connection in all_of_them)
        unsent = sum(connection.unsent_bytes for connection in all_of_them)
        return Figures(len(all_of_them), shared.count, shared.polls.under_way, held + unsent)

    def stop(self) -> None:
        """From now on: no further message is read; what is under way is answered, then 1001."""
        for connection in self._connections:
            connection.stop()

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Raises Refusal: 400, 401, 426, 503."""
        settings = self._services.settings
        if self._services.lifecycle.draining:
            raise http_errors.draining(settings.retry_after_s)
        token = self._check(request)
        # `body_bytes` are allowed, and the library refuses what is as long as its limit
        socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=settings.body_bytes + 1, timeout=settings.ws_close_s
        )
        with self._services.lifecycle.request():
            writer = await socket.prepare(request)
            transport = request.transport
            if transport is not None:
                line = Line(socket, writer, transport, request[ARRIVAL].address if ARRIVAL in request else "")
                await self._serve(line, token, request[REQUEST_ID])
        return socket

    async def _serve(self, line: Line, token: str | None, request_id: str) -> None:
        connection = Connection(self._front, line, token, request_id)
        self._connections.add(connection)
        if self._services.lifecycle.draining:
            connection.stop()
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001 (the border: a defect of ours is logged; the client sees 1006)
            logs.failure(error, request_id=request_id, method="?")
        finally:
            self._connections.discard(connection)

    def _check(self, request: web.Request) -> str | None:
        """The token of the Authorization header. Raises Refusal."""
        _check_upgrade(request)
        limit = self._services.settings.ws_connections
        if len(self._connections) >= limit:
            words = f"this front has {limit} WebSockets, and takes no more"
            headers = {"Retry-After": str(math.ceil(self._services.settings.retry_after_s))}
            raise Refusal(503, LimitExceeded("ws_connections", limit, words), headers)
        try:
            token = bearer.parse(request.headers.getall("Authorization", ()))
            if token is not None:
                self._services.authenticator.check(token)
        except InvalidToken as error:
            raise http_errors.unauthorized(error) from None
        return token


def _check_upgrade(request: web.Request) -> None:
    """Raises Refusal."""
    if request.query_string:
        words = "no parameters in the URL: a token goes into the Authorization header, a call's `token` or `login`"
        raise Refusal(400, InvalidRequest(words))
    if "Sec-WebSocket-Protocol" in request.headers:
        raise Refusal(400, InvalidRequest("`Sec-WebSocket-Protocol`: expected none"))
    if not web.WebSocketResponse().can_prepare(request).ok:
        words = "expected the handshake of a WebSocket, version 13 (RFC 6455); single calls go to POST /rpc"
        raise Refusal(426, InvalidRequest(words), {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"})

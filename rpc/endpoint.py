"""POST /rpc."""

import asyncio

from aiohttp import StreamReader, web

from auth.errors import InvalidToken
from rpc import http_errors
from rpc.arrival import ARRIVAL
from rpc.context import Services
from rpc.dispatch import Dispatcher
from rpc.errors import InvalidRequest
from rpc.http_errors import Refusal
from rpc.request_id import REQUEST_ID

_MEDIA_TYPES = frozenset({"application/json", "application/json-rpc"})
_MEDIA_TYPE_WORDS = "send JSON: `curl --json '...'` or `-H 'Content-Type: application/json'`"


class Endpoint:
    """JSON-RPC 2.0 over HTTP: 200 for every answer, 204 for notifications only, a Refusal for everything else."""

    def __init__(self, services: Services, dispatcher: Dispatcher) -> None:
        self._services = services
        self._dispatcher = dispatcher

    async def post(self, request: web.Request) -> web.Response:
        """Raises Refusal: 401, 408, 413, 415, 503."""
        if self._services.lifecycle.draining:
            raise http_errors.draining(self._services.settings.retry_after_s)
        with self._services.lifecycle.request():
            _check_media_type(request)
            body = await self._body(request)
            try:
                answer = await self._dispatcher.dispatch(
                    body,
                    request.headers.getall("Authorization", ()),
                    request[REQUEST_ID],
                    request.headers.get("traceparent"),
                    request[ARRIVAL].address if ARRIVAL in request else "",
                )
            except InvalidToken as error:
                raise http_errors.unauthorized(error) from None
            if answer is None:
                return web.Response(status=204)
            return web.Response(body=answer, content_type="application/json")

    async def _body(self, request: web.Request) -> bytes:
        """The whole body. A length that the client gave is only believed when it is too large."""
        limit = self._services.settings.body_bytes
        if (request.content_length or 0) > limit:
            raise http_errors.body_too_large(limit)
        if request.content.is_eof() and request.content.exception() is None:
            body = request.content.read_nowait()  # it came with the head
            if len(body) > limit:
                raise http_errors.body_too_large(limit)
            return body
        return await self._arriving(request.content, limit)

    async def _arriving(self, content: StreamReader, limit: int) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._services.settings.body_s):
                async for chunk in content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        raise http_errors.body_too_large(limit)
        except TimeoutError:
            words = f"the body did not arrive within {self._services.settings.body_s:g} s"
            raise Refusal(408, InvalidRequest(words), {"Connection": "close"}) from None
        except web.RequestPayloadError:
            raise Refusal(400, InvalidRequest("the body cannot be read"), {"Connection": "close"}) from None
        return bytes(body)


def _check_media_type(request: web.Request) -> None:
    """Refuse what a form of a foreign web page could send (CSRF), and bodies that would have to be inflated."""
    kind = request.content_type
    if kind not in _MEDIA_TYPES and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Refusal(415, InvalidRequest(_MEDIA_TYPE_WORDS))
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Refusal(415, InvalidRequest("send the body without Content-Encoding"), {"Accept-Encoding": "identity"})

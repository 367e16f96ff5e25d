"""GET /metrics, for a Prometheus on this machine."""

import ipaddress
import time

from aiohttp import web

from kernel_bridge import hop
from kernel_bridge.errors import BridgeError
from rpc.context import Services
from rpc.errors import InvalidRequest
from rpc.http_errors import Refusal
from rpc.metrics import FrontFigures, HostFigures
from rpc.websocket import WebSocketEndpoint

SCRAPE_S = 1.0
"""how long a scrape waits for the host; then it answers with the front's figures"""
_PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
_NOBODY = hop.Caller("", "")


class MetricsEndpoint:
    """Open to whoever connects from a loopback address, without a token: it says how much, never who or what."""

    def __init__(self, services: Services, sockets: WebSocketEndpoint) -> None:
        self._services = services
        self._sockets = sockets

    async def metrics(self, request: web.Request) -> web.Response:
        """The figures of this front and of the host. Raises Refusal (403) for callers elsewhere."""
        if not _is_local(request):
            raise Refusal(403, InvalidRequest("/metrics is served to this machine only, and not through a proxy"))
        host = await self._host()
        services, sockets = self._services, self._sockets.figures
        front = FrontFigures(
            services.long_polls.waiting,
            services.lifecycle.requests,
            services.authenticator.database_up,
            sockets.connections,
            sockets.subscriptions,
            sockets.unsent_bytes,
        )
        body, content_type = services.metrics.render(request.headers.get("Accept", ""), front, host)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _host(self) -> HostFigures | None:
        asked = time.monotonic()
        try:
            answer = await self._services.bridge.call(hop.Stats(caller=_NOBODY), timeout_s=SCRAPE_S)
        except BridgeError:
            return None
        return HostFigures(answer.decode(), time.monotonic() - asked)


def _is_local(request: web.Request) -> bool:
    """A proxy on this machine calls from loopback for everybody, so what went through one is not local."""
    try:
        peer = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    return peer.is_loopback and not any(name in request.headers for name in _PROXIED)

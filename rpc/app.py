"""The HTTP application: routes, middlewares, life cycle."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from rpc import answer_headers
from rpc.connection import TICK_S
from rpc.context import Services
from rpc.dispatch import Dispatcher
from rpc.documents import DocumentsEndpoint
from rpc.endpoint import Endpoint
from rpc.gate import Gate
from rpc.health import HealthEndpoint
from rpc.http_errors import answer_errors
from rpc.methods import REGISTRY
from rpc.metrics_endpoint import MetricsEndpoint
from rpc.registry import Method
from rpc.request_id import give_request_id
from rpc.websocket import WebSocketEndpoint

SERVICES = web.AppKey("services", Services)
SOCKETS = web.AppKey("sockets", WebSocketEndpoint)


def create_app(services: Services, registry: Mapping[str, Method[Any]] = REGISTRY) -> web.Application:
    """The application of one front. On shutdown it drains: see Lifecycle.drain.

    Run it with `handler_cancellation=True`, so that a closed connection ends its long poll, and close `bridge` and
    `authenticator` of `services` after it.
    """
    app = web.Application(middlewares=[give_request_id, answer_errors, Gate(services.settings).check])
    app[SERVICES] = services
    health = HealthEndpoint(services)
    dispatcher = Dispatcher(registry, services)
    sockets = app[SOCKETS] = WebSocketEndpoint(services, dispatcher)
    app.router.add_post("/rpc", Endpoint(services, dispatcher).post)
    app.router.add_get("/ws", sockets.get, allow_head=False)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    documents = DocumentsEndpoint()
    app.router.add_get("/openapi.json", documents.openapi)
    app.router.add_get("/openrpc.json", documents.openrpc)
    app.router.add_get("/metrics", MetricsEndpoint(services, sockets).metrics)
    app.cleanup_ctx.append(_watch_tokens)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(_drain)
    return app


async def _watch_tokens(app: web.Application) -> AsyncIterator[None]:
    """End long polls whose token was revoked, as long as the application runs."""
    watching = asyncio.create_task(_end_void_polls(app[SERVICES]), name="tokens")
    yield
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def _end_void_polls(services: Services) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        services.long_polls.end_void(services.authenticator.check)


async def _drain(app: web.Application) -> None:
    services = app[SERVICES]
    app[SOCKETS].stop()
    await services.lifecycle.drain(services.settings.drain_s)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    services = request.app[SERVICES]
    services.metrics.response(response.status)
    answer_headers.add(response.headers, request, varies=bool(services.settings.cors_origins))

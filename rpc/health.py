"""GET /healthz (the process lives) and /readyz (calls would be served)."""

from typing import Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from rpc.context import Services
from rpc.messages import API_VERSION


class Health(Struct, frozen=True):
    status: Literal["ok"]
    version: str
    api: str
    worker: str
    """the front that answers, such as front-1"""


class Readiness(Struct, frozen=True):
    ready: bool
    reasons: list[str]
    """what is missing: draining, host, database"""
    sandbox: str = ""
    """the profile that kernels run in, and the layers of it that this machine has or refuses; empty without a host"""
    notes: list[str] = []
    """limits that the machine does not let the service keep as they are set; it serves all the same"""


class HealthEndpoint:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def healthz(self, _: web.Request) -> web.Response:
        """200 as long as the process answers."""
        return _json(200, Health("ok", self._services.version, API_VERSION, self._services.worker))

    async def readyz(self, _: web.Request) -> web.Response:
        """200, or 503 with the reasons. A database that is away stops log-ins only, but no new client gets in."""
        reasons = [
            name
            for name, missing in (
                ("draining", self._services.lifecycle.draining),
                ("host", not self._services.bridge.ready),
                ("database", not self._services.authenticator.database_up),
            )
            if missing
        ]
        bridge = self._services.bridge
        return _json(503 if reasons else 200, Readiness(not reasons, reasons, bridge.sandbox, list(bridge.notes)))


def _json(status: int, body: Struct) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")

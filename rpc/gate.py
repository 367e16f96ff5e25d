"""The gate: every request passes it before any route, and is refused here for where it comes from."""

from aiohttp import web

from rpc import arrival, cors, origins
from rpc.arrival import ARRIVAL
from rpc.hosts import Hosts
from rpc.http_errors import Handler
from rpc.origins import ORIGIN
from rpc.settings import RpcSettings


class Gate:
    """`check` is a middleware. What it finds out stands in the request: ARRIVAL, and ORIGIN for listed pages."""

    def __init__(self, settings: RpcSettings) -> None:
        self._behind_proxy = settings.behind_proxy
        self._hosts = Hosts(settings.allowed_hosts)
        self._origins = frozenset(settings.cors_origins)

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Raises Refusal: 400 and 421 (see Hosts), 403 (see origins)."""
        arrived = request[ARRIVAL] = arrival.read(request, behind_proxy=self._behind_proxy)
        self._hosts.check(arrived.host, _served_address(request))
        origin = origins.check(request.headers.getall("Origin", ()), arrived, self._origins)
        if origin is not None:
            request[ORIGIN] = origin
            if cors.is_preflight(request):
                return cors.preflight()
        return await handler(request)


def _served_address(request: web.Request) -> str:
    """The address that the client has connected to."""
    name: tuple[str, int] | None = request.get_extra_info("sockname")
    return name[0] if name else ""

"""How a request arrived: the scheme, the host and the address that its client used.

A proxy hides all three and says them in headers, which any client can write too. So they are believed only where the
settings say that there is a proxy (`behind_proxy`), and of each only the last entry, which the nearest proxy wrote.
"""

import functools
import ipaddress
from dataclasses import dataclass

from aiohttp import web

from rpc.errors import InvalidRequest
from rpc.http_errors import Refusal

_SCHEMES = ("http", "https")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """`host` is the Host header as it came; `address` the client's IP address, empty if there is none."""

    scheme: str
    host: str
    address: str

    @property
    def origin(self) -> str:
        """What a browser sends as `Origin` from pages of this very service. RFC 6454, section 6.2."""
        return f"{self.scheme}://{self.host.lower().removesuffix(_DEFAULT_PORTS[self.scheme])}"


ARRIVAL = web.RequestKey("arrival", Arrival)


def read(request: web.Request, *, behind_proxy: bool) -> Arrival:
    """Raises Refusal (400): no host or several, or a proxy's header that says neither http nor https."""
    hosts = request.headers.getall("Host", ())
    if len(hosts) != 1:
        raise Refusal(400, InvalidRequest("`Host`: expected one"))
    host, scheme, address = hosts[0], request.scheme, request.remote
    if behind_proxy:
        host = _last(request, "X-Forwarded-Host") or host
        scheme = (_last(request, "X-Forwarded-Proto") or scheme).lower()
        address = _last(request, "X-Forwarded-For") or address
    if scheme not in _SCHEMES:
        raise Refusal(400, InvalidRequest("`X-Forwarded-Proto`: expected http or https"))
    return Arrival(scheme, host, plain_address(address or "") or plain_address(request.remote or ""))


@functools.lru_cache(maxsize=256)  # every request passes here, and to read an address costs 5 us
def plain_address(text: str) -> str:
    """The IP address in `text`, which may have a port; an IPv4 address in IPv6 as IPv4. Empty if there is none."""
    inner = text.removeprefix("[").partition("]")[0] if text.startswith("[") else text
    if inner.count(":") == 1:
        inner = inner.partition(":")[0]
    try:
        found = ipaddress.ip_address(inner)
    except ValueError:
        return ""
    return str((found.version == 6 and found.ipv4_mapped) or found)


def _last(request: web.Request, name: str) -> str:
    """The last entry of a list that may be spread over several headers of the same name. RFC 9110, section 5.3."""
    values = request.headers.getall(name, ())
    return values[-1].rpartition(",")[2].strip() if values else ""

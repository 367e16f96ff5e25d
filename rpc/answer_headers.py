"""Headers of every answer: nobody keeps it, no browser takes it for a page, no page frames it."""

from aiohttp import web
from multidict import CIMultiDict

from rpc import cors
from rpc.arrival import ARRIVAL
from rpc.hosts import is_loopback
from rpc.origins import ORIGIN
from rpc.request_id import HEADER, REQUEST_ID

HSTS = "max-age=31536000"
_ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "kernelwire",
}


def add(headers: CIMultiDict[str], request: web.BaseRequest, *, varies: bool) -> None:
    """`varies`: whether answers depend on the Origin header. Works for requests that were not understood, too."""
    headers.update(_ALWAYS)
    if varies:
        headers["Vary"] = "Origin"
    if REQUEST_ID in request:
        headers[HEADER] = request[REQUEST_ID]
    if ORIGIN in request:
        cors.allow(headers, request[ORIGIN])
    # On localhost it would bind every other service of the machine. RFC 6797, section 7.2: only over TLS
    if ARRIVAL in request and request[ARRIVAL].scheme == "https" and not _is_local(request[ARRIVAL].host):
        headers["Strict-Transport-Security"] = HSTS


def _is_local(host: str) -> bool:
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name.lower().removesuffix(".") == "localhost" or is_loopback(name)

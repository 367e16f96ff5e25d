"""Which web pages may call: those of the service's own origin, and those listed in `rpc.cors_origins`.

Programs send no Origin header; browsers send one with every POST and every handshake of a WebSocket, which the
same-origin rule does not cover (RFC 6455, section 10.2). Origins are compared as whole strings, never by pattern:
`https://good.example.evil.com` only begins like `https://good.example`. `null` is nobody's.
"""

from collections.abc import Sequence

from aiohttp import web

from rpc.arrival import Arrival
from rpc.errors import InvalidRequest
from rpc.http_errors import Refusal

ORIGIN = web.RequestKey("origin", str)
"""of a request from a listed page"""
_WORDS = (
    "`Origin`: this page may not call the service; its origin has to stand in the setting rpc.cors_origins "
    "(KERNELWIRE_RPC__CORS_ORIGINS), exactly as the browser sends it"
)


def check(sent: Sequence[str], arrival: Arrival, listed: frozenset[str]) -> str | None:
    """The listed origin that `sent`, the Origin headers, names; None where there is none, or our own.

    Raises Refusal (403).
    """
    if not sent:
        return None
    origin = sent[0]
    if len(sent) == 1 and origin in listed:
        return origin
    if len(sent) == 1 and origin.lower() == arrival.origin:
        return None
    raise Refusal(403, InvalidRequest(_WORDS))

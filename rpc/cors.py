"""What a browser is told about a page of a listed origin. Source: Fetch Standard, "CORS protocol".

Credentials are never allowed: the token goes into the Authorization header, which the page itself sets.
"""

from aiohttp import web
from multidict import CIMultiDict

MAX_AGE_S = 600
_REQUEST_HEADERS = "Authorization, Content-Type, X-Request-Id, traceparent"
_ANSWER_HEADERS = "X-Request-Id, Retry-After, WWW-Authenticate"


def is_preflight(request: web.Request) -> bool:
    """Whether the browser asks in advance for a page."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def preflight() -> web.Response:
    """204. The origin itself is added as to every answer."""
    headers = {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": str(MAX_AGE_S),
    }
    return web.Response(status=204, headers=headers)


def allow(headers: CIMultiDict[str], origin: str) -> None:
    """Let pages of `origin`, and of no other, read the answer."""
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = _ANSWER_HEADERS

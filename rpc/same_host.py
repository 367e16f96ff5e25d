"""Who may open a WebSocket from a browser: pages of this very host, asked for under a name that is its own.

The same-origin rule does not cover WebSockets, so that any page could connect (RFC 6455, section 10.2); and a page
whose name was rebound to this address has the same origin, but a foreign Host.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_SCHEMES = ("http", "https")


def host_fault(host: str | None, served: str | None) -> str | None:
    """Why the Host header is refused, None if it is not: a loopback name, or `served`, the address connected to."""
    found = _HOST.fullmatch(host or "")
    if found is None:
        return "`Host`: expected one name or address, with or without a port"
    name = found[1].strip("[]").lower().removesuffix(".")
    if name == "localhost" or _is_loopback(name) or name == served:
        return None
    return "`Host`: expected localhost, or the address that is served"


def origin_fault(origin: str | None, host: str) -> str | None:
    """Why the Origin header is refused, None if it is not: none, which browsers always send, or exactly `host`."""
    if origin is None:
        return None
    try:
        parts = urlsplit(origin)
    except ValueError:
        return "`Origin`: this is none"
    if parts.scheme in _SCHEMES and origin.lower() == f"{parts.scheme}://{host}".lower():
        return None
    return "`Origin`: only pages of this host may connect, with the name and the port that they have"


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False

"""The names under which the service may be asked for: the barrier against DNS rebinding.

A page of a foreign name that is rebound to our address has the same origin as we have; what gives it away is the Host
header. Addresses cannot be rebound: those of loopback, and the one that the client has connected to, are always
served. Every other name has to be in the setting `rpc.allowed_hosts`. Ports are not compared: whoever forwards one
(`ssh -L`, a container) has another in front, and rebinding is about names.
"""

import functools
import ipaddress
import re
from collections.abc import Iterable

from rpc.arrival import plain_address
from rpc.errors import InvalidRequest
from rpc.http_errors import Refusal

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_WORDS = (
    "`Host`: the service is not known by this name; expected localhost, the address that is served, or a name of the "
    "setting rpc.allowed_hosts (KERNELWIRE_RPC__ALLOWED_HOSTS)"
)


class Hosts:
    """Looks at Host headers."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """`allowed`: names and addresses without ports, in whatever case."""
        self._allowed = frozenset({"localhost", *(name.lower() for name in allowed)})

    def check(self, host: str, served: str) -> None:
        """`served`: the address that the client has connected to.

        Raises Refusal: 400 (no host), 421 (RFC 9110, section 15.5.20).
        """
        found = _HOST.fullmatch(host)
        if found is None:
            raise Refusal(400, InvalidRequest("`Host`: expected a name or an address, with or without a port"))
        name = found[1].strip("[]").lower().removesuffix(".")
        if name not in self._allowed and not _is_here(name, served):
            raise Refusal(421, InvalidRequest(_WORDS))


@functools.lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether `name` is an address of loopback."""
    address = plain_address(name)
    return bool(address) and ipaddress.ip_address(address).is_loopback


def _is_here(name: str, served: str) -> bool:
    address = plain_address(name)
    return bool(address) and (is_loopback(name) or address == plain_address(served))

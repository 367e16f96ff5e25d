"""The listening socket, which the supervisor binds and every front inherits."""

import ipaddress
import socket

from kernelwire.errors import CannotServe

BACKLOG = 512
"""connections that wait while no front takes them, as between the end of one and the start of the next"""


def bind(host: str, port: int, *, shielded: bool = False) -> socket.socket:
    """The listening socket, which the caller closes. `shielded`: TLS or a proxy protects what crosses the network.

    Without it, loopback only. Raises CannotServe.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise CannotServe(f"--host {host}: expected an IP address, such as 127.0.0.1 or ::1") from None
    if not shielded and not ip.is_loopback:
        raise CannotServe(
            f"--host {host}: without TLS only loopback addresses (127.0.0.1, ::1) are served: tokens and code would "
            "cross the network in clear text. Give --tls-cert and --tls-key, or --behind-proxy, "
            "or reach it through ssh -L."
        )
    listener = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        hint = "choose another one with --port (0: any free one)"
        why = error.strerror if isinstance(error, OSError) else error  # without "[Errno 98]", which helps nobody
        raise CannotServe(f"port {port} of {host}: {why}; {hint}") from None
    return listener


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Where it answers, with the real port; of all addresses the one of loopback."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

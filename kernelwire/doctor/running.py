"""What runs on the state directory: a service, a host."""

import errno
import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kernel_bridge.host_file import HOST_FILE, HOST_LOCK, HostFile
from kernel_bridge.host_lock import HostLock
from kernelwire import __version__, json_rpc, serve_file
from kernelwire.doctor.finding import Finding, fine, problem, warning
from kernelwire.settings import Resolved, ServeSettings

ANSWER_S = 5.0


def check(chosen: Resolved) -> Iterator[Finding]:
    place = chosen.state_dir
    if not place.exists():
        yield fine("service", "none runs")
    else:
        yield _service(place)
        yield _host(place)


def port(chosen: Resolved) -> Iterator[Finding]:
    """Whether one more service could listen, where none runs."""
    if not serve_file.is_running(chosen.state_dir):
        yield _port(chosen.settings.serve)


def _service(place: Path) -> Finding:
    found = serve_file.find(place)
    if found is None:
        return fine("service", "only just starting or ending" if serve_file.is_running(place) else "none runs")
    try:
        status, body = json_rpc.get(f"{found.url}/readyz", ANSWER_S, found.certificate)
    except (OSError, http.client.HTTPException) as error:
        text = f"pid {found.pid} does not answer on {found.url}: {error or type(error).__name__}"
        return problem("service", text, "see its log; stop it by Ctrl-C or SIGTERM and start it again")
    if status != http.client.OK:
        text = f"{found.url} is not ready: {body.decode(errors='replace')[:200]}"
        return problem("service", text, "see its log for the part that is missing")
    if found.version != __version__:
        text = f"{found.url} runs version {found.version}, installed is {__version__}"
        return warning("service", text, "restart it to run the installed one")
    return fine("service", f"ready on {found.url}, pid {found.pid}")


def _host(place: Path) -> Finding:
    if not HostLock(place / HOST_LOCK).held_by_other():
        left = (
            " (the last one was killed; the next start recovers its sessions)" if (place / HOST_FILE).exists() else ""
        )
        return fine("host", f"none runs{left}")
    try:
        file = msgspec.json.decode((place / HOST_FILE).read_bytes(), type=HostFile)
    except (OSError, msgspec.MsgspecError):
        return fine("host", "only just starting or ending")
    whose = "of `kernelwire serve`" if file.owned else "alone, started by `kernelwire host`"
    text = f"pid {file.pid}, version {file.version}, {whose}"
    if file.version != __version__:
        return warning("host", f"{text}; installed is {__version__}", "restart it when its kernels may end")
    return fine("host", text)


def _port(serve: ServeSettings) -> Finding:
    """Whether `serve` could listen, as far as trying tells."""
    if serve.port == 0:
        return fine("port", "any free one")
    kind = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
    with socket.socket(kind) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((serve.host, serve.port))
        except OSError as error:
            mend = "choose another one: serve.port, or --port (0: any free one)"
            what = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had: {error.strerror}"
            return warning("port", f"{serve.port} of {serve.host} {what}", mend)
    return fine("port", f"{serve.port} of {serve.host} is free")

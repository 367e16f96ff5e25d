"""One JSON-RPC call over HTTP, by the standard library, whose import takes a tenth of an HTTP framework's.

Source: JSON-RPC 2.0, sections 4 and 5.
"""

import contextlib
import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from kernelwire.errors import Failed

CONNECT_S = 10.0
ANSWER_S = 150.0
"""bound of an answer beside what the caller waits: a kernel may have to start first"""
MAX_BYTES = 1 << 28
_PEM_END = "-----END CERTIFICATE-----"
INVALID_TOKEN = -32002
"""the wire contract's code of a missing, expired or revoked token"""


class RpcError(Struct, frozen=True):
    """The error object of an answer."""

    code: int
    message: str
    data: dict[str, Any] | None = None


class CallFailed(Failed):
    """The service answered with an error; `error` as it came."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(error.message)
        self.error = error


class _Answer(Struct, frozen=True):
    result: Raw = Raw(b"")
    error: RpcError | None = None


def call(
    url: str, method: str, params: dict[str, Any], token: str | None, wait_s: float = 0.0, certificate: str = ""
) -> bytes:
    """The result's JSON. `url` is the service's, without `/rpc`; `wait_s` is what the call itself may take.

    `certificate`: the file of the one that the service must have; without it, it must be one that the system trusts.

    Raises CallFailed, Failed (nobody answers, no JSON-RPC, or what cannot be a token).
    """
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, allow_nan=False).encode()
    headers = {"Content-Type": "application/json"}
    if token is not None:
        if not (token.isascii() and token.isprintable()):  # it could not be sent, and must not be quoted
            raise Failed("the token cannot be one: it has other characters than tokens have, such as an end of line")
        headers["Authorization"] = f"Bearer {token}"
    try:
        status, content = _post(url, body, headers, wait_s, certificate)
    except UnicodeError:  # of a name that no host can have, a path that HTTP cannot say
        raise Failed(f"{url} does not answer: this is no address") from None
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{url} does not answer: {error or type(error).__name__}") from None
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except msgspec.MsgspecError:
        raise Failed(f"{url} answered with HTTP status {status} and no JSON-RPC: is it kernelwire?") from None
    if answer.error is not None:
        raise CallFailed(answer.error)
    if not bytes(answer.result):
        raise Failed(f"{url} answered with HTTP status {status} and no JSON-RPC: is it kernelwire?")
    return bytes(answer.result)


def get(url: str, timeout_s: float, certificate: str = "") -> tuple[int, bytes]:
    """Status and body. `certificate`: as for `call`. Raises OSError, HTTPException."""
    with contextlib.closing(_connection(url, timeout_s, certificate)) as connection:
        connection.request("GET", urlsplit(url).path)
        return _whole(connection.getresponse())


def _post(url: str, body: bytes, headers: dict[str, str], wait_s: float, certificate: str) -> tuple[int, bytes]:
    with contextlib.closing(_connection(url, CONNECT_S, certificate)) as connection:
        connection.connect()
        connection.sock.settimeout(wait_s + ANSWER_S)
        connection.request("POST", f"{urlsplit(url).path}/rpc", body, headers)
        return _whole(connection.getresponse())


def _whole(answer: http.client.HTTPResponse) -> tuple[int, bytes]:
    """Raises IncompleteRead if the connection was cut, or the answer is above MAX_BYTES."""
    content = answer.read(MAX_BYTES)
    if answer.length:
        raise http.client.IncompleteRead(content, answer.length)
    return answer.status, content


def _connection(url: str, timeout_s: float, certificate: str) -> http.client.HTTPConnection:
    """Raises OSError."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    context = _pinned(certificate) if certificate else ssl.create_default_context()
    return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=context)


def _pinned(certificate: str) -> ssl.SSLContext:
    """Trust the first certificate of the file, and no other, by whatever name the service is called."""
    first, end, _ = Path(certificate).read_text("ascii", "replace").partition(_PEM_END)
    context = ssl.create_default_context(cadata=first + end)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context

"""A blocking JSON-RPC client on one kept-alive HTTP connection."""

import http.client
from typing import Any, TypeVar

import msgspec

from bench.protocol import BenchFailed

T = TypeVar("T")


class _Error(msgspec.Struct):
    code: int
    message: str


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class JsonRpcClient:
    """http.client, because it blocks as the raw 0MQ client does, so that no event loop of the client's is measured.

    It sets TCP_NODELAY itself (http.client.HTTPConnection.connect), and sends head and body in two writes, as most
    HTTP libraries of Python do. `close` closes the connection.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json"}
        self._number = 0

    def log_in(self, username: str, password: str) -> None:
        """Open a session with a started kernel; later calls go to it. Raises BenchFailed."""

        class Login(msgspec.Struct):
            token: str

        answer = self.call("login", {"username": username, "password": password, "start": True}, Login)
        self._headers["Authorization"] = f"Bearer {answer.token}"

    def call(self, method: str, params: dict[str, Any], result: type[T]) -> T:
        """Raises BenchFailed for an error, for no answer, and for one that is no `result`."""
        self._number += 1
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        try:
            self._connection.request("POST", "/rpc", body, self._headers)
            answer = msgspec.json.decode(self._connection.getresponse().read(), type=_Answer)
            if answer.error is not None:
                raise BenchFailed(f"{method}: {answer.error.message} ({answer.error.code})")
            return msgspec.json.decode(answer.result, type=result)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise BenchFailed(f"{method}: {error!r}") from error

    def close(self) -> None:
        self._connection.close()

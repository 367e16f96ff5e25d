"""A blocking JSON-RPC client on one kept-alive HTTP connection."""

import http.client
from typing import Any, TypeVar

import msgspec

from bench.protocol import BenchFailed

T = TypeVar("T")


class CallFailed(BenchFailed):
    """A JSON-RPC error was the answer; `code` is its code."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.code = code


class _Error(msgspec.Struct):
    code: int
    message: str


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


class _Login(msgspec.Struct):
    token: str
    session: str


class JsonRpcClient:
    """http.client, because it blocks as the raw 0MQ client does, so that no event loop of the client's is measured.

    It sets TCP_NODELAY itself (http.client.HTTPConnection.connect), and sends head and body in two writes, as most
    HTTP libraries of Python do. `close` closes the connection.
    """

    def __init__(self, host: str, port: int, timeout_s: float, token: str = "") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json"}
        self._number = 0
        self._use(token)

    def log_in(self, username: str, password: str) -> tuple[str, str]:
        """Open a session, whose kernel starts when it is needed; later calls bring its token. Token and session.

        Raises BenchFailed.
        """
        answer = self.call("login", {"username": username, "password": password}, _Login)
        self._use(answer.token)
        return answer.token, answer.session

    def call(self, method: str, params: dict[str, Any], result: type[T]) -> T:
        """Raises CallFailed for an error, BenchFailed for no answer and for one that is no `result`."""
        self._number += 1
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        try:
            self._connection.request("POST", "/rpc", body, self._headers)
            answer = msgspec.json.decode(self._connection.getresponse().read(), type=_Answer)
            if answer.error is not None:
                raise CallFailed(method, answer.error.code, answer.error.message)
            return msgspec.json.decode(answer.result, type=result)
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            self._connection.close()  # a connection that failed is made anew by the next call
            raise BenchFailed(f"{method}: {error!r}") from error

    def close(self) -> None:
        self._connection.close()

    def _use(self, token: str) -> None:
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

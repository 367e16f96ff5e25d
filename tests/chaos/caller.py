"""A client as the documentation wants it: it tries again after a lost connection, or when it is told to."""

import asyncio
import itertools
import socket
import weakref
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
from msgspec import Raw, Struct

from tests.chaos.transcript import BOUND_S

ANSWER_S = 3.0
"""a call whose answer is so late, beside its own `wait`, is tried on another connection"""
PAUSE_S = 0.02
"""after a lost connection; enough, as a front that is gone leaves the port to the others"""
AGAIN = (-32040, -32041)
"""ShuttingDown, HostUnavailable"""


class _Error(Struct, frozen=True):
    code: int
    message: str
    data: dict[str, Any] | None = None


class _Answer(Struct, frozen=True):
    result: Raw = Raw(b"")
    error: _Error | None = None


class _Health(Struct, frozen=True):
    worker: str


class Refused(Exception):
    """The service said no."""

    def __init__(self, method: str, error: _Error) -> None:
        super().__init__(f"{method}: {error.code} {error.message} {error.data}")
        self.code = error.code
        self.data = error.data


class NoAnswer(AssertionError):
    """No answer within BOUND_S, however often it was tried."""


class Caller:
    """Calls by connections of its own. Close it, or use it as a context."""

    def __init__(self, url: Callable[[], str], token: str = "") -> None:
        self.token = token
        self._url = url
        self._numbers = itertools.count(1)
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        connector = aiohttp.TCPConnector(socket_factory=self._socket, force_close=False)
        self._http = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        await self._http.close()

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def cut(self) -> None:
        """Break every connection, with calls under way or without."""
        for found in list(self._sockets):
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed before

    async def call(self, method: str, /, **params: Any) -> Raw:
        """The result. Raises Refused, NoAnswer."""
        clock = asyncio.get_running_loop().time
        until = clock() + BOUND_S + params.get("wait", 0.0)
        while True:
            try:
                return await self._once(method, params)
            except Refused as error:
                if error.code not in AGAIN:
                    raise
                pause, reason = float((error.data or {}).get("retry_after_s", PAUSE_S)), str(error)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                pause, reason = PAUSE_S, repr(error)
            if clock() > until:
                raise NoAnswer(f"{method}: no answer within {BOUND_S:g} s, at last: {reason}")
            await asyncio.sleep(pause)

    async def worker(self) -> str:
        """The name of the front that answers; empty if none does now."""
        try:
            async with asyncio.timeout(ANSWER_S), self._http.get(f"{self._url()}/healthz") as response:
                return msgspec.json.decode(await response.read(), type=_Health).worker
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(PAUSE_S)
            return ""

    async def web_socket(self) -> aiohttp.ClientWebSocketResponse:
        """Raises aiohttp.ClientError, OSError, TimeoutError."""
        async with asyncio.timeout(ANSWER_S):
            return await self._http.ws_connect(f"{self._url()}/ws", headers=self._headers(), max_msg_size=0)

    async def _once(self, method: str, params: dict[str, Any]) -> Raw:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params})
        headers = self._headers() | {"Content-Type": "application/json"}
        async with (
            asyncio.timeout(ANSWER_S + params.get("wait", 0.0)),
            self._http.post(f"{self._url()}/rpc", data=body, headers=headers) as response,
        ):
            answer = msgspec.json.decode(await response.read(), type=_Answer)
        if answer.error is not None:
            raise Refused(method, answer.error)
        return answer.result

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        self._sockets.add(made)
        return made

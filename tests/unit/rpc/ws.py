"""WebSockets for tests: a front with fakes on a real port, and a client that waits for what it is told to wait for."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from kernel_bridge import hop, results
from kernel_bridge.errors import InvalidArgument
from rpc.app import SOCKETS, create_app
from rpc.websocket import Figures
from tests.unit.rpc.fakes import TOKEN, FakeBridge, Front

BOUND_S = 10.0


@dataclass
class FakeLog:
    """A session's log behind a FakeBridge: polls wait for events as the host lets them."""

    bridge: FakeBridge
    events: list[bytes] = field(default_factory=list[bytes])
    polls: list[hop.PollOutput] = field(default_factory=list[hop.PollOutput])
    failure: Exception | None = None
    done: bool | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._call = self.bridge.call
        self.bridge.call = self.call

    def write(self, *texts: str) -> None:
        for text in texts:
            head = {"seq": len(self.events) + 1, "cell": "c1", "time": "t", "type": "stream", "content": {"text": text}}
            self.events.append(json.dumps(head).encode())
        self.pulse()

    def pulse(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def call(self, request: Any, *, timeout_s: float) -> Any:
        if not isinstance(request, hop.PollOutput):
            return await self._call(request, timeout_s=timeout_s)
        self.polls.append(request)
        while self.failure is None and request.wait and len(self.events) <= request.cursor and not self.done:
            await self.changed.wait()
        if self.failure is not None:
            raise self.failure
        if request.cursor > len(self.events):
            raise InvalidArgument("cursor", "a seq", newest=len(self.events))
        return hop.Answer(self.page(request), results.Page)

    def page(self, request: hop.PollOutput) -> bytes:
        found: list[bytes] = []
        for event in self.events[request.cursor :]:
            if found and (len(found) >= request.limit or sum(map(len, found)) + len(event) > request.max_bytes):
                break
            found.append(event)
        cursor = request.cursor + len(found)
        done = b"null" if self.done is None else b"true" if cursor == len(self.events) else b"false"
        return b'{"events":[%b],"cursor":%d,"oldest":1,"kernel_state":"idle","done":%b}' % (
            b",".join(found), cursor, done,
        )  # fmt: skip


@dataclass
class Socket:
    """The client's end. Every wait is bounded."""

    ws: aiohttp.ClientWebSocketResponse
    _numbers: int = 0

    async def send(self, body: object) -> None:
        await self.ws.send_str(body if isinstance(body, str) else json.dumps(body))

    async def request(self, method: str, /, **params: Any) -> int:
        """Send one call; its id."""
        self._numbers += 1
        await self.send({"jsonrpc": "2.0", "id": self._numbers, "method": method, "params": params})
        return self._numbers

    async def text(self) -> str:
        async with asyncio.timeout(BOUND_S):
            return await self.ws.receive_str()

    async def next(self) -> Any:
        return json.loads(await self.text())

    async def call(self, method: str, /, **params: Any) -> Any:
        """The answer to one call, when nothing else is expected."""
        number = await self.request(method, **params)
        answer = await self.next()
        assert answer["id"] == number
        return answer

    async def result(self, method: str, /, **params: Any) -> Any:
        return (await self.call(method, **params))["result"]

    async def output(self) -> Any:
        """The params of the next message, which must be a page."""
        message = await self.next()
        assert message["method"] == "output", message
        assert "id" not in message
        return message["params"]

    async def closed(self) -> int | None:
        """The close code, once the server has closed; nothing else may come."""
        async with asyncio.timeout(BOUND_S):
            message = await self.ws.receive()
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
        return self.ws.close_code


class House:
    """Fronts and clients of one test; `close` ends them."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def serve(self, front: Front) -> "TestClient[web.Request, web.Application]":
        server = TestServer(create_app(front.services))
        await server.start_server()
        client = TestClient(server)
        self._stack.push_async_callback(client.close)
        return client

    async def connect(
        self, client: "TestClient[web.Request, web.Application]", token: str | None = TOKEN, **headers: str
    ) -> Socket:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        ws = await client.ws_connect("/ws", headers=headers, max_msg_size=0)
        self._stack.push_async_callback(ws.close)
        return Socket(ws)

    async def one(self, front: Front, token: str | None = TOKEN) -> Socket:
        return await self.connect(await self.serve(front), token)

    async def close(self) -> None:
        await self._stack.aclose()


def figures(client: "TestClient[web.Request, web.Application]") -> Figures:
    app = client.app
    assert app is not None
    return app[SOCKETS].figures


def counts(client: "TestClient[web.Request, web.Application]") -> tuple[int, int, int]:
    """Connections, subscriptions and polls."""
    found = figures(client)
    return found.connections, found.subscriptions, found.polls


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop and its sockets work until `condition` holds; there is no event for what the server has done."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

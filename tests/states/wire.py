"""A WebSocket on which calls are sent one behind the other, without waiting for answers."""

import asyncio
import itertools
import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from rpc.errors import TABLE

NAMES = {entry.code: entry.name for entry in TABLE.values()}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a result, or the name of an error; and how many seconds after it was asked."""

    result: Any
    error: str | None
    after_s: float


class Failed(Exception):
    """A call that should have worked."""


class Wire:
    """One front end. Made by `connect`; `close` ends it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.token = ""
        self._socket = socket
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str) -> "Wire":
        return cls(await http.ws_connect(f"{url}/ws", max_msg_size=0))

    async def close(self) -> None:
        await self._socket.close()
        await self._reading

    async def send(self, method: str, /, **params: Any) -> "asyncio.Task[Reply]":
        """Return when the call is on its way; the task is its reply."""
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        if self.token and "token" not in params and method != "login":
            params["token"] = self.token
        await self._socket.send_str(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        return asyncio.create_task(self._reply(future, time.monotonic()))

    async def ask(self, method: str, /, **params: Any) -> Any:
        """The result. Raises Failed."""
        reply = await (await self.send(method, **params))
        if reply.error is not None:
            raise Failed(f"{method}: {reply.error}: {reply.result}")
        return reply.result

    async def _reply(self, future: "asyncio.Future[Any]", asked: float) -> Reply:
        answer = await future
        after_s = time.monotonic() - asked
        if "error" in answer:
            return Reply(answer["error"], NAMES[answer["error"]["code"]], after_s)
        return Reply(answer["result"], None, after_s)

    async def _read(self) -> None:
        async for message in self._socket:
            answer = json.loads(message.data)
            if "id" in answer:
                self._waiting.pop(answer["id"]).set_result(answer)
        for future in self._waiting.values():
            future.set_exception(Failed("the WebSocket was closed"))

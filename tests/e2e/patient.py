"""Clients that do as they are told: after a cut connection or HostUnavailable they ask again, from where they were."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec

from tests.e2e.client import CallFailed, Client, Event

T = TypeVar("T")
TRIES = 200
PAUSE_S = 0.05
BOUND_S = 60.0
_AGAIN = (-32040, -32041)
"""ShuttingDown, HostUnavailable"""


async def persistent(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, however often the way to it breaks; bounded. Other errors than those of the way are raised."""
    failures: list[str] = []
    while len(failures) < TRIES:
        try:
            return await ask()
        except (aiohttp.ClientError, ConnectionError) as error:
            failures.append(repr(error))
            await asyncio.sleep(PAUSE_S)
        except CallFailed as error:
            if error.failure.code not in _AGAIN:
                raise
            failures.append(str(error))
            await asyncio.sleep((error.failure.data or {}).get("retry_after_s", PAUSE_S))
    raise AssertionError(failures)


@dataclass(slots=True)
class Reader:
    """Everything that one reader of a session was given, in the order in which it came."""

    client: Client
    events: list[Event] = field(default_factory=list[Event])
    cursor: int = 0
    begins: int = 0
    """how often it had to begin again"""

    async def poll_until_done(self, cell: str) -> None:
        """By poll_output, up to the end of `cell`."""
        async with asyncio.timeout(BOUND_S):
            while not self._has_ended(cell):
                page = await persistent(self._page)
                self._take(page.events, page.cursor)

    async def watch_until_done(self, cell: str) -> None:
        """By a WebSocket and a subscription, and after its end by the next one."""
        async with asyncio.timeout(BOUND_S):
            while not self._has_ended(cell):
                try:
                    await self._watch(cell)
                except (aiohttp.ClientError, ConnectionError):
                    await asyncio.sleep(PAUSE_S)

    def check(self) -> None:
        """In order, none doubled, none missing."""
        assert [event.seq for event in self.events] == list(range(1, len(self.events) + 1))

    def text_of(self, cell: str) -> str:
        return "".join(e.content["text"] for e in self.events if e.type == "stream" and e.cell == cell)

    async def _page(self) -> Any:
        try:
            return await self.client.poll(self.cursor, wait=10, limit=50)
        except BaseException:
            self.begins += 1
            raise

    async def _watch(self, cell: str) -> None:
        client = self.client
        headers = {"Authorization": f"Bearer {client.token}"}
        self.begins += 1
        async with client.http.ws_connect(f"{client.service.url}/ws", headers=headers, max_msg_size=0) as ws:
            params = {"session": client.session, "cursor": self.cursor}
            await ws.send_json({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params})
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                said = json.loads(message.data)
                if said.get("method") == "output":
                    page = said["params"]
                    self._take(msgspec.convert(page["events"], list[Event]), page["cursor"])
                elif "error" in said or said.get("method") == "subscription_ended":
                    await asyncio.sleep(PAUSE_S)  # as while the host is away
                    return
                if self._has_ended(cell):
                    return

    def _take(self, events: list[Event], cursor: int) -> None:
        self.events += events
        self.cursor = cursor

    def _has_ended(self, cell: str) -> bool:
        return any(e.cell == cell and e.type == "cell" and e.content.get("state") == "done" for e in self.events)

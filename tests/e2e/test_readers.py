"""Every reader of a session sees the same bytes, whatever its pace, its bounds and its transport."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from msgspec import Raw, Struct

from tests.e2e.client import Client
from tests.e2e.conftest import Starter
from tests.e2e.service import Service

BOUND_S = 90.0
LINES = 150
PRINT = f"""
import sys
from IPython.display import display
for n in range({LINES}):
    print(n, "ä\\u20ac" * (n % 50), flush=True)
    if n % 25 == 0:
        display({{"n": n}}, display_id=str(n))
        print("x" * 70_000, file=sys.stderr, flush=True)
"""
CELLS = ("first", "second", "last")


class Head(Struct, frozen=True):
    """Of an event what tells whether it is the last one."""

    seq: int
    cell: str | None
    type: str
    content: dict[str, Any]

    @property
    def ends(self) -> str | None:
        """The cell that has ended by it."""
        return self.cell if self.type == "cell" and self.content["state"] == "done" else None


class Page(Struct, frozen=True):
    """One page of poll_output, or of a subscription: the events as they came."""

    events: list[Raw]
    cursor: int
    done: bool | None = None


class Message(Struct, frozen=True):
    """What comes over a WebSocket."""

    method: str = ""
    params: Raw = Raw(b"null")


async def poll(client: Client, cursor: int, **params: Any) -> Page:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "poll_output", "params": {"cursor": cursor, "wait": 30, **params}}
    answer = (await client.post(asked)).response()
    assert answer.error is None, answer.error
    return msgspec.json.decode(answer.result, type=Page)


def ended(page: Page, cell: str) -> bool:
    return any(msgspec.json.decode(event, type=Head).ends == cell for event in page.events[-1:])


async def polled(client: Client, last: str, **params: Any) -> list[bytes]:
    """Pages of poll_output up to the end of the cell `last`."""
    found: list[bytes] = []
    cursor = 0
    while True:
        page = await poll(client, cursor, **params)
        found += map(bytes, page.events)
        cursor = page.cursor
        if ended(page, last):
            return found


async def slow(client: Client) -> list[bytes]:
    """Does something else between two small pages."""
    found: list[bytes] = []
    cursor = 0
    while True:
        page = await poll(client, cursor, limit=20)
        found += map(bytes, page.events)
        cursor = page.cursor
        if ended(page, CELLS[-1]):
            return found
        for _ in range(5):
            await client.call("session_info")


async def by_done(client: Client, cell: str, limit: int) -> list[bytes]:
    """A cell's events, until the service says that these are all."""
    found: list[bytes] = []
    cursor = 0
    while True:
        page = await poll(client, cursor, cell=cell, limit=limit)
        found += map(bytes, page.events)
        cursor = page.cursor
        if page.done:
            return found


async def cut_off(client: Client) -> list[bytes]:
    """Its connection is cut in the middle of each second long poll; it goes on from its last cursor."""
    found: list[bytes] = []
    cursor, number = 0, 0
    while True:
        number += 1
        try:
            async with asyncio.timeout(0.002 if number % 2 else BOUND_S):
                page = await poll(client, cursor, limit=50)
        except TimeoutError:
            continue
        found += map(bytes, page.events)
        cursor = page.cursor
        if ended(page, CELLS[-1]):
            return found


async def late(client: Client) -> list[bytes]:
    """Joins when the first cell has ended."""
    cursor = 0
    while not (page := await poll(client, cursor, cell=CELLS[0])).done:
        cursor = page.cursor
    return await polled(client, CELLS[-1])


@asynccontextmanager
async def connected(client: Client, cursor: int, **params: Any) -> AsyncGenerator[Callable[[], Awaitable[Page]]]:
    """Pages of a subscription of a new WebSocket: a function that waits for the next one."""
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.http.ws_connect(f"{client.service.url}/ws", headers=headers, max_msg_size=0) as socket:

        async def page() -> Page:
            while True:
                message = msgspec.json.decode(await socket.receive_str(), type=Message)
                if message.method:
                    assert message.method == "output", message
                    return msgspec.json.decode(message.params, type=Page)

        asked = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"cursor": cursor, **params}}
        await socket.send_json(asked)
        yield page


async def pushed(client: Client, last: str, **params: Any) -> list[bytes]:
    found: list[bytes] = []
    async with connected(client, 0, **params) as next_page:
        while True:
            page = await next_page()
            found += map(bytes, page.events)
            if ended(page, last):
                return found


async def turning(client: Client) -> list[bytes]:
    """A page over a WebSocket, which it then closes, one by polling, and again."""
    found: list[bytes] = []
    cursor, number = 0, 0
    while True:
        number += 1
        if number % 2:
            async with connected(client, cursor) as next_page:
                page = await next_page()
        else:
            page = await poll(client, cursor, limit=30)
        found += map(bytes, page.events)
        cursor = page.cursor
        if ended(page, CELLS[-1]):
            return found


ALL: tuple[Callable[[Client], Coroutine[Any, Any, list[bytes]]], ...] = (
    lambda client: polled(client, CELLS[-1]),
    lambda client: polled(client, CELLS[-1], limit=1),
    lambda client: polled(client, CELLS[-1], limit=7, max_bytes=1024),
    lambda client: polled(client, CELLS[-1], limit=10_000, max_bytes=16 << 20),
    slow,
    cut_off,
    late,
    lambda client: pushed(client, CELLS[-1]),
    turning,
)


async def check_readers(client: Client) -> None:
    whole = [asyncio.create_task(read(client)) for read in ALL]
    for cell in CELLS:
        await client.evaluate(PRINT, cell=cell, wait=0)
    of_one = [
        asyncio.create_task(by_done(client, CELLS[1], 3)),
        asyncio.create_task(pushed(client, CELLS[1], cell=CELLS[1])),
    ]
    async with asyncio.timeout(BOUND_S):
        expected, *others = await asyncio.gather(*whole)
        filtered = await asyncio.gather(*of_one)
    heads = [msgspec.json.decode(event, type=Head) for event in expected]
    assert [head.seq for head in heads] == list(range(1, len(heads) + 1))
    assert [head.ends for head in heads if head.ends] == list(CELLS)
    text = "".join(head.content["text"] for head in heads if head.content.get("name") == "stdout")
    assert [line.split()[0] for line in text.splitlines()] == [str(n) for n in range(LINES)] * len(CELLS)
    for other in others:
        assert other == expected
    of_cell = [event for event, head in zip(expected, heads, strict=True) if head.cell == CELLS[1]]
    for other in filtered:
        assert other == of_cell


async def test_all_see_the_same_while_it_is_written(start: Starter, http: aiohttp.ClientSession) -> None:
    service: Service = start(extra={"KERNELWIRE_BRIDGE__SEGMENT_BYTES": "20000"})
    await check_readers(await Client(http, service).log_in())
    assert len(list(service.state_dir.glob("sessions/*/events-*.jsonl"))) > 10
    service.stop()


async def test_after_retention_all_see_the_same(start: Starter, http: aiohttp.ClientSession) -> None:
    """What is gone is gone for all of them, and told in the same words."""
    settings = {"SEGMENT_BYTES": "20000", "RETENTION_BYTES": "200000"}
    service = start(extra={f"KERNELWIRE_BRIDGE__{name}": value for name, value in settings.items()})
    client = await Client(http, service).log_in()
    for cell in CELLS:
        await client.evaluate(PRINT, cell=cell, wait=60)
    expected = await polled(client, CELLS[-1])
    removed = msgspec.json.decode(expected[0], type=Head)
    assert (removed.type, removed.content["to"]) == ("truncated", removed.seq)
    assert removed.content["count"] == removed.seq
    heads = [msgspec.json.decode(event, type=Head) for event in expected[1:]]
    assert [head.seq for head in heads] == list(range(removed.seq + 1, removed.seq + 1 + len(heads)))
    for read in ALL[1:]:
        assert await read(client) == expected
    filtered = await pushed(client, CELLS[-1], cell=CELLS[-1])
    assert filtered == [expected[0], *(event for event, head in zip(expected[1:], heads, strict=True) if head.cell)]
    service.stop()

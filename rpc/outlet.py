"""The outlet of one WebSocket: frames leave in order, the next one when the client has taken the last one."""

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import WSMsgType, web
from aiohttp.abc import AbstractStreamWriter


class Outlet:
    """Sends text frames. What a client that does not read can make it hold is bounded.

    The transport holds one frame and its high-water mark (64 KiB); `pages` that wait for their turn are counted, one
    text once, however many subscriptions send it; answers are bounded by those who make them.
    """

    def __init__(self, socket: web.WebSocketResponse, writer: AbstractStreamWriter, page_bytes: int) -> None:
        """`writer` is what `socket.prepare` returned; `page_bytes` may wait at the same time."""
        self.sent = 0
        """frames that the transport has taken, so that one can see whether the client reads"""
        self.line = asyncio.Lock()
        """held by the one subscription that waits for `room`"""
        self._socket = socket
        self._writer = writer
        self._page_bytes = page_bytes
        self._turn = asyncio.Lock()
        self._pages: Counter[int] = Counter()
        self._held = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def held(self) -> int:
        """Bytes of pages that wait."""
        return self._held

    def has_room(self, page: bytes) -> bool:
        """Whether `page` may wait here. If not, forget it, and read it again when there is `room`."""
        return not self._held or id(page) in self._pages or self._held + len(page) <= self._page_bytes

    async def room(self) -> None:
        """Return when no page waits."""
        await self._empty.wait()

    async def send(self, text: bytes) -> None:
        """Send one frame, and return when the transport has room for the next one. Raises ConnectionError."""
        async with self._turn:
            await self._send(text)

    async def send_page(self, page: bytes, frame: Callable[[], bytes]) -> None:
        """As `send`; `frame` makes the frame, of `page` and little else, at the moment at which it leaves.

        Nothing is sent if `frame` raises.
        """
        self._hold(page)
        try:
            async with self._turn:
                await self._send(frame())
        finally:
            self._release(page)

    async def _send(self, text: bytes) -> None:
        # The frame is written before the first await in here.
        await self._socket.send_frame(text, WSMsgType.TEXT)
        await self._writer.drain()
        self.sent += 1

    def _hold(self, page: bytes) -> None:
        if id(page) not in self._pages:
            self._held += len(page)
        self._pages[id(page)] += 1
        self._empty.clear()

    def _release(self, page: bytes) -> None:
        self._pages[id(page)] -= 1
        if not self._pages[id(page)]:
            del self._pages[id(page)]
            self._held -= len(page)
        if not self._pages:
            self._empty.set()

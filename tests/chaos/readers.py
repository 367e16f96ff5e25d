"""Readers of one session, each with a pace and a way of its own; all go on from their last cursor."""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable

import aiohttp
import msgspec
from msgspec import Raw, Struct

from tests.chaos.caller import Caller, Refused
from tests.chaos.transcript import Transcript

WAIT_S = 1.0
"""of a long poll; short, as a front that stands still is only noticed after it"""
SILENCE_S = 3.0
"""a WebSocket that says nothing for so long is given up: its front may stand still"""
PAUSE_S = 0.015
"""between two long polls: a poll for each line would cost more than what is looked at"""
TAKEN = (1, 1, 2, 5, 300)
"""how many events a slow reader takes at a time; now and then many, or a flood would be read for a minute"""


class _Page(Struct, frozen=True):
    events: list[Raw]
    cursor: int


class _Params(Struct, frozen=True):
    events: list[Raw] = []
    cursor: int = 0


class _Message(Struct, frozen=True):
    """An answer or a notification."""

    method: str = ""
    params: _Params = _Params()
    error: object = None


class Reader:
    """One reader: its `cursor`, and the longest time (seconds) that it was without an event between two events."""

    eager = False
    """it waits for every event"""

    def __init__(self, name: str, session: str, transcript: Transcript, caller: Caller, rng: random.Random) -> None:
        self.name = name
        self.cursor = 0
        self.longest_silence_s = 0.0
        self._session = session
        self._transcript = transcript
        self._caller = caller
        self._rng = rng
        self._last: float | None = None

    async def read_on(self) -> None:
        """Read until cancelled."""
        raise NotImplementedError

    def cut(self) -> None:
        """Break its connections."""
        self._caller.cut()

    def begin_round(self) -> None:
        """Forget how long it was without an event so far; what counts is from the next one on."""
        self._last = None
        self.longest_silence_s = 0.0

    async def close(self) -> None:
        await self._caller.close()

    async def poll(self, *, wait: float, limit: int) -> None:
        """One poll. Raises Refused, NoAnswer."""
        answer = await self._caller.call(
            "poll_output", session=self._session, cursor=self.cursor, wait=wait, limit=limit
        )
        page = msgspec.json.decode(answer, type=_Page)
        self.take(page.events, page.cursor)

    def take(self, events: list[Raw], cursor: int) -> None:
        """What a page brought."""
        self.cursor = self._transcript.take(self.name, self.cursor, events)
        if cursor != self.cursor:
            self._transcript.breaches.append(
                f"{self.name}: the page's cursor is {cursor}, its last event {self.cursor}"
            )
            self.cursor = cursor
        if events:
            now = asyncio.get_running_loop().time()
            if self._last is not None:
                self.longest_silence_s = max(self.longest_silence_s, now - self._last)
            self._last = now
        self._transcript.changed()


class LongPolls(Reader):
    """Polls and waits, as most clients do."""

    eager = True

    async def read_on(self) -> None:
        while True:
            await self.poll(wait=WAIT_S, limit=1000)
            await asyncio.sleep(PAUSE_S)


class Slow(Reader):
    """Takes few events at a time."""

    async def read_on(self) -> None:
        while True:
            await self.poll(wait=WAIT_S, limit=self._rng.choice(TAKEN))
            await asyncio.sleep(self._rng.uniform(0.0, 0.03))


class Cutting(Reader):
    """Loses its connection in the middle of long polls."""

    async def read_on(self) -> None:
        while True:
            polling = asyncio.create_task(self.poll(wait=WAIT_S, limit=1000))
            try:
                await asyncio.wait({polling}, timeout=self._rng.uniform(0.0, 0.2))
                self.cut()
                await polling
            finally:
                polling.cancel()
            await asyncio.sleep(PAUSE_S)


class Subscriber(Reader):
    """Subscribes over a WebSocket, and again from its cursor when that is gone."""

    eager = True

    async def read_on(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                ws = await self._caller.web_socket()
                try:
                    await self._subscribed(ws)
                finally:
                    await _away(ws)
            await asyncio.sleep(PAUSE_S)

    async def _subscribed(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        params = {"session": self._session, "cursor": self.cursor}
        await ws.send_str(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": params}))
        while True:
            message = await ws.receive(SILENCE_S)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return
            told = msgspec.json.decode(message.data, type=_Message)
            if told.error is not None or told.method == "subscription_ended":
                return  # the host is away, say; whatever else it is, the reader does not reach the end
            if told.method == "output":
                self.take(told.params.events, told.params.cursor)


async def _away(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Close it, without waiting for a front that stands still."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await ws.close()


KINDS: dict[str, type[Reader]] = {"long": LongPolls, "slow": Slow, "cutting": Cutting, "websocket": Subscriber}
"""those that read from a session's first event to its last"""


async def read_from_start(
    session: str, transcript: Transcript, caller: Caller, newest: int, *, name: str, limit: int = 1000
) -> None:
    """Read everything up to event `newest`, as one who comes late does. Raises Refused, NoAnswer."""
    late = Reader(name, session, transcript, caller, random.Random(0))
    while late.cursor < newest:
        before = late.cursor
        await late.poll(wait=0.0, limit=limit)
        if late.cursor == before:
            transcript.breaches.append(f"{name}: nothing behind event {before}, others have {newest}")
            return


async def watched(reader: Reader, fail: Callable[[str], None]) -> None:
    """Run a reader; `fail` is told what ended it, unless it was cancelled."""
    try:
        await reader.read_on()
    except (Refused, AssertionError, msgspec.MsgspecError, aiohttp.ClientError, OSError, TimeoutError) as error:
        fail(f"{reader.name}: {error!r}")

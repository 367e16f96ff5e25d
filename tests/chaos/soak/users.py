"""The users of a soak run: each has a session, does what people do at a modest pace, and checks what comes back."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tests.chaos.caller import Caller, Refused

PAUSE_S = (0.5, 5.0)
"""between two things that a user does"""
WAIT_S = 60.0
KERNEL_BUSY = -32022


class _Opened(Struct, frozen=True):
    session: str


class _Cell(Struct, frozen=True):
    state: str
    end: str | None
    text: str


class _Seq(Struct, frozen=True):
    seq: int
    type: str


class _Page(Struct, frozen=True):
    events: list[Raw]
    cursor: int


class NotAsExpected(AssertionError):
    """The service answered, and wrongly."""


@dataclass(slots=True)
class User:
    """`use` goes on until cancelled; `done` counts what was done, by name."""

    caller: Caller
    reader: Caller
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter[str])
    session: str = ""
    _number: int = 0
    _cursor: int = 0

    async def begin(self) -> None:
        """Open a session and have its kernel started."""
        opened = msgspec.json.decode(await self.caller.call("open_session"), type=_Opened)
        self.session, self._cursor = opened.session, 0
        await self._evaluate("'ready'", "'ready'")

    async def use(self) -> None:
        """Raises NotAsExpected, Refused, NoAnswer."""
        actions: dict[Callable[[], Any], float] = {
            self.compute: 8.0,
            self.print_much: 4.0,
            self.print_slowly: 4.0,
            self.show: 2.0,
            self.fail: 1.0,
            self.complete: 4.0,
            self.inspect: 4.0,
            self.interrupt: 0.5,
            self.restart: 0.2,
            self.close_and_reopen: 0.2,
            self.delete: 0.1,
        }
        while True:
            action = self.rng.choices(list(actions), list(actions.values()))[0]
            try:
                await action()
                self.done[action.__name__] += 1
            except Refused as error:
                if error.code != KERNEL_BUSY:  # a machine that has much to do may take too long to complete or inspect
                    raise
                self.done["busy"] += 1
            await self._read()
            await asyncio.sleep(self.rng.uniform(*PAUSE_S))

    async def compute(self) -> None:
        number = self.rng.randrange(10**6)
        await self._evaluate(f"{number} + 1", str(number + 1))

    async def print_much(self) -> None:
        lines = self.rng.randint(100, 5000)
        await self._evaluate(f"for i in range({lines}): print(i)", "".join(f"{i}\n" for i in range(lines)))

    async def print_slowly(self) -> None:
        code = "import time\nfor i in range(20): print(i, flush=True); time.sleep(0.02)"
        await self._evaluate(code, "".join(f"{i}\n" for i in range(20)))

    async def show(self) -> None:
        code = "from IPython.display import HTML, display\ndisplay(HTML('x' * 200_000))"
        await self._evaluate(code, None)

    async def fail(self) -> None:
        await self._evaluate("1 / 0", None, "error")

    async def complete(self) -> None:
        await self.caller.call("complete", session=self.session, code="import os; os.pa")

    async def inspect(self) -> None:
        await self.caller.call("inspect", session=self.session, code="len")

    async def interrupt(self) -> None:
        cell = self._next()
        code = "import time\nprint('runs', flush=True)\ntime.sleep(60)"
        asked = {"session": self.session, "cell": cell, "code": code}
        await self.caller.call("evaluate", wait=0.3, **asked)
        await self.caller.call("interrupt", session=self.session, cell=cell)
        await self._evaluated(asked, None, "interrupted")

    async def restart(self) -> None:
        await self.caller.call("restart", session=self.session)

    async def close_and_reopen(self) -> None:
        await self.caller.call("close_session", session=self.session)
        await self.caller.call("open_session", session=self.session)

    async def delete(self) -> None:
        """Have another session in its place."""
        await self.caller.call("close_session", session=self.session, delete=True)
        await self.begin()

    def _next(self) -> str:
        self._number += 1
        return f"n{self._number}"

    async def _evaluate(self, code: str, text: str | None, end: str = "ok") -> None:
        await self._evaluated({"session": self.session, "cell": self._next(), "code": code}, text, end)

    async def _evaluated(self, asked: dict[str, str], text: str | None, end: str) -> None:
        answer = await self.caller.call("evaluate", wait=WAIT_S, **asked)
        cell = msgspec.json.decode(answer, type=_Cell)
        if cell.end != end or (text is not None and cell.text != text):
            raise NotAsExpected(f"{asked['code']!r} ended {cell.end}, {len(cell.text)} characters, not {end}")

    async def _read(self) -> None:
        """Everything new, in order."""
        while True:
            asked = {"session": self.session, "cursor": self._cursor}
            page = msgspec.json.decode(await self.reader.call("poll_output", wait=0.0, **asked), type=_Page)
            for raw in page.events:
                event = msgspec.json.decode(raw, type=_Seq)
                if event.seq != self._cursor + 1 and event.type != "truncated":
                    raise NotAsExpected(f"event {event.seq} came after {self._cursor}")
                self._cursor = event.seq
            if not page.events:
                return

"""The life of a front: it serves, it drains, it has ended."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lifecycle:
    """Counts requests and calls under way, so that a front ends between them and not within."""

    draining: bool = False
    """new requests are refused"""
    cut: bool = False
    """calls under way are ended too"""
    requests: int = 0
    """HTTP requests under way"""
    _calls: "set[asyncio.Task[object]]" = field(default_factory=set["asyncio.Task[object]"])
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def request(self) -> Generator[None]:
        """One HTTP request is under way while the block runs."""
        self.requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.requests -= 1
            if not self.requests:
                self._idle.set()

    @contextmanager
    def call(self) -> Generator[None]:
        """One call is under way in this task; `drain` may cancel it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (for the type checker: a coroutine always runs in a task)
        self._calls.add(task)
        try:
            yield
        finally:
            self._calls.discard(task)

    def end_cut_call(self) -> bool:
        """Called where a call caught CancelledError: whether `drain` cancelled it. If so, the call is to answer."""
        task = asyncio.current_task()
        if not self.cut or task is None or task not in self._calls:
            return False
        return task.uncancel() == 0

    async def drain(self, grace_s: float) -> None:
        """Refuse new requests, give those under way `grace_s` seconds, then end their calls with ShuttingDown.

        Returns when every request was answered, at the latest `grace_s` seconds after the cut. Cells run on.
        """
        self.draining = True
        if await self._all_answered(grace_s):
            return
        self.cut = True
        for task in tuple(self._calls):
            task.cancel()
        await self._all_answered(grace_s)

    async def _all_answered(self, within_s: float) -> bool:
        if not self.requests:
            return True
        try:
            await asyncio.wait_for(self._idle.wait(), within_s)
        except TimeoutError:
            return False
        return True

"""The life of a front: it serves, it drains, it has ended."""

import asyncio
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
    calls: "set[asyncio.Task[object]]" = field(default_factory=set["asyncio.Task[object]"])
    """the tasks of calls under way"""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """set when the last request has been answered"""

    def request(self) -> "_Request":
        """One HTTP request is under way while the block runs."""
        return _Request(self)

    def call(self) -> "_Call":
        """One call is under way in this task, which has no other one; `drain` may cancel it."""
        return _Call(self.calls)

    def end_cut_call(self) -> bool:
        """Called where a call caught CancelledError: whether `drain` cancelled it. If so, the call is to answer."""
        task = asyncio.current_task()
        if not self.cut or task is None or task not in self.calls:
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
        for task in tuple(self.calls):
            task.cancel()
        await self._all_answered(grace_s)

    async def _all_answered(self, within_s: float) -> bool:
        if not self.requests:
            return True
        self.idle.clear()
        try:
            await asyncio.wait_for(self.idle.wait(), within_s)
        except TimeoutError:
            return False
        return True


# Classes, as every call passes both blocks: a generator behind `contextmanager` costs several times as much.
class _Request:
    __slots__ = ("_lifecycle",)

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def __enter__(self) -> None:
        self._lifecycle.requests += 1

    def __exit__(self, *_: object) -> None:
        self._lifecycle.requests -= 1
        if not self._lifecycle.requests:
            self._lifecycle.idle.set()


class _Call:
    __slots__ = ("_calls", "_task")

    def __init__(self, calls: "set[asyncio.Task[object]]") -> None:
        self._calls = calls
        self._task = asyncio.current_task()

    def __enter__(self) -> None:
        if self._task is not None:
            self._calls.add(self._task)

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._calls.discard(self._task)

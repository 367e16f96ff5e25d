"""What has to be done once for each session of a host that crashed, before anything else is done with it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass, field

AT_ONCE = 4
"""sessions recovered at the same time when nobody waits for them: a long log must not hold up the short ones"""


@dataclass(slots=True)
class _Pending:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # fair: whoever comes first goes on first
    task: asyncio.Task[None] | None = None
    waiting: int = 0


class Recoveries:
    """`recover` is called once for each session that is expected, at its first use or by `all`; it must not raise."""

    def __init__(self, recover: Callable[[str], Awaitable[None]]) -> None:
        self._recover = recover
        self._pending: dict[str, _Pending] = {}

    def __contains__(self, session: str) -> bool:
        """Whether the session is still to be recovered."""
        return session in self._pending

    def expect(self, sessions: Iterable[str]) -> None:
        for session in sessions:
            self._pending.setdefault(session, _Pending())

    async def done(self, session: str) -> None:
        """Return when the session is recovered: at once, without leaving the caller's step, for nearly all.

        Those who wait go on in the order in which they came, each up to its next await, before anybody who comes later.
        A recovery that has begun is done to its end, whoever leaves.
        """
        pending = self._pending.get(session)
        if pending is None:
            return
        pending.waiting += 1
        try:
            async with pending.turn:
                if pending.task is None:
                    pending.task = asyncio.create_task(self._begin(session), name="recovery", context=Context())
                if not pending.task.done():
                    await asyncio.wait([pending.task])
        finally:
            pending.waiting -= 1
            if not pending.waiting and pending.task is not None and pending.task.done():
                self._pending.pop(session, None)

    async def all(self) -> None:
        """Recover what is left, in the order in which it was expected."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(session: str) -> None:
            async with free:
                await self.done(session)

        await asyncio.gather(*(one(session) for session in list(self._pending)))

    async def _begin(self, session: str) -> None:
        await self._recover(session)

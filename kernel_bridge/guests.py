"""The calls of guests, users that a session is shared with, while they wait: unsharing ends them."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from kernel_bridge.errors import SessionNotFound

T = TypeVar("T")


class Guests:
    """Those of one session."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._waiting: dict[str, set[asyncio.Task[object]]] = {}
        self._sent_away: set[asyncio.Task[object]] = set()

    @property
    def waiting(self) -> int:
        """Calls of all guests that wait."""
        return sum(map(len, self._waiting.values()))

    async def stay(self, user_id: str, work: Awaitable[T]) -> T:
        """What `work` comes to, in the task of the caller. Raises SessionNotFound as soon as the user is sent away."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("no task")
        self._waiting.setdefault(user_id, set()).add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if task in self._sent_away and task.uncancel() == 0:
                raise SessionNotFound(self._session) from None
            raise
        finally:
            self._sent_away.discard(task)
            self._waiting[user_id].discard(task)
            if not self._waiting[user_id]:
                del self._waiting[user_id]

    def send_away(self, user_id: str) -> None:
        """End all calls of this user that wait."""
        for task in tuple(self._waiting.get(user_id, ())):
            if task not in self._sent_away:
                self._sent_away.add(task)
                task.cancel()

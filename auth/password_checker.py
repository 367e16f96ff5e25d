"""The password checker: hashing in threads, few at once, so that log-ins take neither the loop nor the memory."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from auth import passwords
from auth.errors import TooManyLogins

T = TypeVar("T")

_WAIT_S = 30.0


class PasswordChecker:
    """At most `at_once` hashes run (19 MiB and a core each), at most `waiting` more wait for their turn.

    Belongs to one event loop. Close it: it owns threads.
    """

    def __init__(self, at_once: int = 2, waiting: int = 64) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="auth-password")
        self._room = threading.BoundedSemaphore(at_once + waiting)

    async def verify(self, stored: str | None, password: str) -> bool:
        """As passwords.verify, in a thread.

        Raises: TooManyLogins when the queue is full, or its turn did not come within 30 s.
        """
        return await self._run(lambda: passwords.verify(stored, password))

    async def rehash(self, password: str) -> str:
        """As passwords.rehash, in a thread. Raises: TooManyLogins."""
        return await self._run(lambda: passwords.rehash(password))

    async def close(self) -> None:
        """What waits is cancelled, what runs is waited for (some 20 ms). Idempotent."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise TooManyLogins
        try:
            job = self._pool.submit(work)
        except BaseException:
            self._room.release()
            raise
        # Given back when the thread is through, not when the caller is: one that went away leaves its hash running.
        job.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(_WAIT_S):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise TooManyLogins from None

    def _leave(self, _job: "Future[T]") -> None:
        self._room.release()

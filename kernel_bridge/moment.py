"""A moment that comes once: tasks wait for it, and callables are called at it."""

import asyncio
from collections.abc import Callable


class Moment(asyncio.Event):
    """An event that also calls whoever asked for it, from within `set()`.

    A task that waits is woken a turn of the event loop later: for a short cell that costs as much as its whole end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[Callable[[], object], None] = {}

    def then(self, call: Callable[[], object]) -> None:
        """Have `call`, which must not raise, called once: at the next `set()`, or now if the moment has come."""
        if self.is_set():
            call()
        else:
            self._calls[call] = None

    def forget(self, call: Callable[[], object]) -> None:
        """Nobody wants `call` any more. Nothing happens if it was called."""
        self._calls.pop(call, None)

    def set(self) -> None:
        super().set()
        calls, self._calls = self._calls, {}
        for call in calls:
            call()

"""Deadlines: the moments at which calls have waited long enough, kept by one timer for all of them."""

import asyncio
from collections.abc import Callable

GRAIN_S = 0.05
"""so much later than its moment a number may be told: moments close together are looked at together"""


class Deadlines:
    """Tells `expired` the numbers whose moment has come. `close` it when nobody waits any more.

    Calls mostly end long before: to note one and to forget it is a dictionary's work, where a timer for each would go
    through the event loop's heap. The timer looks at all of them, as seldom as the earliest moment comes.
    """

    def __init__(self, expired: Callable[[int], object]) -> None:
        self._expired = expired
        self._moments: dict[int, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, number: int, moment: float) -> None:
        """`moment`: of the running event loop's clock."""
        self._moments[number] = moment
        if self._timer is None or moment < self._timer.when():
            self._look_at(moment)

    def discard(self, number: int) -> None:
        """It has ended; nothing happens if it is not known."""
        self._moments.pop(number, None)

    def close(self) -> None:
        """Forget all of them. Idempotent; `add` begins anew."""
        self._moments.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(moment, self._look, moment)

    def _look(self, now: float) -> None:
        # `now` is not the clock's: the loop calls a timer up to its resolution early
        self._timer = None
        due = [number for number, moment in self._moments.items() if moment <= now]
        for number in due:
            del self._moments[number]
        if self._moments:
            self._look_at(max(min(self._moments.values()), now + GRAIN_S))
        for number in due:
            self._expired(number)

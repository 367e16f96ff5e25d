"""One timer for many deadlines."""

import asyncio

from kernel_bridge.deadlines import GRAIN_S, Deadlines


class Told:
    """What has expired, in its order."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._more = asyncio.Event()
        self.deadlines = Deadlines(self._expired)

    def add(self, number: int, in_s: float) -> None:
        self.deadlines.add(number, asyncio.get_running_loop().time() + in_s)

    async def until(self, count: int) -> list[int]:
        async with asyncio.timeout(10):
            while len(self.numbers) < count:
                self._more.clear()
                await self._more.wait()
        return self.numbers

    def _expired(self, number: int) -> None:
        self.numbers.append(number)
        self._more.set()


async def test_each_is_told_once_and_in_the_order_of_the_moments() -> None:
    told = Told()
    told.add(1, 3 * GRAIN_S)
    told.add(2, 0.0)  # earlier than what the timer was set to
    told.add(3, 60)
    assert await told.until(2) == [2, 1]
    told.deadlines.close()


async def test_none_is_told_before_its_moment() -> None:
    told = Told()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    told.add(1, 0.03)
    await told.until(1)
    assert loop.time() - begun >= 0.03 - 0.001


async def test_what_has_ended_is_not_told() -> None:
    told = Told()
    told.add(1, 0.0)
    told.add(2, 0.0)
    told.deadlines.discard(1)
    told.deadlines.discard(7)
    assert await told.until(1) == [2]


async def test_one_may_be_added_while_another_is_told() -> None:
    told = Told()
    again = Deadlines(lambda number: told.add(number + 1, 0.0))
    again.add(1, 0.0)
    assert await told.until(1) == [2]


async def test_after_close_nothing_is_told() -> None:
    told = Told()
    told.add(1, 0.0)
    told.deadlines.close()
    told.deadlines.close()
    told.add(2, 0.0)
    assert await told.until(1) == [2]


async def test_many_calls_that_end_in_time_need_one_timer() -> None:
    told = Told()
    loop = asyncio.get_running_loop()
    made: list[float] = []
    call_at = loop.call_at
    loop.call_at = lambda when, *rest, **more: (made.append(when), call_at(when, *rest, **more))[1]  # type: ignore[method-assign]
    for number in range(1000):
        told.add(number, 60)
        told.deadlines.discard(number)
    told.deadlines.close()
    assert len(made) == 1

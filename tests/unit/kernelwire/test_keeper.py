"""A keeper with processes that the test controls."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kernelwire import keeper as module
from kernelwire import pulse
from kernelwire.child import ChildFailed
from kernelwire.keeper import Keeper, Kept

SILENCE_S = 0.005
BOUND_S = 10.0


class FakeProcess:
    """Ends by the signals in `ends_by`; answers questions while `answers`."""

    def __init__(self, *, starts: bool = True) -> None:
        self.pid = 1
        self.starts = starts
        self.answers = True
        self.ends_by = {signal.SIGTERM, signal.SIGKILL}
        self.signals: list[signal.Signals] = []
        self.closed = 0
        self.asked = asyncio.Event()
        self._ended = asyncio.Event()

    async def ready(self, timeout_s: float) -> None:
        if not self.starts:
            raise ChildFailed("it does not start")

    async def wait(self) -> int | None:
        await self._ended.wait()
        return 0

    def end(self) -> None:
        self._ended.set()

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if number in self.ends_by:
            self.end()

    def close(self) -> None:
        self.closed += 1

    def ask(self) -> bool:
        self.asked.set()
        return True

    def heard(self) -> bool:
        return self.answers


class House:
    """Gives a keeper one process after the other."""

    def __init__(self, *processes: FakeProcess, ours: bool = True) -> None:
        self.processes = list(processes)
        self.given = 0
        self.came = asyncio.Event()
        self._ours = ours
        self.keeper = Keeper("one", self._obtain, SILENCE_S)

    async def _obtain(self) -> Kept:
        process = self.processes[self.given]
        self.given += 1
        self.came.set()
        return Kept(process, process, self._ours)

    async def next(self) -> FakeProcess:
        """The next process, once the keeper asks it."""
        async with asyncio.timeout(BOUND_S):
            await self.came.wait()
            self.came.clear()
        return await self.asked(self.processes[self.given - 1])

    async def asked(self, process: FakeProcess) -> FakeProcess:
        """The process, once the keeper has asked it a question."""
        async with asyncio.timeout(BOUND_S):
            await process.asked.wait()
        return process

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        await self.keeper.start()
        keeping = asyncio.create_task(self.keeper.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping}, timeout=BOUND_S)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "ASK_S", 0.001)
    monkeypatch.setattr(module, "RESTART_S", 0.001)
    monkeypatch.setattr(module, "RESTART_MAX_S", 0.004)


async def test_what_ends_is_followed_by_the_next() -> None:
    house = House(FakeProcess(), FakeProcess(), FakeProcess())
    async with house.kept():
        for number in range(3):
            process = await house.next()
            assert process is house.processes[number]
            if number < 2:
                process.end()
        assert await house.keeper.end(BOUND_S)
    assert [process.signals for process in house.processes] == [[], [], [signal.SIGTERM]]
    assert [process.closed for process in house.processes] == [2, 2, 2]  # once as process, once as pulse


async def test_what_is_silent_is_killed_and_followed() -> None:
    house = House(FakeProcess(), FakeProcess())
    async with house.kept():
        first = await house.next()
        first.answers = False
        assert await house.next() is house.processes[1]
    assert first.signals == [signal.SIGKILL]


async def test_what_is_not_ours_is_left_alone() -> None:
    house = House(FakeProcess(), FakeProcess(), ours=False)
    async with house.kept():
        first = await house.next()
        first.answers = False
        for _ in range(20):
            first.asked.clear()
            await house.asked(first)
        first.answers = True
        assert not first.signals
        first.end()  # by whoever runs it
        second = await house.next()
        assert not await house.keeper.end(BOUND_S)
    assert (first.signals, second.signals) == ([], [])
    assert second.closed == 2


async def test_what_does_not_start_is_tried_again_and_ended_each_time() -> None:
    house = House(FakeProcess(), *(FakeProcess(starts=False) for _ in range(4)), FakeProcess())
    async with house.kept():
        (await house.next()).end()
        await house.asked(house.processes[5])
    assert all(process.signals == [signal.SIGKILL] and process.closed == 2 for process in house.processes[1:5])


async def test_the_first_start_fails_for_whoever_asked_for_it() -> None:
    house = House(FakeProcess(starts=False))
    with pytest.raises(ChildFailed):
        await house.keeper.start()
    assert house.processes[0].signals == [signal.SIGKILL]
    assert not await house.keeper.end(BOUND_S)


async def test_who_does_not_heed_sigterm_is_killed() -> None:
    house = House(FakeProcess())
    house.processes[0].ends_by = {signal.SIGKILL}
    await house.keeper.start()
    assert await house.keeper.end(0.01)
    assert house.processes[0].signals == [signal.SIGTERM, signal.SIGKILL]


async def test_force_reaches_what_is_being_ended() -> None:
    house = House(FakeProcess())
    process = house.processes[0]
    process.ends_by = {signal.SIGINT}
    await house.keeper.start()
    ending = asyncio.create_task(house.keeper.end(BOUND_S))
    await asyncio.sleep(0)
    assert process.signals
    house.keeper.force(signal.SIGTERM, signal.SIGINT)
    assert await ending
    assert process.signals == [signal.SIGTERM, signal.SIGTERM, signal.SIGINT]
    house.keeper.force(signal.SIGKILL)
    assert len(process.signals) == 3

"""What has to be done once, before anything else: whoever waits for it goes on in the order of arrival."""

import asyncio

from kernel_bridge.recoveries import Recoveries


class Work:
    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, session: str) -> None:
        self.begun.append(session)
        await self.go.wait()


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nobody_waits_for_a_session_that_is_not_expected() -> None:
    recoveries = Recoveries(Work())
    waiting = recoveries.done("s")
    try:
        waiting.send(None)
    except StopIteration:
        return  # without leaving the caller's step
    raise AssertionError("it waited")


async def test_it_is_done_once_and_the_order_of_arrival_is_kept() -> None:
    work = Work()
    recoveries = Recoveries(work)
    recoveries.expect(["s", "other"])
    order: list[int] = []

    async def call(number: int) -> None:
        await recoveries.done("s")
        order.append(number)

    calls = [asyncio.create_task(call(number)) for number in range(5)]
    await turns()
    assert work.begun == ["s"]
    work.go.set()
    for number in range(5, 30):  # they come while the first ones are being woken
        calls.append(asyncio.create_task(call(number)))
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    assert order == list(range(30))
    assert work.begun == ["s"]
    assert "s" not in recoveries
    assert "other" in recoveries


async def test_a_caller_that_leaves_cuts_nothing() -> None:
    work = Work()
    recoveries = Recoveries(work)
    recoveries.expect(["s"])
    first, second = (asyncio.create_task(recoveries.done("s")) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert "s" in recoveries
    assert not second.done()
    work.go.set()
    await second
    assert work.begun == ["s"]
    assert "s" not in recoveries


async def test_all_are_done_though_one_takes_long() -> None:
    begun: list[str] = []
    slow = asyncio.Event()

    async def work(session: str) -> None:
        begun.append(session)
        if session == "slow":
            await slow.wait()

    recoveries = Recoveries(work)
    names = ["slow", *(str(number) for number in range(20))]
    recoveries.expect(names)
    everything = asyncio.create_task(recoveries.all())
    await turns(200)
    assert begun == names
    assert [name for name in names if name in recoveries] == ["slow"]
    slow.set()
    await everything
    assert "slow" not in recoveries

"""Both ends of a life line in one process."""

import asyncio
from collections.abc import Iterator

import pytest

from kernelwire.life_line import ChildLine, LifeLine, open_line

BOUND_S = 10.0


@pytest.fixture
def line() -> Iterator[tuple[ChildLine, LifeLine]]:
    ours, theirs = open_line()
    child = LifeLine(theirs.detach())
    yield ours, child
    ours.close()
    child.close()


async def _heard(line: ChildLine) -> bool:
    """Whether an answer comes while the event loop turns."""
    for _ in range(100):
        if line.heard():
            return True
        await asyncio.sleep(0)
    return False


async def test_ready_then_questions_and_the_end(line: tuple[ChildLine, LifeLine]) -> None:
    ours, child = line
    child.say_ready()
    async with asyncio.timeout(BOUND_S):
        assert await ours.ready()
        answering = asyncio.create_task(child.answer_until_gone())
        assert not ours.heard()
        for _ in range(3):
            assert ours.ask()
            assert await _heard(ours)
            assert not ours.heard()
        ours.close()
        await answering


async def test_a_child_that_ends_is_not_ready(line: tuple[ChildLine, LifeLine]) -> None:
    ours, child = line
    child.close()
    async with asyncio.timeout(BOUND_S):
        assert not await ours.ready()
    assert ours.ask()
    assert not ours.heard()


async def test_a_child_that_stands_still_blocks_nobody_and_answers_afterwards(
    line: tuple[ChildLine, LifeLine],
) -> None:
    ours, child = line
    for _ in range(100_000):  # far more than the socket holds
        assert ours.ask()
    assert not ours.heard()
    async with asyncio.timeout(BOUND_S):
        answering = asyncio.create_task(child.answer_until_gone())
        assert await _heard(ours)
        ours.close()
        await answering


async def test_a_supervisor_that_reads_nothing_does_not_end_its_child(line: tuple[ChildLine, LifeLine]) -> None:
    ours, child = line
    answering = asyncio.create_task(child.answer_until_gone())
    for _ in range(2000):
        ours.ask()
        await asyncio.sleep(0)
    assert not answering.done()
    assert ours.heard()
    ours.close()
    async with asyncio.timeout(BOUND_S):
        await answering

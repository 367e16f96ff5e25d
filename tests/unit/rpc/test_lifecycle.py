import asyncio

import pytest

from rpc.lifecycle import Lifecycle
from tests.unit.rpc.fakes import turns


async def test_an_idle_front_drains_at_once() -> None:
    lifecycle = Lifecycle()
    await lifecycle.drain(60)
    assert lifecycle.draining
    assert not lifecycle.cut


async def test_drain_waits_for_requests_under_way() -> None:
    lifecycle = Lifecycle()
    with lifecycle.request():
        drain = asyncio.create_task(lifecycle.drain(60))
        await turns(lambda: lifecycle.draining)
        assert not drain.done()
    await drain
    assert not lifecycle.cut


async def test_after_its_grace_calls_are_cut() -> None:
    lifecycle = Lifecycle()
    ended: list[bool] = []

    async def serve() -> None:
        with lifecycle.request(), lifecycle.call():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(lifecycle.end_cut_call())

    task = asyncio.create_task(serve())
    await turns(lambda: lifecycle.requests == 1)
    await lifecycle.drain(0.01)
    await task
    assert ended == [True]
    assert (lifecycle.requests, task.cancelled()) == (0, False)


async def test_another_cancellation_is_not_taken_for_a_cut() -> None:
    lifecycle = Lifecycle()
    answers: list[bool] = []

    async def serve() -> None:
        with lifecycle.call():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                answers.append(lifecycle.end_cut_call())
                raise

    task = asyncio.create_task(serve())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answers == [False]


async def test_drain_ends_even_if_a_request_does_not() -> None:
    lifecycle = Lifecycle()
    with lifecycle.request():
        await lifecycle.drain(0.01)
    assert lifecycle.cut

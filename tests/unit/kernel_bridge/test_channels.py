"""A channel between a fast sender and a slow sink: order, bounds, and everybody's turn."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import zmq

from kernel_bridge import channels
from kernel_bridge.channels import AHEAD_BYTES, Channel, Sink

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


class Endless:
    """A socket that always has one more message."""

    def __init__(self, message_bytes: int) -> None:
        self.read = 0
        self.closed = False
        self._frame = zmq.Frame(bytes(message_bytes))
        self.FD, self._writer = os.pipe()

    def recv(self, flags: int, copy: bool) -> zmq.Frame:
        assert flags == zmq.NOBLOCK
        assert not copy
        self.read += 1
        return self._frame

    def getsockopt(self, option: int) -> int:
        assert option == zmq.EVENTS
        return zmq.POLLIN

    def close(self, linger: int) -> None:
        assert linger == 0
        os.close(self.FD)
        os.close(self._writer)
        self.closed = True

    def channel(self, sink: Sink, *, rests: bool = False) -> Channel:
        return Channel(cast("zmq.Socket[bytes]", cast("Any", self)), sink, "endless", rests=rests)


async def until(done: "asyncio.Event") -> None:
    async with asyncio.timeout(10):
        await done.wait()


async def test_all_messages_come_whole_and_in_order(context: Context, tmp_path: Path) -> None:
    came: list[list[bytes]] = []
    sent = [[b"%d" % number, bytes(number * 37 % 90_000), b""] for number in range(2000)]
    all_came = asyncio.Event()

    def sink(frames: list[bytes]) -> None:
        came.append(frames)
        if len(came) == len(sent):
            all_came.set()

    with context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.SNDHWM, 0)
        push.setsockopt(zmq.LINGER, 0)
        push.bind(f"ipc://{tmp_path / 's'}")
        pull = context.socket(zmq.PULL)
        pull.setsockopt(zmq.RCVHWM, 4)
        pull.connect(f"ipc://{tmp_path / 's'}")
        channel = Channel(pull, sink, "test")
        for message in sent:
            push.send_multipart(message)
        try:
            await until(all_came)
            assert came == sent
            assert not channel.behind
            push.send(b"one more")
            all_came.clear()
            sent.append([b"one more"])
            await until(all_came)
        finally:
            channel.close()


@pytest.mark.parametrize("message_bytes", [10, 300_000, AHEAD_BYTES + 1])
async def test_only_so_much_is_read_ahead(message_bytes: int) -> None:
    endless, taken, most = Endless(message_bytes), 0, 0
    enough = asyncio.Event()

    def slow(_: list[bytes]) -> None:
        nonlocal taken, most
        time.sleep(channels.TURN_S)  # one message is one turn
        most = max(most, endless.read - taken)
        taken += 1
        if taken == 300 or endless.read > 40_000:
            enough.set()

    channel = endless.channel(slow)
    try:
        await until(enough)
        assert most <= AHEAD_BYTES // (message_bytes + channels.MESSAGE_BYTES) + 1
        assert channel.behind
    finally:
        channel.close()


async def test_others_have_their_turn_in_a_flood() -> None:
    endless, taken, turns = Endless(100), 0, list[int]()

    def sink(_: list[bytes]) -> None:
        nonlocal taken
        taken += 1

    channel = endless.channel(sink)
    try:
        begun = time.monotonic()
        while len(turns) < 50:
            await asyncio.sleep(0)
            turns.append(taken)
        took_s = time.monotonic() - begun
    finally:
        channel.close()
    assert len(set(turns)) > 40
    assert took_s < 50 * 20 * channels.TURN_S


@pytest.mark.parametrize("rests", [True, False])
async def test_after_a_heavy_turn_it_rests(rests: bool) -> None:
    endless, taken = Endless(10), 0
    enough = asyncio.Event()
    heavy_s = 1.5 * channels.HEAVY_S

    def heavy(_: list[bytes]) -> None:
        nonlocal taken
        time.sleep(heavy_s)
        taken += 1
        if taken == 6:
            enough.set()

    loop = asyncio.get_running_loop()
    rested: list[float] = []
    call_later = loop.call_later

    def noted(delay: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        rested.append(delay)
        return call_later(delay, *arguments, **options)

    channel = endless.channel(heavy, rests=rests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "call_later", noted)
        try:
            await until(enough)
        finally:
            channel.close()
    assert len(rested) >= 5 if rests else not rested
    assert all(delay >= heavy_s for delay in rested)


async def test_closed_by_its_sink_it_hands_over_nothing_more() -> None:
    endless, taken = Endless(10), 0
    closed = asyncio.Event()

    def closing(_: list[bytes]) -> None:
        nonlocal taken
        taken += 1
        channel.close()
        closed.set()

    channel = endless.channel(closing)
    await until(closed)
    await asyncio.sleep(0)
    assert (taken, endless.closed, channel.behind) == (1, True, False)

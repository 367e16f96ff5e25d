"""The channels of a kernel that binds them late, or not all of them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from kernel_bridge.connection import ChannelName, Connection
from kernel_bridge.errors import KernelDied
from kernel_bridge.kernel_channels import KernelChannels
from kernel_bridge.results import Exit
from kernel_bridge.wire import Message


def _ignore(channel: ChannelName, message: Message) -> None:
    """Nothing is expected to be delivered."""


@pytest.fixture
def context() -> "Iterator[zmq.Context[zmq.Socket[bytes]]]":
    with zmq.Context() as context:
        yield context


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    connection = Connection.create(tmp_path, "k", "echo")
    connection.directory.mkdir()
    return connection


async def test_the_route_of_input_is_there_when_the_kernel_can_use_it(
    context: "zmq.Context[zmq.Socket[bytes]]", connection: Connection
) -> None:
    channels = KernelChannels(context, connection, "k", _ignore, lossless=True)
    with context.socket(zmq.ROUTER) as stdin:
        stdin.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a kernel's own socket drops silently what this one refuses
        stdin.setsockopt(zmq.LINGER, 0)
        try:
            assert not await channels.input_route(0.05)
            stdin.bind(connection.endpoint("stdin"))
            assert await channels.input_route(5.0)
            stdin.send_multipart([b"kw-k", b"who is there?"])
        finally:
            channels.close(KernelDied(Exit()))


async def test_no_two_hosts_ask_under_the_same_ids(
    context: "zmq.Context[zmq.Socket[bytes]]", connection: Connection
) -> None:
    """A kernel may answer what the host before asked, and answers the one after it."""
    ids: set[str] = set()
    for _ in range(2):
        channels = KernelChannels(context, connection, "k", _ignore, lossless=True)
        ids.add(channels.send("control", "kernel_info_request", {}))
        channels.close(KernelDied(Exit()))
    assert len(ids) == 2


async def test_an_answer_waits_for_a_kernel_that_is_not_connected_yet(
    context: "zmq.Context[zmq.Socket[bytes]]", connection: Connection
) -> None:
    channels = KernelChannels(context, connection, "k", _ignore, lossless=True)
    with context.socket(zmq.ROUTER) as stdin:
        stdin.setsockopt(zmq.LINGER, 0)
        try:
            channels.answer_input("Ada")
            channels.answer_input("Lovelace")
            stdin.bind(connection.endpoint("stdin"))
            for name in (b"Ada", b"Lovelace"):
                assert await asyncio.to_thread(stdin.poll, 5000)
                assert name in b"".join(stdin.recv_multipart())
        finally:
            channels.close(KernelDied(Exit()))

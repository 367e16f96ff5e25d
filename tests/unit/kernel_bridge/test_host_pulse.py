"""The host's pulse over a real ipc socket, with a host that the test controls."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from kernel_bridge import hop, runtime_dir
from kernel_bridge.hop_secret import NAME, make_secret
from kernel_bridge.host_pulse import HostPulse
from kernel_bridge.runtime_dir import HOST_SOCKET

BOUND_S = 10.0


class FakeHost:
    """A ROUTER that answers when it is told to."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.secret = make_secret(state_dir)
        self.sockets = runtime_dir.create(state_dir)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None

    def bind(self) -> None:
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(f"ipc://{self.sockets / HOST_SOCKET}")

    def take(self) -> tuple[bytes, hop.Ping]:
        """The next question, and who asks."""
        assert self._socket is not None
        assert self._socket.poll(10_000)
        identity, frame = self._socket.recv_multipart()
        return identity, msgspec.msgpack.decode(frame, type=hop.Ping)

    def say(self, identity: bytes, message: hop.Pong | hop.Refused) -> None:
        assert self._socket is not None
        self._socket.send_multipart([identity, msgspec.msgpack.encode(message)])

    def unbind(self) -> None:
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None

    def close(self) -> None:
        self.unbind()
        self._context.term()
        runtime_dir.remove(self.sockets)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    host = FakeHost(tmp_path)
    yield host
    host.close()


async def _heard(pulse: HostPulse) -> None:
    async with asyncio.timeout(BOUND_S):
        while True:
            if pulse.heard():
                return
            await asyncio.sleep(0.001)


async def test_questions_and_answers(host: FakeHost) -> None:
    host.bind()
    pulse = HostPulse(host.state_dir, "9")
    try:
        assert not pulse.heard()
        for number in (1, 2):
            assert pulse.ask()
            identity, ping = host.take()
            assert (ping.proto, ping.version, ping.secret, ping.seq) == (hop.PROTO, "9", host.secret, number)
            assert not pulse.heard()
            host.say(identity, hop.Pong(ping.seq, "i"))
            await _heard(pulse)
            assert not pulse.heard()
        assert pulse.ask()
        host.say(host.take()[0], hop.Refused("protocol 1: this host serves 7"))
        await _heard(pulse)  # it does not like us, but it lives
    finally:
        pulse.close()
        pulse.close()


async def test_before_and_after_the_host_has_its_files(host: FakeHost, tmp_path: Path) -> None:
    elsewhere = HostPulse(tmp_path / "elsewhere", "9")
    assert elsewhere.ask()  # who has no files answers nobody
    assert not elsewhere.heard()
    elsewhere.close()

    pulse = HostPulse(host.state_dir, "9")
    try:
        assert pulse.ask()
        host.bind()
        identity, _ = host.take()
        (host.state_dir / "runtime").rename(host.state_dir / "swept")
        assert pulse.ask()
        assert host.take()[1].seq == 2  # it is still connected
        host.say(identity, hop.Pong(2, "i"))
        await _heard(pulse)
    finally:
        pulse.close()


async def test_what_hinders_us_is_not_the_hosts_silence(host: FakeHost) -> None:
    host.bind()
    (host.state_dir / NAME).chmod(0o644)
    pulse = HostPulse(host.state_dir, "9")
    try:
        assert not pulse.ask()
        (host.state_dir / NAME).chmod(0o600)
        assert pulse.ask()
        host.take()
    finally:
        pulse.close()


async def test_a_host_that_takes_nothing_blocks_nobody(host: FakeHost) -> None:
    pulse = HostPulse(host.state_dir, "9")
    try:
        for _ in range(1000):
            assert pulse.ask()
    finally:
        pulse.close()

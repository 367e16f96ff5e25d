"""The front's end of the hop."""

import asyncio
import contextlib
import itertools
import logging
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq

from kernel_bridge import hop, runtime_dir
from kernel_bridge.channels import Channel
from kernel_bridge.deadlines import Deadlines
from kernel_bridge.errors import HostUnavailable
from kernel_bridge.faults import from_fault
from kernel_bridge.hop_secret import read_secret
from kernel_bridge.runtime_dir import HOST_SOCKET

PING_S = 1.0
RETRY_S = 0.2

log = logging.getLogger("kernelwire.bridge.client")

R = TypeVar("R")
_decoder: msgspec.msgpack.Decoder[hop.FromHost] = msgspec.msgpack.Decoder(hop.FromHost)
_encoder = msgspec.msgpack.Encoder()


class HostClient:
    """Calls to the host that holds `state_dir`. `run` is a task of the owner's: it connects, pings, connects again.

    A call that is under way when the host falls silent or is replaced fails with HostUnavailable; none is sent twice.
    """

    def __init__(self, state_dir: Path, version: str, silence_s: float = 3.0) -> None:
        self._state_dir = state_dir
        self._version = version
        self._silence_s = silence_s
        self._channel: Channel | None = None
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._deadlines = Deadlines(self._give_up)
        self._numbers = itertools.count(1)
        self._instance: str | None = None
        self._sandbox = ""
        self._heard = 0.0
        self._lost = asyncio.Event()
        self._known = asyncio.Event()
        self._secret = b""
        self._notes: list[str] = []

    @property
    def ready(self) -> bool:
        """Whether a host has welcomed us and is not silent."""
        return self._known.is_set()

    @property
    def sandbox(self) -> str:
        """What the host last said of the sandbox that its kernels run in; empty before that."""
        return self._sandbox

    @property
    def notes(self) -> list[str]:
        """What the last host that welcomed us says is not as its settings say, in words."""
        return self._notes

    async def wait_ready(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._known.wait()
        except TimeoutError:
            return False
        return True

    async def call(self, request: hop.Request[R], *, timeout_s: float) -> hop.Answer[R]:
        """The host's answer. The request is sent before the first await, so calls keep their order.

        Raises BridgeError as the host raised it, HostUnavailable without a host or after `timeout_s`.
        """
        if not self.ready or self._channel is None:
            raise HostUnavailable
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._calls[number] = future
        try:
            expires = self._heard + self._silence_s  # the earliest moment at which _watch gives the host up
            call = hop.Call(number, request, self._instance or "", expires)  # pyright: ignore[reportArgumentType]  each Request is in AnyRequest
            self._send(call)
            self._deadlines.add(number, loop.time() + timeout_s)
            raw = await future
        except asyncio.CancelledError:
            self._send(hop.Cancel(number))
            raise
        finally:
            self._deadlines.discard(number)
            self._calls.pop(number, None)
        return hop.Answer(raw, hop.RESULTS[type(request)])

    async def run(self) -> None:
        """Keep the hop alive until cancelled; then everything is closed."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            while True:
                try:
                    self._open(context)
                    await self._watch()
                except OSError as error:
                    log.debug("host_not_found reason=%s", error)
                finally:
                    self._lose()
                await asyncio.sleep(RETRY_S)
        finally:
            self._deadlines.close()
            context.term()

    def _open(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        """Connect and say hello. Raises OSError while no host has made its files."""
        address = runtime_dir.find(self._state_dir) / HOST_SOCKET
        self._secret = read_secret(self._state_dir)
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.connect(f"ipc://{address}")
        self._lost.clear()
        self._channel = Channel(socket, self._on_frames, "hop")
        self._heard = asyncio.get_running_loop().time()
        self._send(hop.Hello(hop.PROTO, self._version, self._secret))

    async def _watch(self) -> None:
        """Ping each second; return when the host is lost."""
        loop = asyncio.get_running_loop()
        for number in itertools.count(1):
            before = loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_S):
                    await self._lost.wait()
                    return
            if loop.time() - before > 2 * PING_S:
                self._heard = loop.time()  # it was this process that stood still, not the host
            elif loop.time() - self._heard > self._silence_s:
                log.warning("host_silent calls=%d", len(self._calls))
                return
            self._send(hop.Ping(hop.PROTO, self._version, self._secret, number))

    def _lose(self) -> None:
        self._known.clear()
        self._instance = None
        if self._channel is not None:
            self._channel.close()  # also discards what was not sent: no call is run after it was given up
            self._channel = None
        for future in self._calls.values():
            if not future.done():
                future.set_exception(HostUnavailable())

    def _on_frames(self, frames: list[bytes]) -> None:
        self._heard = asyncio.get_running_loop().time()
        message = _decoder.decode(frames[0])
        match message:
            case hop.Reply():
                self._on_reply(message)
            case hop.Welcome():
                self._instance = message.instance
                self._sandbox = message.sandbox
                self._notes = message.notes
                self._known.set()
                log.info("host_known version=%s", message.version)
            case hop.Pong():
                if message.instance != self._instance:
                    log.warning("host_replaced calls=%d", len(self._calls))
                    self._lost.set()
            case hop.Refused():
                level = logging.INFO if message.reason == hop.HELLO_FIRST else logging.ERROR
                log.log(level, "host_refused reason=%s", message.reason)
                self._lost.set()

    def _on_reply(self, reply: hop.Reply) -> None:
        future = self._calls.get(reply.id)
        if future is None or future.done():
            return
        if reply.fault is not None:
            future.set_exception(from_fault(reply.fault))
        else:
            future.set_result(reply.result or b"null")

    def _give_up(self, number: int) -> None:
        """The host did not answer in time."""
        future = self._calls.get(number)
        if future is not None and not future.done():
            self._send(hop.Cancel(number))
            future.set_exception(HostUnavailable())

    def _send(self, message: hop.FromFront) -> None:
        if self._channel is not None:
            self._channel.send([_encoder.encode(message)])

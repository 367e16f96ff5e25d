"""A kernel's four channels as its client sees them, and the requests under way on them.

Source: Jupyter messaging protocol, "Introduction" (channels) and "The wire protocol".
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Literal

import zmq
from msgspec import Struct

from kernel_bridge.channels import Channel, Seldom
from kernel_bridge.connection import ChannelName, Connection
from kernel_bridge.errors import KernelBusy, WireError
from kernel_bridge.wire import Codec, Message

RECONNECT_MS = 10
"""libzmq's 100 ms between tries to connect would be paid at every start of a kernel"""

MAX_MESSAGE_BYTES = 128 << 20
"""a kernel that sends more in one message is cut off by libzmq: no host has memory without end"""
WAITING, WAITING_LOSSY = 4, 10_000
"""high-water marks of what comes in: so many messages, of any size, wait in libzmq for each channel; then its thread
stops reading. A kernel under our launcher keeps the rest of its iopub itself, so few messages, and few bytes, need to
wait here. Everything else is dropped by the kernel beyond its own mark. A mark cannot follow the size of the messages:
if it is changed later, libzmq 4.3 forgets to wake the sender that it stopped."""

ROUTE_POLL_S = 0.005

log = logging.getLogger("kernelwire.bridge.channels")

Deliver = Callable[[ChannelName, Message], None]
"""what is no reply to `ask`, in the order of each channel"""


class KernelChannels:
    """Sockets connected as long as this lives; `close` ends them and every `ask` with the given error.

    Sockets may be connected before the kernel binds, so nothing that it says is lost. `lossless`: the kernel keeps what
    we do not take yet, without bound. Raises OSError without room.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        connection: Connection,
        kid: str,
        deliver: Deliver,
        *,
        lossless: bool,
        same_peer: bool = True,
    ) -> None:
        """`same_peer`: be to the kernel who the host before was, so that what it sends to that one comes here."""
        self._kid = kid
        self._lossless = lossless
        self._deliver = deliver
        # unlike that of any host before: its requests may still be answered
        session = f"{kid}-{secrets.token_hex(3)}"
        self._codec = Codec(connection.key.encode(), session)
        self._identity = f"kw-{kid if same_peer else session}".encode()
        self._pending: dict[str, asyncio.Future[Message]] = {}
        self._channels: dict[ChannelName, Channel] = {}
        self.iopub_live = asyncio.Event()
        """set by the first message on iopub: the subscription is known to work"""
        self.iopub_count = 0
        self._rejected = Seldom()
        try:
            self._connect(context, connection, "shell", zmq.DEALER, self._on_reply)
            self._connect(context, connection, "control", zmq.DEALER, self._on_reply)
            self._connect(context, connection, "iopub", zmq.SUB, self._on_iopub)
            self._connect(context, connection, "stdin", zmq.DEALER, self._on_stdin)
        except zmq.ZMQError as error:  # no descriptors left
            self.close(error)
            raise OSError(error.errno, f"no socket for a kernel: {error.strerror}") from error

    def send(
        self,
        channel: ChannelName,
        msg_type: str,
        content: Struct | dict[str, Any],
        *,
        msg_id: str | None = None,
        subshell: str | None = None,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> str:
        """Send a message; returns its id."""
        msg_id, frames = self._codec.encode(
            msg_type, content, msg_id=msg_id, subshell_id=subshell, metadata=metadata, buffers=buffers
        )
        self._channels[channel].send(frames)
        return msg_id

    def answer_input(self, value: str) -> None:
        """Send an input_reply, as soon as the kernel's stdin channel is connected: a kernel just taken over may lag."""
        _, frames = self._codec.encode("input_reply", {"value": value, "status": "ok"})
        self._channels["stdin"].post(frames)

    async def ask(
        self,
        msg_type: str,
        content: Struct | dict[str, Any],
        *,
        deadline_s: float,
        channel: Literal["shell", "control"] = "shell",
        subshell: str | None = None,
    ) -> Message:
        """The reply to a request. Raises KernelBusy at the deadline, and what `fail` or `close` was given."""
        msg_id = self.send(channel, msg_type, content, subshell=subshell)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pending[msg_id] = future
        try:
            async with asyncio.timeout(deadline_s):
                return await future
        except TimeoutError:
            raise KernelBusy(deadline_s) from None
        finally:
            del self._pending[msg_id]

    async def input_route(self, patience_s: float) -> bool:
        """Whether the kernel knows the way to our stdin socket, waited for at most `patience_s`.

        Its ROUTER drops an input_request that comes before our handshake, and the cell would wait for ever.
        Asked in short steps: at a start only, and nearly always true at once.
        """
        stdin = self._channels["stdin"]
        steps = int(patience_s / ROUTE_POLL_S)
        while not stdin.writable and steps > 0:
            await asyncio.sleep(ROUTE_POLL_S)
            steps -= 1
        return stdin.writable

    @property
    def behind(self) -> bool:
        """Whether output has arrived that was not delivered yet."""
        return self._channels["iopub"].behind

    def deliver_to(self, deliver: Deliver) -> None:
        """Give what comes from now on to somebody else."""
        self._deliver = deliver

    def fail(self, error: Exception) -> None:
        """End every `ask` under way with `error`."""
        for future in self._pending.values():
            if not future.done():
                future.set_exception(error)

    def close(self, error: Exception) -> None:
        """Idempotent."""
        for channel in self._channels.values():
            channel.close()
        self.fail(error)

    def _connect(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        connection: Connection,
        name: ChannelName,
        kind: int,
        sink: Callable[[list[bytes]], None],
    ) -> None:
        socket = context.socket(kind)
        try:
            self._set_up(socket, connection, name)
            self._channels[name] = Channel(
                socket, sink, f"{self._kid}/{name}", rests=name == "iopub" and self._lossless
            )
        except BaseException:
            socket.close(linger=0)
            raise

    def _set_up(self, socket: "zmq.Socket[bytes]", connection: Connection, name: ChannelName) -> None:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        kept = name == "iopub" and self._lossless
        socket.setsockopt(zmq.RCVHWM, WAITING if kept else WAITING_LOSSY)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        if name in ("shell", "stdin"):
            # the kernel routes input_request by the identity of the execute_request; a new host takes it up again
            socket.setsockopt(zmq.IDENTITY, self._identity)
        if name == "stdin":
            socket.setsockopt(zmq.IMMEDIATE, 1)  # so that it is writable only when connected: see input_route
        if name == "iopub":
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.connect(connection.endpoint(name))

    def _decode(self, frames: list[bytes]) -> Message | None:
        try:
            return self._codec.decode(frames)
        except WireError as error:
            if self._rejected.more():
                log.warning("message_rejected kernel=%s count=%d reason=%s", self._kid, self._rejected.count, error)
            return None

    def _on_reply(self, frames: list[bytes]) -> None:
        message = self._decode(frames)
        if message is None:
            return
        future = self._pending.get(message.parent_id)
        if future is None:
            self._deliver("shell", message)
        elif not future.done():
            future.set_result(message)

    def _on_iopub(self, frames: list[bytes]) -> None:
        self.iopub_count += 1
        self.iopub_live.set()
        message = self._decode(frames)
        if message is not None:
            self._deliver("iopub", message)

    def _on_stdin(self, frames: list[bytes]) -> None:
        message = self._decode(frames)
        if message is not None:
            self._deliver("stdin", message)

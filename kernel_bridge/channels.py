"""A 0MQ socket on the event loop: its messages are drained in batches and handed to one sink.

Plain pyzmq sockets and their FD are five times cheaper than zmq.asyncio (FACTS.md section 1). The FD is edge-triggered:
after every send and every receive the socket's events are asked again, else messages stay behind unnoticed.
Source: libzmq zmq_getsockopt(3), ZMQ_FD and ZMQ_EVENTS.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context

import zmq

TURN_S = 0.002
"""a channel hands over messages for so long, then everything else on the event loop has its turn"""
HEAVY_S = 0.01
"""after a turn that took longer, for a message is handed over whole, a channel that `rests` does so for as long"""
BATCH = 64
"""messages read from 0MQ in one go"""
AHEAD_BYTES = 16 << 20
"""what is read ahead of handing over; then the rest waits in libzmq, within its high-water mark, and at the sender"""
MESSAGE_BYTES = 1024
"""what a message costs beside its bytes"""

# plain integers: an enum costs half as much again as the call that it is for, and `|` of two more than the call
_NOBLOCK, _MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
_EVENTS, _POLLIN, _POLLOUT = int(zmq.EVENTS), int(zmq.POLLIN), int(zmq.POLLOUT)

log = logging.getLogger("kernelwire.bridge.channel")

Sink = Callable[[list[bytes]], None]


class Seldom:
    """Counts what a stranger can cause at any rate; `more` says when to log it: at 1, 2, 4, 8, ..."""

    def __init__(self) -> None:
        self.count = 0

    def more(self) -> bool:
        self.count += 1
        return self.count & (self.count - 1) == 0


class Channel:
    """Owns `socket`: delivers each message to `sink`, in order, from the running event loop; `close` closes both.

    Holds at most AHEAD_BYTES and one message that were not delivered yet, whatever the peer sends: if it is faster than
    `sink`, the rest waits within the high-water marks of both sockets. A message that the sink fails on is logged and
    left behind, the next ones still come.

    `rests`: for what one user can fill; its large messages take half of the time of the event loop at most.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", sink: Sink, name: str, *, rests: bool = False) -> None:
        self._socket = socket
        self._sink = sink
        self._name = name
        self._rests = rests
        self._loop = asyncio.get_running_loop()
        self._held: deque[list[bytes]] = deque()
        self._held_bytes = 0
        self._unsent: deque[Sequence[bytes]] = deque()
        self._scheduled: asyncio.Handle | None = None
        self._failed = Seldom()
        self._fd = socket.FD
        # the call in which a channel is opened is not that of the messages on it
        self._context = Context()
        self._context.run(self._loop.add_reader, self._fd, self.drain)
        self._schedule()

    def send(self, frames: Sequence[bytes]) -> bool:
        """Queue one message; False if 0MQ has no room or no peer for it. Never blocks."""
        *first, last = frames
        send = self._socket.send
        try:
            # a third of the price of send_multipart; only the first part can be refused (zmq_send(3))
            for frame in first:
                send(frame, _MORE)
            send(last, _NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        self._events()
        return True

    def post(self, frames: Sequence[bytes]) -> None:
        """As `send`; what 0MQ does not take now is kept, in order, until it does: its FD tells of the peer that comes.

        For what is seldom and must arrive.
        """
        self._unsent.append(frames)
        self._post_unsent()

    @property
    def writable(self) -> bool:
        """Whether 0MQ would take a message now; with IMMEDIATE set that means: a peer has completed its handshake."""
        return bool(self._events() & _POLLOUT)

    @property
    def behind(self) -> bool:
        """Whether there are messages that have arrived and were not handed over."""
        return bool(self._held) or self._scheduled is not None

    def drain(self) -> None:
        """Read what has arrived, and hand over for one turn; what remains follows when the others have had theirs."""
        if self._socket.closed:
            return
        self._post_unsent()
        if not self._held and self._scheduled is None:
            message = self._receive()
            if message is None:
                return  # the FD told of something else: a message sent, a peer that came
            if not self._readable():
                self._deliver(message)  # nearly always there is just one
                return
            self._hold(message)
        begun = self._loop.time()
        all_read = self._read()
        if self._scheduled is not None:
            return  # it has had its turn
        now = self._loop.time()
        while self._held and now < begun + TURN_S:
            self._hand_over()
            now = self._loop.time()
        if not self._socket.closed and (self._held or not all_read):
            self._schedule(now - begun)

    def close(self) -> None:
        """Idempotent. What was not sent or not handed over yet is discarded."""
        if self._socket.closed:
            return
        self._loop.remove_reader(self._fd)
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._held.clear()
        self._unsent.clear()
        self._socket.close(linger=0)

    def _post_unsent(self) -> None:
        while self._unsent and self.send(self._unsent[0]):
            self._unsent.popleft()

    def _read(self) -> bool:
        """Take a batch of messages from 0MQ, as far as there is room; False if there may be more."""
        for _ in range(BATCH):
            if self._held_bytes >= AHEAD_BYTES:
                self._readable()  # else the FD stays readable and the event loop spins
                return False
            message = self._receive()
            if message is None:
                return True
            self._hold(message)
        return False

    def _receive(self) -> list[bytes] | None:
        """The next message; None if there is none."""
        receive = self._socket.recv
        try:
            # half the price of recv_multipart for the seven parts of a Jupyter message
            frame = receive(_NOBLOCK, False)
        except zmq.Again:
            return None
        message = [frame.bytes]
        while frame.more:
            frame = receive(_NOBLOCK, False)
            message.append(frame.bytes)
        return message

    def _hold(self, message: list[bytes]) -> None:
        self._held.append(message)
        self._held_bytes += _cost(message)

    def _hand_over(self) -> None:
        message = self._held.popleft()
        self._held_bytes -= _cost(message)
        self._deliver(message)

    def _deliver(self, message: list[bytes]) -> None:
        try:
            self._sink(message)
        except Exception:  # one bad message must not stop the channel
            if self._failed.more():
                log.exception("message_failed channel=%s count=%d", self._name, self._failed.count)

    def _readable(self) -> bool:
        """Whether a message waits; cheaper than an exception that says so. Uses the edge of the FD up."""
        events: int = self._socket.getsockopt(_EVENTS)  # pyright: ignore[reportAssignmentType]  this option is one
        return bool(events & _POLLIN)

    def _events(self) -> int:
        """What the socket is ready for. Asking uses the edge of its FD up, so what can be read is seen to."""
        events: int = self._socket.getsockopt(_EVENTS)  # pyright: ignore[reportAssignmentType]  as above
        if events & _POLLIN:
            self._schedule()
        return events

    def _schedule(self, took_s: float = 0.0) -> None:
        """Have the next turn, after the others' and perhaps a rest; the last one took `took_s`."""
        if self._scheduled is not None:
            return
        if self._rests and took_s > HEAVY_S:
            self._scheduled = self._loop.call_later(took_s, self._run_scheduled, context=self._context)
        else:
            self._scheduled = self._loop.call_soon(self._run_scheduled, context=self._context)

    def _run_scheduled(self) -> None:
        self._scheduled = None
        self.drain()


def _cost(message: list[bytes]) -> int:
    return MESSAGE_BYTES + sum(map(len, message))

"""A 0MQ socket on the event loop: its messages are drained in batches and handed to one sink.

Plain pyzmq sockets and their FD are five times cheaper than zmq.asyncio (FACTS.md section 1). The FD is edge-triggered:
after every send and every receive the socket's events are asked again, else messages stay behind unnoticed.
Source: libzmq zmq_getsockopt(3), ZMQ_FD and ZMQ_EVENTS.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import Context

import zmq

BATCH = 256
TURN_S = 0.02
"""a drain ends after so many messages, or so long, before the rest of the event loop has its turn"""

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

    A message that the sink fails on is logged and left behind, the next ones still come.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", sink: Sink, name: str) -> None:
        self._socket = socket
        self._sink = sink
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._scheduled: asyncio.Handle | None = None
        self._failed = Seldom()
        self._fd = socket.FD
        # the call in which a channel is opened is not that of the messages on it
        self._context = Context()
        self._context.run(self._loop.add_reader, self._fd, self.drain)
        self._schedule()

    def send(self, frames: Sequence[bytes]) -> bool:
        """Queue one message; False if 0MQ has no room or no peer for it. Never blocks."""
        try:
            self._socket.send_multipart(frames, flags=zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        if int(self._socket.EVENTS) & zmq.POLLIN:
            self._schedule()
        return True

    @property
    def writable(self) -> bool:
        """Whether 0MQ would take a message now; with IMMEDIATE set that means: a peer has completed its handshake."""
        events = int(self._socket.EVENTS)
        if events & zmq.POLLIN:
            self._schedule()  # asking has used the edge up
        return bool(events & zmq.POLLOUT)

    def drain(self) -> None:
        """Hand over what has arrived, for one turn; what remains follows in the loop's next round."""
        until = self._loop.time() + TURN_S
        for _ in range(BATCH):
            if self._socket.closed:
                return
            if self._loop.time() > until:
                break
            try:
                frames = self._socket.recv_multipart(flags=zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._sink(frames)
            except Exception:  # one bad message must not stop the channel
                if self._failed.more():
                    log.exception("message_failed channel=%s count=%d", self._name, self._failed.count)
        self._schedule()

    def close(self) -> None:
        """Idempotent. What was not sent yet is discarded."""
        if self._socket.closed:
            return
        self._loop.remove_reader(self._fd)
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._socket.close(linger=0)

    def _schedule(self) -> None:
        if self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._run_scheduled, context=self._context)

    def _run_scheduled(self) -> None:
        self._scheduled = None
        self.drain()

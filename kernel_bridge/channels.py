"""A 0MQ socket on the event loop: its messages are drained in batches and handed to one sink.

Plain pyzmq sockets and their FD are five times cheaper than zmq.asyncio (FACTS.md section 1). The FD is edge-triggered:
after every send and every receive the socket's events are asked again, else messages stay behind unnoticed.
Source: libzmq zmq_getsockopt(3), ZMQ_FD and ZMQ_EVENTS.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import zmq

BATCH = 256
"""messages handled in one go before the rest of the event loop has its turn"""

log = logging.getLogger("kernelwire.bridge.channel")

Sink = Callable[[list[bytes]], None]


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
        self._fd = socket.FD
        self._loop.add_reader(self._fd, self.drain)
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

    def drain(self) -> None:
        """Hand over what has arrived, at most BATCH messages; what remains follows in the loop's next round."""
        for _ in range(BATCH):
            if self._socket.closed:
                return
            try:
                frames = self._socket.recv_multipart(flags=zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._sink(frames)
            except Exception:  # one bad message must not stop the channel
                log.exception("message_failed channel=%s", self._name)
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
            self._scheduled = self._loop.call_soon(self._run_scheduled)

    def _run_scheduled(self) -> None:
        self._scheduled = None
        self.drain()

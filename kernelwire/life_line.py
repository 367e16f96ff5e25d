"""The life line between the supervisor and a child of it: a socket pair.

On it the child says that it is ready, answers the supervisor's questions from its event loop, and sees its end.
"""

import asyncio
import contextlib
import socket

READY = b"r"
QUESTION = b"?"
ANSWER = b"!"
_CHUNK = 4096


class ChildLine:
    """The supervisor's end, for one child. Never blocks; `close` it."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours

    async def ready(self) -> bool:
        """Whether the child has said that it is ready; False: it has ended before. Raises OSError."""
        return await asyncio.get_running_loop().sock_recv(self._socket, 1) == READY

    def ask(self) -> bool:
        """Send a question; one that finds no room, or nobody, is asked too, and stays without an answer."""
        with contextlib.suppress(OSError):
            self._socket.send(QUESTION)
        return True

    def heard(self) -> bool:
        """Whether the child has answered since the last call."""
        found = False
        with contextlib.suppress(OSError):
            while self._socket.recv(_CHUNK):
                found = True
        return found

    def close(self) -> None:
        """A front takes it for the supervisor's end."""
        self._socket.close()


class LifeLine:
    """The child's end, by its inherited descriptor; `close` it."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        self._socket.set_inheritable(False)

    def say_ready(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.send(READY)

    async def answer_until_gone(self) -> None:
        """Answer questions; return when the supervisor has ended, however it did."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while await loop.sock_recv(self._socket, _CHUNK):
                with contextlib.suppress(BlockingIOError):  # it has not read hundreds of answers: it stands still
                    self._socket.send(ANSWER)

    def close(self) -> None:
        self._socket.close()


def open_line() -> tuple[ChildLine, socket.socket]:
    """The supervisor's end, and the socket whose descriptor the child inherits; the caller closes both."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ChildLine(ours), theirs

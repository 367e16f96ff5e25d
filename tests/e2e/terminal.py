"""What a started program writes, on a pipe or on a terminal of its own, read without ever waiting without bound."""

import contextlib
import os
import pty
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

# The child makes the terminal its own, so that Ctrl-C on it reaches the foreground process group. See tty_ioctl(4).
_ON_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass(slots=True)
class Output:
    """The reading end; `close` it."""

    descriptor: int
    text: str = ""
    _closed: bool = field(default=False)

    def wait_for(self, words: str, timeout_s: float) -> str:
        """All that was written, as soon as a whole line holds `words`. Raises AssertionError at the end or timeout."""
        until = time.monotonic() + timeout_s
        while not any(words in line for line in self.text.splitlines(keepends=True) if line.endswith("\n")):
            left = until - time.monotonic()
            assert left > 0, f"no {words!r} within {timeout_s} s in {self.text!r}"
            assert self._read(left), f"ended without {words!r}: {self.text!r}"
        return self.text

    def rest(self, timeout_s: float = 10.0) -> str:
        """All that was written, until nobody can write any more."""
        until = time.monotonic() + timeout_s
        while self._read(max(until - time.monotonic(), 0)):
            assert time.monotonic() < until, "somebody still holds the output open"
        return self.text

    def close(self) -> None:
        if not self._closed:
            os.close(self.descriptor)
            self._closed = True

    def _read(self, timeout_s: float) -> bool:
        """Take what is there; False at the end."""
        poller = select.poll()
        poller.register(self.descriptor, select.POLLIN)
        if not poller.poll(timeout_s * 1000):
            return True
        data = b""
        with contextlib.suppress(OSError):  # EIO: how a terminal's master sees the end
            data = os.read(self.descriptor, 1 << 16)
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


def open_terminal() -> tuple[Output, int]:
    """The master to read from, and the end for the program's 0, 1 and 2, to be closed once it runs."""
    master, slave = pty.openpty()
    return Output(master), slave


def on_terminal(python: str, command: Sequence[str]) -> list[str]:
    """`command`, to be started on a terminal that becomes its controlling one."""
    return [python, "-c", _ON_TERMINAL, *command]

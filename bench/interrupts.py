"""Ctrl-C, SIGTERM and SIGHUP, which must not come in the middle of a start or of cleaning up."""

import contextlib
import signal
from collections.abc import Generator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Signals that raise KeyboardInterrupt only where they are allowed, and once; elsewhere they are remembered."""

    def __init__(self) -> None:
        self._come = False
        self._allowed = False

    @contextlib.contextmanager
    def taken(self) -> Generator[None]:
        """Handle SIGNALS; main thread only. The handlers that were there come back at the end."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def allowed(self) -> Generator[None]:
        """A block that a signal ends by KeyboardInterrupt, at its begin for one that came before."""
        self.check()
        self._allowed = True
        try:
            yield
        finally:
            self._allowed = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has come."""
        if self._come:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._come = True
        if self._allowed:
            self._allowed = False
            raise KeyboardInterrupt

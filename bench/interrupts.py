"""Ctrl-C, SIGTERM, SIGHUP and the end of a measure's time, none of which may come while something starts or ends."""

import contextlib
import signal
from collections.abc import Generator
from types import FrameType

from bench.protocol import TookTooLong

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Signals that raise only where they are allowed, and once; elsewhere they are remembered."""

    def __init__(self) -> None:
        self._come: BaseException | None = None
        self._allowed = False

    @contextlib.contextmanager
    def taken(self) -> Generator[None]:
        """Handle SIGNALS and SIGALRM; main thread only. The handlers that were there come back at the end."""
        handlers = {**dict.fromkeys(SIGNALS, self._on_signal), signal.SIGALRM: self._on_alarm}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def allowed(self, timeout_s: float) -> Generator[None]:
        """A block that a signal ends by KeyboardInterrupt, at its begin for one that came before.

        After `timeout_s` TookTooLong ends it, whatever it waits for.
        """
        self.check()
        self._allowed = True
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            yield
        finally:
            self._allowed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            if isinstance(self._come, TookTooLong):
                self._come = None  # it was about this block

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """A block in which signals are only remembered, within one that allows them; it raises at its end."""
        before, self._allowed = self._allowed, False
        try:
            yield
        finally:
            self._allowed = before
        if before and self._come is not None:
            self._raise()

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has come."""
        if self._come is not None:
            raise self._come

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._come = KeyboardInterrupt()
        if self._allowed:
            self._raise()

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        if self._come is None:
            self._come = TookTooLong("it took too long")
        if self._allowed:
            self._raise()

    def _raise(self) -> None:
        self._allowed = False
        assert self._come is not None
        raise self._come

"""What a system must offer to be measured."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

Hear = Callable[[str], None]


class BenchFailed(Exception):
    """A system did not start, did not answer in time or answered wrongly. `str(error)` is a sentence."""


class TookTooLong(BenchFailed):
    """A measure went far beyond its time, whichever system it was."""


class NotThere(Exception):
    """A system that cannot be measured here: not installed, or kernelwire cannot do it yet. `str(error)` says why."""


class Processes(Struct, frozen=True):
    """Process ids of a running system, for its CPU time."""

    server: tuple[int, ...]
    """what stands between client and kernel; empty where nothing does"""
    kernel: int


class Session(Protocol):
    """One kernel and a client of it. Every method blocks, for a bounded time, and raises BenchFailed.

    One thread at a time uses it. Answers are checked by the caller, outside of the time that is measured.
    """

    def evaluate(self, code: str) -> str:
        """Run a cell to its end (reply and idle); the text of its result, empty without one."""
        ...

    def inspect(self, code: str) -> str:
        """The text of the inspection at the end of `code`; empty if nothing was found."""
        ...

    def complete(self, code: str) -> list[str]:
        """The texts of the completions at the end of `code`, as the system gives them."""
        ...

    def stream(self, code: str, hear: Hear | None = None) -> list[str]:
        """Run a cell and receive its output while it is printed: the texts of streams and displays as they came.

        `hear` is given each of them at once.
        """
        ...

    def begin(self, code: str) -> None:
        """Start a cell; returns when its first output has come. `finish` is due before the next cell."""
        ...

    def finish(self) -> None:
        """Wait for the end of the cell that `begin` started."""
        ...

    def kernel(self) -> tuple[int, ...]:
        """Process ids: the kernel, and after it what stands beside it for this session alone (kernelwire: its shim, and
        then the init of its PID namespace, if it has one)."""
        ...

    def close(self) -> None:
        """End the kernel, close every socket; idempotent."""
        ...


class System(Session, Protocol):
    """One way from a client to Python kernels. As a session it is its first one, opened when it is first needed."""

    @property
    def name(self) -> str:
        """Short, unique, as in the tables and in JSON."""
        ...

    @property
    def about(self) -> str:
        """One line: what is measured, and by which client."""
        ...

    def start(self) -> None:
        """Start what serves the sessions; returns when it answers. `close` ends it, also after a failed start."""
        ...

    def open(self) -> Session:
        """One more session. Whether its kernel runs already is the system's matter: evaluating waits for it."""
        ...

    def servers(self) -> dict[str, tuple[int, ...]]:
        """Processes between client and kernel by role, while the system runs; empty where nothing stands between."""
        ...

    def processes(self) -> Processes:
        """The servers that a call passes, and the first session's kernel."""
        ...

    def close(self) -> None:
        """End every session and process; idempotent. Files are left to the owner of the directory."""
        ...

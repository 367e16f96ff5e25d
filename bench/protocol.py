"""What a system must offer to be measured."""

from typing import Protocol

from msgspec import Struct


class BenchFailed(Exception):
    """A system did not start, did not answer in time or answered wrongly. `str(error)` is a sentence."""


class Processes(Struct, frozen=True):
    """Process ids of a running system, for its CPU time."""

    server: tuple[int, ...]
    """what stands between client and kernel; empty for raw 0MQ"""
    kernel: int


class System(Protocol):
    """One way from a client to a Python kernel. Every method blocks, for a bounded time, and raises BenchFailed.

    Answers are checked by the caller, outside of the time that is measured.
    """

    @property
    def name(self) -> str:
        """Short, unique, as in the tables and in JSON."""
        ...

    @property
    def about(self) -> str:
        """One line: what is measured, and by which client."""
        ...

    def start(self) -> None:
        """Start everything, the kernel too; returns when it answers. `close` ends it, also after a failed start."""
        ...

    def evaluate(self, code: str) -> str:
        """Run a cell to its end (reply and idle); the text of its result, empty without one."""
        ...

    def inspect(self, code: str) -> str:
        """The text of the inspection at the end of `code`; empty if nothing was found."""
        ...

    def complete(self, code: str) -> list[str]:
        """The texts of the completions at the end of `code`."""
        ...

    def stream(self, code: str) -> list[str]:
        """Run a cell and receive its output while it is printed: the stdout texts as they came."""
        ...

    def processes(self) -> Processes:
        """While the system runs."""
        ...

    def close(self) -> None:
        """End every process, close every socket; idempotent. Files are left to the owner of the directory."""
        ...

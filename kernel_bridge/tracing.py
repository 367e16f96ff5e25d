"""Tracing as front and host see it: spans, named by W3C traceparent.

kernelwire.otel has the tracer that exports. Without a tracer nothing here is called; a host follows only calls that
their front traces.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Protocol, TypeVar

from kernel_bridge import hop
from kernel_bridge.results import CellEnd

R = TypeVar("R")
Attribute = str | int | float | bool


class Span(Protocol):
    """Something that takes time. `end` it once; what it says is facts such as an outcome, never what a user sent."""

    @property
    def traceparent(self) -> str:
        """Its place for children, as in W3C Trace Context."""
        ...

    def end(self, *, failed: bool = False, **facts: Attribute) -> None: ...


class Tracer(Protocol):
    def start(self, name: str, parent: str | None, **facts: Attribute) -> Span:
        """A span that begins now, below `parent`; without one, or with a malformed one, the first of a new trace."""
        ...

    def close(self) -> None:
        """Send what is left, for a bounded time."""
        ...


_current: ContextVar[tuple[Tracer, Span] | None] = ContextVar("kernelwire_span", default=None)


async def traced(tracer: Tracer | None, asked: hop.AnyRequest, answer: Callable[[hop.AnyRequest], Awaitable[R]]) -> R:
    """`await answer(asked)`, with a span of the host around it if the front traces the call."""
    if tracer is None or asked.traceparent is None:
        return await answer(asked)
    span = tracer.start(f"host.{asked.__struct_config__.tag}", asked.traceparent, request_id=asked.request_id)
    before = _current.set((tracer, span))
    try:
        result = await answer(asked)
    except BaseException as error:
        span.end(failed=True, error=type(error).__name__)
        raise
    else:
        span.end()
        return result
    finally:
        _current.reset(before)


class CellTrace:
    """The spans of one cell: `cell.queue`, then `cell.run` with `kernel.execute` in it, from busy to idle."""

    def __init__(self, tracer: Tracer, parent: str) -> None:
        self._tracer = tracer
        self._parent = parent
        self._queue: Span | None = tracer.start("cell.queue", parent)
        self._run: Span | None = None
        self._kernel: Span | None = None

    @classmethod
    def begin(cls) -> "CellTrace | None":
        """For a cell that is queued by the call under way; None if that is not traced."""
        current = _current.get()
        return cls(current[0], current[1].traceparent) if current is not None else None

    def running(self) -> None:
        """Its execute_request is about to be sent."""
        if self._queue is not None:
            self._queue.end()
            self._queue = None
        self._run = self._tracer.start("cell.run", self._parent)

    def status(self, state: object) -> None:
        """The kernel said that it is busy with it, or idle again."""
        if state == "busy" and self._kernel is None and self._run is not None:
            self._kernel = self._tracer.start("kernel.execute", self._run.traceparent)
        elif state == "idle":
            self._end_kernel(failed=False)

    def ended(self, end: CellEnd) -> None:
        self._end_kernel(failed=True)  # it never became idle
        for span in (self._queue, self._run):
            if span is not None:
                span.end(failed=end != "ok", end=end)
        self._queue = self._run = None

    def _end_kernel(self, *, failed: bool) -> None:
        if self._kernel is not None:
            self._kernel.end(failed=failed)
            self._kernel = None

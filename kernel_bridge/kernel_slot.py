"""A session's place for a kernel: empty, starting, occupied, or left by one that died."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from kernel_bridge.errors import KernelspecNotFound, KernelStartFailed
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.results import Exit, KernelState

log = logging.getLogger("kernelwire.bridge.kernel_slot")

FAULT = "a fault of the service: its log says more"
CLOSED = "the session was closed while its kernel started"

OpenKernel = Callable[[Deliver, Callable[[Kernel, ExitRecord], None]], Awaitable[Kernel]]
Started = Callable[[Exit | None], None]
Ended = Callable[[Kernel, ExitRecord], None]


class KernelSlot:
    """At most one kernel, started on first need and again after a death. `close` ends it.

    `started` is called when a kernel is ready, with the exit of the one before it that died (None: there was none);
    `ended` when one that was ready has ended; `changed` when `state` may be another one.
    """

    def __init__(
        self,
        open_kernel: OpenKernel,
        deliver: Deliver,
        started: Started,
        ended: Ended,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_kernel = open_kernel
        self._deliver = deliver
        self._started = started
        self._ended = ended
        self._changed = changed
        self._kernel: Kernel | None = None
        self._starting: asyncio.Task[Kernel] | None = None
        self._died: Exit | None = None
        self._closes = 0
        self._restarting = 0

    @property
    def kernel(self) -> Kernel | None:
        """The kernel, if one is ready."""
        return self._kernel

    def state(self, busy: bool) -> KernelState:
        if self._restarting:
            return "starting"
        if self._kernel is not None:
            return "busy" if busy else "idle"
        if self._starting is not None:
            return "starting"
        return "none" if self._died is None else "dead"

    async def ready(self) -> Kernel:
        """The kernel, started if need be; all callers share one start. Raises KernelStartFailed."""
        closes = self._closes
        while True:
            while self._kernel is not None:
                if not (self._kernel.dying or self._kernel.stopping):
                    return self._kernel
                await self._kernel.ended()  # its last output is being read; then there is place for a new one
            if closes != self._closes:
                raise KernelStartFailed(Exit(), CLOSED)
            starting = self._begin_start()
            await asyncio.wait([starting])
            if not starting.cancelled() and not starting.result().stopping:
                return starting.result()

    async def close(self, *, kill: bool = False) -> Exit | None:
        """End the kernel, also one that is starting; returns its exit. The slot can be used again."""
        self._closes += 1
        return await self._end(kill=kill)

    async def restart(self, *, kill: bool = False) -> Exit | None:
        """End the kernel, also one that is starting, and return its exit when a new one is ready.

        Whoever waits for a kernel waits on for the new one. Raises KernelStartFailed, also when `close` comes between.
        """
        closes = self._closes
        self._restarting += 1
        self._changed()
        try:
            ended = await self._end(kill=kill)
            if closes != self._closes:
                raise KernelStartFailed(Exit(), CLOSED)
            await self.ready()
        finally:
            self._restarting -= 1
            self._changed()
        return ended

    def _begin_start(self) -> "asyncio.Task[Kernel]":
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="kernel-start")
            self._starting.add_done_callback(self._start_done)
            self._changed()
        return self._starting

    async def _end(self, *, kill: bool) -> Exit | None:
        if self._starting is not None:
            if not self._starting.cancelling():
                self._starting.cancel()  # once: what cleans up after it must not be cut
            await asyncio.wait([self._starting])
        kernel = self._kernel
        if kernel is None:
            return None
        record = await (kernel.kill() if kill else kernel.stop())
        self._died = None
        self._changed()
        return record.exit

    async def _start(self) -> Kernel:
        try:
            kernel = await self._open_kernel(self._deliver, self._on_exit)
        except (OSError, KernelspecNotFound) as error:
            raise KernelStartFailed(Exit(), str(error)) from error
        except Exception as error:
            log.exception("kernel_not_opened")
            raise KernelStartFailed(Exit(), FAULT) from error
        try:
            await kernel.ready()
        except (KernelStartFailed, asyncio.CancelledError):
            await self._give_up(kernel)
            raise
        except Exception as error:
            log.exception("kernel_start_failed")
            await self._give_up(kernel)
            raise KernelStartFailed(Exit(), FAULT) from error
        self._kernel = kernel
        died, self._died = self._died, None
        self._started(died)
        return kernel

    async def _give_up(self, kernel: Kernel) -> None:
        """End a kernel that did not become ready, whatever happens meanwhile to the task that started it."""
        killing = asyncio.create_task(kernel.kill())
        while not killing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([killing])
        if killing.exception() is not None:
            log.error("kernel_not_killed kernel=%s", kernel.kid, exc_info=killing.exception())
        kernel.close()

    def _start_done(self, task: "asyncio.Task[Kernel]") -> None:
        self._starting = None
        self._changed()
        if not task.cancelled():
            task.exception()  # whoever waits gets it; nobody may be waiting any more

    def _on_exit(self, kernel: Kernel, record: ExitRecord) -> None:
        if kernel is not self._kernel:
            return  # it never became ready: its start says why
        self._kernel = None
        self._died = record.exit
        try:
            self._ended(kernel, record)
        finally:
            self._changed()
            kernel.close()

"""A session's place for a kernel: empty, starting, occupied, or left by one that died."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine

from kernel_bridge.errors import KernelspecNotFound, KernelStartFailed, LimitExceeded
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.results import Exit, KernelState

log = logging.getLogger("kernelwire.bridge.kernel_slot")

FAULT = "a fault of the service: its log says more"
CLOSED = "the session was closed while its kernel started"

OpenKernel = Callable[[Deliver, DeliverExit], Awaitable[Kernel]]
AdoptKernel = Callable[[Deliver, DeliverExit], Kernel]
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

    @property
    def usable(self) -> Kernel | None:
        """The kernel, if one is ready and not about to end."""
        kernel = self._kernel
        return None if kernel is None or kernel.dying or kernel.stopping else kernel

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
                if self.usable is not None:
                    return self.usable
                await self._kernel.ended()  # its last output is being read; then there is place for a new one
            if closes != self._closes:
                raise KernelStartFailed(Exit(), CLOSED)
            starting = self._begin_start()
            await asyncio.wait([starting])
            if not starting.cancelled() and not starting.result().stopping:
                return starting.result()

    def adopt(self, connect: AdoptKernel, *, ready: bool) -> Kernel:
        """Take over a kernel that an earlier host started: there at once if it was `ready`, else when it has answered,
        as after a start. `started` is called only then. The slot must be empty. Raises OSError as `connect` does."""
        kernel = connect(self._deliver, self._on_exit)
        if ready:
            self._kernel = kernel
            self._changed()
        else:
            self._await_start(self._until_ready(kernel))
        return kernel

    def departed(self, exit: Exit) -> None:
        """The kernel that an earlier host started has died."""
        self._died = exit
        self._changed()

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
        return self._starting or self._await_start(self._start())

    def _await_start(self, start: Coroutine[None, None, Kernel]) -> "asyncio.Task[Kernel]":
        self._starting = asyncio.create_task(start, name="kernel-start")
        self._starting.add_done_callback(self._start_done)
        self._changed()
        return self._starting

    async def _end(self, *, kill: bool) -> Exit | None:
        starting = self._starting
        if starting is not None:
            await asyncio.sleep(0)  # a task that is cancelled before its first step cleans nothing up
            if not starting.cancelling():
                starting.cancel()  # once: what cleans up after it must not be cut
            await asyncio.wait([starting])
        kernel = self._kernel
        if kernel is None:
            return None
        record = await (kernel.kill() if kill else kernel.stop())
        self._died = None
        self._changed()
        return record.exit

    async def _start(self) -> Kernel:
        kernel = await self._open()
        try:
            return await self._until_ready(kernel)
        except KernelStartFailed as failed:
            if not kernel.forked:
                raise
            log.warning("forked_kernel_not_ready kernel=%s exit=%s", kernel.kid, failed.exit)
        return await self._until_ready(await self._open())  # this one is not forked, see ForkServers.judge

    async def _open(self) -> Kernel:
        try:
            return await self._open_kernel(self._deliver, self._on_exit)
        except (OSError, KernelspecNotFound, LimitExceeded) as error:
            raise KernelStartFailed(Exit(), str(error)) from error
        except Exception as error:
            log.exception("kernel_not_opened")
            raise KernelStartFailed(Exit(), FAULT) from error

    async def _until_ready(self, kernel: Kernel) -> Kernel:
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

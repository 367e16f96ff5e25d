"""A session's place for a kernel: empty, starting, occupied, or left by one that died."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from kernel_bridge.errors import KernelspecNotFound, KernelStartFailed
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.results import Exit, KernelState

OpenKernel = Callable[[Deliver, Callable[[Kernel, ExitRecord], None]], Awaitable[Kernel]]
Started = Callable[[Exit | None], None]
Ended = Callable[[Kernel, ExitRecord], None]


class KernelSlot:
    """At most one kernel, started on first need and again after a death. `close` ends it.

    `started` is called when a kernel is ready, with the exit of the one before it that died (None: there was none);
    `ended` when one that was ready has ended.
    """

    def __init__(self, open_kernel: OpenKernel, deliver: Deliver, started: Started, ended: Ended) -> None:
        self._open_kernel = open_kernel
        self._deliver = deliver
        self._started = started
        self._ended = ended
        self._kernel: Kernel | None = None
        self._starting: asyncio.Task[Kernel] | None = None
        self._died: Exit | None = None

    @property
    def kernel(self) -> Kernel | None:
        """The kernel, if one is ready."""
        return self._kernel

    def state(self, busy: bool) -> KernelState:
        if self._kernel is not None:
            return "busy" if busy else "idle"
        if self._starting is not None:
            return "starting"
        return "none" if self._died is None else "dead"

    async def ready(self) -> Kernel:
        """The kernel, started if need be; all callers share one start. Raises KernelStartFailed."""
        if self._kernel is not None:
            return self._kernel
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="kernel-start")
            self._starting.add_done_callback(self._start_done)
        return await asyncio.shield(self._starting)

    async def close(self, *, kill: bool = False) -> Exit | None:
        """End the kernel, also one that is starting; returns its exit. The slot can be used again."""
        starting = self._starting
        if starting is not None:
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, KernelStartFailed):
                await starting
        kernel = self._kernel
        if kernel is None:
            return None
        record = await (kernel.kill() if kill else kernel.stop())
        self._died = None
        return record.exit

    async def _start(self) -> Kernel:
        try:
            kernel = await self._open_kernel(self._deliver, self._on_exit)
        except (OSError, KernelspecNotFound) as error:
            raise KernelStartFailed(Exit(), str(error)) from error
        try:
            await kernel.ready()
        except BaseException:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(kernel.kill())
            kernel.close()
            raise
        self._kernel = kernel
        died, self._died = self._died, None
        self._started(died)
        return kernel

    def _start_done(self, task: "asyncio.Task[Kernel]") -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # whoever waits gets it; nobody may be waiting any more

    def _on_exit(self, kernel: Kernel, record: ExitRecord) -> None:
        if kernel is not self._kernel:
            return  # it never became ready: its start says why
        self._kernel = None
        self._died = record.exit
        kernel.close()
        self._ended(kernel, record)

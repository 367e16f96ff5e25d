"""The pool: kernels that wait, ready, for sessions that need one. Each is one session's only, and never comes back."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from contextvars import Context

from kernel_bridge.errors import KernelBusy, KernelDied, KernelspecNotFound, KernelStartFailed
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_factory import KernelFactory
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.kernelspecs import Kernelspecs, Spec
from kernel_bridge.ownership import remove_tree
from kernel_bridge.record import SessionRecord
from kernel_bridge.sandbox.sandboxes import profile_of
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.tally import Tally
from kernel_bridge.waiting_kernel import WaitingKernel

PAUSE_S = 0.2
"""the pool is filled when no session's kernel has started for so long: those that somebody waits for come first"""
RETRY_S = (1.0, 10.0, 60.0, 600.0)
"""after kernels that failed one after the other the pool waits for so long"""
ASK_EACH_S = 30.0
"""how often each is asked whether it is still there; whether it lives and is not stopped is looked at all the time"""
ANSWER_S = 5.0

log = logging.getLogger("kernelwire.bridge.kernel_pool")


class KernelPool:
    """One host's. `tend` now and then fills it and looks after it; `close` ends all that wait.

    Kernels of the default kernelspec wait if they can be forked, `pool` of them; of kernelspecs in `pool_kernels` as
    many as it says. One is made at a time, and none while a session's kernel starts.
    """

    def __init__(
        self,
        factory: KernelFactory,
        kernelspecs: Kernelspecs,
        settings: BridgeSettings,
        tally: Tally,
    ) -> None:
        self._factory = factory
        self._kernelspecs = kernelspecs
        self._pool = settings.pool if factory.forks is not None else 0
        self._sandbox = settings.sandbox
        self._named = {name.lower(): count for name, count in settings.pool_kernels.items()}
        self._tally = tally
        self._waiting: dict[str, deque[WaitingKernel]] = {}
        self._wanted: list[tuple[Spec, int]] | None = None
        """how many of each are to wait; None: not read yet"""
        self._filling: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._taken_at = 0.0
        self._asked_at = time.monotonic()
        self._failures = 0
        self._retry_at = 0.0
        self._closed = False

    @property
    def count(self) -> int:
        """How many kernels wait."""
        return sum(map(len, self._waiting.values()))

    async def take(self, record: SessionRecord) -> WaitingKernel | None:
        """A kernel for a session that has no files yet, the one that has waited longest; None if there is none.

        A session with files gets none, as a kernel's directory cannot be changed; nor does one whose user has another
        sandbox than the default. Raises KernelspecNotFound, TimeoutError.
        """
        self._taken_at = time.monotonic()
        queue = self._waiting.get(record.kernelspec)
        if profile_of(self._sandbox, record.owner_name) != self._sandbox.profile:
            return None
        if not queue or (self._factory.place.workdirs / record.workdir).exists():
            return None
        spec = await self._kernelspecs.get(record.kernelspec)
        server = self._factory.fork_server(spec)
        while queue:
            taken = queue.popleft()
            self._changed()
            fault = taken.fault(server) if taken.spec == spec else "its kernelspec has changed"
            if not fault:
                self._failures = 0
                log.info("kernel_taken kernel=%s waited_s=%d", taken.kernel.kid, time.monotonic() - taken.made_at)
                return taken
            self._drop(taken, fault)
        return None

    def tend(self) -> None:
        """Drop what is of no use any more, and begin to fill up what is missing."""
        if self._closed:
            return
        for queue in self._waiting.values():
            for waiting in list(queue):
                fault = waiting.fault(self._factory.fork_server(waiting.spec))
                if fault:
                    queue.remove(waiting)
                    self._drop(waiting, fault)
        self._changed()
        if self._asking is None and self._wants and time.monotonic() - self._asked_at > ASK_EACH_S:
            self._asking = asyncio.create_task(self.ask(), name="pool-ask", context=Context())
            self._asking.add_done_callback(self._asked)

    async def ask(self) -> None:
        """Ask each whether it answers, and drop those that do not, or whose kernelspec has changed."""
        try:
            await self._read_specs()
        except (KernelspecNotFound, TimeoutError) as error:
            log.warning("pool_not_asked reason=%s", error)
            return
        for waiting in [waiting for queue in self._waiting.values() for waiting in queue]:
            try:
                await waiting.kernel.ask("kernel_info_request", {}, deadline_s=ANSWER_S)
                fault = "" if self._is_current(waiting) else "its kernelspec has changed"
            except (KernelBusy, KernelDied):
                fault = "it does not answer"
            queue = self._waiting[waiting.spec.name]
            if fault and waiting in queue:
                queue.remove(waiting)
                self._drop(waiting, fault)
        self._changed()

    async def settled(self) -> int:
        """How many wait when what is under way is done: filling, asking, ending."""
        while tasks := self._tasks():
            await asyncio.wait(tasks)
            await asyncio.sleep(0)  # for what follows their end
        return self.count

    async def close(self) -> None:
        """End all that wait; those that were taken live on. Idempotent."""
        self._closed = True
        for task in (self._filling, self._asking):
            if task is not None:
                task.cancel()
        for queue in self._waiting.values():
            while queue:
                self._end(queue.popleft())
        self._changed()
        await self.settled()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _tasks(self) -> list["asyncio.Task[None]"]:
        return [task for task in (self._filling, self._asking, *self._ending) if task is not None]

    def _changed(self) -> None:
        """Count, and begin to fill up unless that is under way, or it is too soon after a failure."""
        self._tally.kernels["pooled"] = self.count
        if self._closed or self._filling is not None or time.monotonic() < self._retry_at or not self._wants:
            return
        if self._wanted is None or self._missing() is not None:
            self._filling = asyncio.create_task(self._fill(), name="pool-fill", context=Context())
            self._filling.add_done_callback(self._filled)

    def _filled(self, task: "asyncio.Task[None]") -> None:
        self._filling = None
        if not task.cancelled() and task.exception() is not None:  # a fault here must not end the host
            log.error("pool_not_filled", exc_info=task.exception())
            self._failed()

    def _asked(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        self._asked_at = time.monotonic()
        if not task.cancelled() and task.exception() is not None:
            log.error("pool_not_asked", exc_info=task.exception())

    def _failed(self) -> None:
        self._retry_at = time.monotonic() + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1

    @property
    def _wants(self) -> bool:
        """Whether the settings ask for any."""
        return bool(self._pool or any(self._named.values()))

    async def _fill(self) -> None:
        try:
            await self._read_specs()
            while (spec := self._missing()) is not None:
                await self._quiet()
                await self._add(spec)
        except (KernelspecNotFound, KernelStartFailed, OSError) as error:
            log.warning("pool_not_filled failures=%d reason=%s", self._failures, error)
            self._failed()

    async def _read_specs(self) -> None:
        """Know of which kernelspecs how many are to wait. Raises KernelspecNotFound, TimeoutError."""
        counts = {await self._kernelspecs.default(): self._pool} | self._named
        specs = {name: await self._kernelspecs.find(name) for name in counts}
        self._wanted = [(spec, counts[name]) for name, spec in specs.items() if spec is not None]

    def _missing(self) -> Spec | None:
        """The next kernelspec of which too few wait, and which can have more."""
        for spec, count in self._wanted or ():
            if len(self._waiting.get(spec.name, ())) < count and self._can_wait(spec):
                return spec
        return None

    def _can_wait(self, spec: Spec) -> bool:
        return spec.name in self._named or self._factory.fork_server(spec) is not None

    def _is_current(self, waiting: WaitingKernel) -> bool:
        return any(spec == waiting.spec for spec, _ in self._wanted or ())

    async def _quiet(self) -> None:
        """Return when no session has asked for a kernel for a while, and none starts."""
        while True:
            rest_s = self._taken_at + PAUSE_S - time.monotonic()
            if rest_s > 0:
                await asyncio.sleep(rest_s)
            elif self._tally.kernels["starting"] > 0:
                await asyncio.sleep(PAUSE_S)
            else:
                return

    async def _add(self, spec: Spec) -> None:
        """One more. Raises OSError, KernelStartFailed."""
        begun = time.monotonic()
        made = WaitingKernel(spec, self._factory.fork_server(spec), self._end)
        made.opened = await self._factory.open_waiting(spec, made.deliver, self._on_exit)
        if not made.kernel.forked:
            made.server = None
        try:
            await made.kernel.ready()
        except BaseException:
            self._end(made)
            raise
        made.made_at = time.monotonic()
        self._waiting.setdefault(spec.name, deque()).append(made)
        self._tally.kernels["pooled"] = self.count
        log.info("kernel_waits kernel=%s duration_ms=%d", made.kernel.kid, (made.made_at - begun) * 1000)

    def _on_exit(self, kernel: Kernel, record: ExitRecord) -> None:
        """One that was not taken has ended; one that was on its way into the pool is seen to in `_add`."""
        for queue in self._waiting.values():
            for waiting in list(queue):
                if waiting.kernel is kernel:
                    queue.remove(waiting)
                    log.warning("waiting_kernel_ended kernel=%s exit=%s", kernel.kid, record.exit)
                    self._failed()
                    self._end(waiting)
        self._changed()

    def _drop(self, waiting: WaitingKernel, fault: str) -> None:
        log.info("waiting_kernel_dropped kernel=%s reason=%s", waiting.kernel.kid, fault)
        if waiting.noisy:
            self._failed()  # the next one will do the same
        self._end(waiting)

    def _end(self, waiting: WaitingKernel, with_files: bool = True) -> None:
        task = asyncio.create_task(self._ended(waiting.kernel, with_files), name="pool-end", context=Context())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _ended(self, kernel: Kernel, with_files: bool) -> None:
        try:
            await kernel.kill()
        except TimeoutError:
            log.exception("kernel_not_killed kernel=%s", kernel.kid)
        if with_files:  # before the record: its name leads to the directory
            workdir = self._factory.place.workdirs / kernel.kid
            with contextlib.suppress(OSError):
                await asyncio.to_thread(remove_tree, workdir)
        kernel.close()

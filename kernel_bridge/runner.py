"""A session's queue at work: one execute_request in flight, each cell run at most once and ended with a reason."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context

import msgspec

from kernel_bridge import events, limits, log_context, recovery
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.completion import Completion
from kernel_bridge.errors import KernelBusy, KernelDied, KernelStartFailed
from kernel_bridge.event_contents import CellChanged, CellEnded, Notice
from kernel_bridge.inputs import Inputs
from kernel_bridge.interrupt import Interrupts
from kernel_bridge.journal import Journal
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.results import CellEnd, CellState, Exit, InterruptStep
from kernel_bridge.resumption import Resumption
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.sync import knows

LIMIT_REACHED = "LimitReached"

log = logging.getLogger("kernelwire.bridge.runner")


class Runner:
    """Owns the cells that wait and the one that runs, and the tasks that run, interrupt and time them.

    `done` is told of each cell that ended, after its last event was written; `on_change` is called when one was queued,
    begins or has ended.

    While the kernel is there and nothing is missing, cells go from one to the next without any task: at the call that
    queues them and at the messages that complete them. The worker, a task, does what takes time: it waits for a kernel,
    for the missing half of a completion, or takes up the cells of a host that died.
    """

    def __init__(
        self,
        journal: Journal,
        slot: KernelSlot,
        settings: BridgeSettings,
        done: Callable[[LiveCell], None],
        on_change: Callable[[], None],
    ) -> None:
        self.queue: deque[LiveCell] = deque()
        self.running: LiveCell | None = None
        self._journal = journal
        self._slot = slot
        self._settings = settings
        self._done = done
        self._on_change = on_change
        self._worker: asyncio.Task[None] | None = None
        self._interrupts = Interrupts(slot, settings)
        self.inputs = Inputs(self.write, self._change)
        self.completion = Completion(slot, settings, self.write, lambda: self._closing)
        self._closing = False
        self._segment = 0

    @property
    def current(self) -> LiveCell | None:
        """The cell that runs, or else the one that is next."""
        return self.running or (self.queue[0] if self.queue else None)

    # -- what the session asks -----------------------------------------------------------------------------------------

    def put(self, cell: LiveCell) -> None:
        """Queue a cell that was recorded as queued."""
        self._closing = False
        self.queue.append(cell)
        self._on_change()
        if cell.request.wait > 0:
            self._go_ahead()
        else:  # whoever does not wait is told that it is queued, and may queue more before it runs
            asyncio.get_running_loop().call_soon(self._go_ahead)

    def resume(self, kernel: Kernel, ran: LiveCell | None, queued: Sequence[LiveCell]) -> None:
        """Go on with cells of a host that died, on the kernel that it left behind.

        `ran` is not sent again: it ends as its kernel ends it.
        """
        self.running = ran
        self.queue.extend(queued)
        if ran is not None or queued:
            self._begin_work(self._take_up(kernel))
        self._on_change()

    def cancel(self, cell: LiveCell) -> None:
        """End a queued cell as `cancelled`."""
        self.queue.remove(cell)
        self._end(cell, "cancelled")

    def end_recovered(self, cell: LiveCell, end: CellEnd, exit: Exit | None = None) -> None:
        """End a cell of a host that died, which cannot go on. `exit`: how its kernel ended."""
        cell.exit = exit
        self._end(cell, end)

    async def interrupt(self, cell: LiveCell) -> InterruptStep:
        """Interrupt the running `cell` and say which step worked."""
        return await self._interrupts.interrupt(cell)

    def interrupt_soon(self, cell: LiveCell) -> None:
        """As `interrupt`, without waiting for it."""
        self._interrupts.begin(cell)

    def answer_input(self, input_id: str, value: str) -> None:
        """Give the running cell its input. Raises NotWaitingForInput unless it waits for exactly this one."""
        self.inputs.answer(self.running, self._slot.kernel, input_id, value)

    def restarting(self) -> int:
        """The kernel is about to be ended for a new one: cells in the queue end as `aborted` now, the running one as
        `restarted` with its kernel; those that come later wait for the new one. Returns how many were aborted."""
        return self.kernel_leaves("restarted", "aborted")

    def kernel_leaves(self, running: CellEnd, queued: CellEnd) -> int:
        """As `restarting`, with ends of the caller's choice."""
        if self.running is not None:
            self.running.forced_end = running
        ended = len(self.queue)
        self._end_queue(queued)
        return ended

    def closing(self) -> None:
        """From now on cells end as `closed`: those in the queue at once, the running one with its kernel."""
        self._closing = True
        self._end_queue("closed")

    async def close(self) -> None:
        """End the running cell and the tasks; the kernel is the slot's matter and should have been ended before."""
        self.closing()
        cell = self.running
        if cell is not None:
            cell.completed.set()
            if self._worker is None:
                self._finish(cell)
        tasks = [*self._interrupts.tasks, *([self._worker] if self._worker is not None else [])]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=self._settings.idle_grace_s)
            for task in pending:
                task.cancel()

    # -- what the kernel says ------------------------------------------------------------------------------------------

    def kernel_ended(self, record: ExitRecord) -> None:
        """The kernel is gone; all that it said has been delivered. Cells that came after its death get a new one."""
        cell = self.running
        if cell is not None:
            cell.exit = record.exit
            cell.completed.set()

    def write(self, event: events.NewEvent, cell: LiveCell, *, keep: bool = False) -> None:
        """Write an event of `cell` and fold it into its outputs."""
        seq = self._journal.write(event, keep=keep)
        if seq is not None:
            cell.cursor = seq
        cell.fold.add(event)
        self.note_segment()

    def note_segment(self) -> None:
        """Called after each event: when a new segment began, record the cells whose first events lie in older ones."""
        first = self._journal.events.newest_segment
        if first == self._segment:
            return
        self._segment = first
        waiting = [*self.queue, self.running] if self.running is not None else list(self.queue)
        for cell in waiting:
            if not cell.saved and cell.queued_seq < first:
                cell.saved = self._journal.save(cell.id, recovery.to_save(cell))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _go_ahead(self) -> None:
        """Run the next cell, at once or when there is a kernel; nothing if one runs."""
        if self._worker is not None or self.running is not None or not self.queue:
            return
        kernel = self._slot.usable
        if kernel is not None and kernel.in_touch:
            self._run(kernel, self.queue.popleft())
        else:
            self._begin_work(self._work())

    async def _work(self) -> None:
        """The worker: has a kernel ready for the next cell."""
        while self.queue and self.running is None:
            try:
                kernel = await self._slot.ready()
                await kernel.get_in_touch()
            except KernelStartFailed as error:
                self._start_failed(error)
                continue
            except KernelDied:
                continue  # its slot has place for another one
            if self.queue and kernel is self._slot.kernel:
                self._run(kernel, self.queue.popleft())

    async def _take_up(self, adopted: Kernel) -> None:
        """The worker after a host that died: first what its kernel knows already, then the queue."""
        if self.running is not None:
            await self._go_on(adopted, self.running)
            with contextlib.suppress(KernelBusy, KernelDied):
                await adopted.get_to_know()
        while self.queue:
            cell = self.queue[0]
            known = await knows(adopted, cell.id, self._settings.introspection_s)
            if not known or adopted is not self._slot.kernel:
                break
            if self.queue and cell is self.queue[0]:
                self._begin(self.queue.popleft())
                await self._go_on(adopted, cell)
        await self._work()

    def _begin_work(self, work: Coroutine[None, None, None]) -> None:
        self._worker = asyncio.create_task(work, name="runner", context=Context())
        self._worker.add_done_callback(self._worker_done)

    def _worker_done(self, task: "asyncio.Task[None]") -> None:
        if task is self._worker:
            self._worker = None
        if not task.cancelled() and task.exception() is not None:
            log.error("runner_failed", exc_info=task.exception())
            self._end_all()
        self._go_ahead()

    def _end_all(self) -> None:
        """After a fault of ours: nobody may wait for ever."""
        if self.running is not None:
            self._end(self.running, "lost")
        self._end_queue("aborted")

    def _begin(self, cell: LiveCell) -> None:
        self.running = cell
        cell.started_at = utcnow()
        cell.runs_after, cell.runs_after_bytes = self._journal.newest, self._journal.events.written_bytes
        if cell.saved:
            self._journal.save(cell.id, recovery.to_save(cell))
        self._change(cell, "running")
        self._on_change()
        if cell.trace is not None:
            cell.trace.running()

    def _run(self, kernel: Kernel, cell: LiveCell) -> None:
        """Have the kernel begin with a cell; its completion says what comes next."""
        try:
            with log_context.of_call(cell.request):
                self._begin(cell)
                kernel.execute(cell.id, cell.execute_request())
                self.time(cell)
        except Exception:
            log.exception("runner_failed")
            self._end_all()
        else:
            # not at once: output of subprocesses may follow the idle in the same batch of messages, and is the cell's
            soon = asyncio.get_running_loop().call_soon
            cell.completed.then(lambda: soon(self._completed, kernel, cell))

    def _completed(self, kernel: Kernel, cell: LiveCell) -> None:
        if cell is not self.running:
            return  # it has ended meanwhile
        if not self.completion.is_whole(cell):
            self._begin_work(self._to_its_end(kernel, cell))
            return
        try:
            with log_context.of_call(cell.request):
                self._finish(cell)
        except Exception:
            log.exception("runner_failed")
            self._end_all()
        self._go_ahead()

    async def _go_on(self, kernel: Kernel, cell: LiveCell) -> None:
        """As `_run`, for a cell that the kernel was given before."""
        cell.resumed = True
        following = asyncio.create_task(
            Resumption(kernel, cell, self.inputs, self.time, self._settings).run(), name="resumption"
        )
        try:
            await self._to_its_end(kernel, cell)
        finally:
            following.cancel()
            await asyncio.wait([following])
            if not following.cancelled() and following.exception() is not None:
                log.error("resumption_failed", exc_info=following.exception())

    def time(self, cell: LiveCell) -> None:
        """Have the cell interrupted when its `timeout` is over, counted from when it began to run."""
        if cell.request.timeout is None or cell.started_at is None or cell.timer is not None:
            return
        ran_s = (utcnow() - cell.started_at).total_seconds()
        left_s = min(cell.request.timeout, cell.request.timeout - ran_s)  # the clock may have been set back
        cell.timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self._interrupts.timed_out, cell)

    async def _to_its_end(self, kernel: Kernel, cell: LiveCell) -> None:
        with log_context.of_call(cell.request):
            try:
                await self.completion.wait(kernel, cell)
            finally:
                if cell.timer is not None:
                    cell.timer.cancel()
            self._finish(cell)

    def _finish(self, cell: LiveCell) -> None:
        """End a cell that has completed, and with it those that must not run after it."""
        end = cell.end_by(closing=self._closing)
        self._write_pages(cell)
        self._write_limit(cell)
        self._end(cell, end)
        died = cell.exit is not None
        if cell.forced_end is not None and not self._closing:
            return  # what waits now is for the next kernel
        if (end in recovery.RAISES and cell.request.stop_on_error) or died:
            self._end_queue("closed" if self._closing else "aborted")

    def _write_pages(self, cell: LiveCell) -> None:
        """IPython's pager texts (`len?` as code) come only as payload: show them as an output too."""
        for item in cell.reply.payload if cell.reply is not None else []:
            if item.get("source") == "page" and isinstance(item.get("data"), dict):
                page = {"data": item["data"], "metadata": {"kernelwire": {"page": True}}, "transient": {}}
                content, limit = msgspec.json.encode(page), self._settings.max_event_bytes
                for event in events.from_kernel("display_data", content, cell.id, max_bytes=limit):
                    self.write(event, cell)

    def _write_limit(self, cell: LiveCell) -> None:
        """Say which limit ended the kernel under the cell, or probably made its code fail."""
        ended_by = limits.ended_by(cell.exit, self._settings.limits) if cell.exit is not None else None
        if ended_by is not None:
            self.reached_limit(cell, ended_by)
        elif cell.reply is not None and cell.reply.status == "error":
            name = limits.reached(cell.reply.ename, cell.reply.evalue, self._settings.limits)
            if name is not None:
                value = getattr(self._settings.limits, name)
                text = f"this error may come from a limit of the service: bridge.limits.{name} = {value}"
                self.write(events.from_service("notice", Notice("limit_reached", text, limit=name), cell.id), cell)

    def reached_limit(self, cell: LiveCell, words: str) -> None:
        """Have an `error` in the outputs of a cell that a limit ends."""
        content = {"ename": LIMIT_REACHED, "evalue": words, "traceback": [f"{LIMIT_REACHED}: {words}"]}
        self.write(events.from_service("error", content, cell.id), cell)

    def _start_failed(self, error: KernelStartFailed) -> None:
        first = self.queue.popleft() if self.queue else None
        if first is not None:
            first.exit = error.exit
            lines = error.stderr.splitlines()
            content = {"ename": "KernelStartFailed", "evalue": str(error), "traceback": lines[-20:]}
            self.write(events.from_service("error", content, first.id), first)
            self._end(first, "closed" if self._closing else "start_failed")
        self._end_queue("closed" if self._closing else "aborted")

    def _end_queue(self, end: CellEnd) -> None:
        while self.queue:
            self._end(self.queue.popleft(), end)

    def _change(self, cell: LiveCell, state: CellState) -> None:
        assert state in ("running", "waiting_input")  # noqa: S101  the two changes a cell can have between its ends
        cell.state = state
        self.write(events.from_service("cell", CellChanged(state), cell.id), cell, keep=True)

    def _end(self, cell: LiveCell, end: CellEnd) -> None:
        if cell is self.running:
            self.running = None
        cell.state, cell.end = "done", end
        cell.finished_at = utcnow()
        if cell.trace is not None:
            cell.trace.ended(end)
        if cell.timer is not None:
            cell.timer.cancel()
        cell.input_id = None
        ended = CellEnded(end, cell.execution_count, cell.exit)
        try:
            self.write(events.from_service("cell", ended, cell.id), cell, keep=True)
            cell.record = msgspec.json.encode(cell.snapshot())
            self._journal.finish(cell.id, cell.record)
        finally:  # whoever waits for the cell must not wait for ever, whatever is wrong with its record
            self._done(cell)
            self._on_change()
            cell.ended.set()

"""A session's queue at work: one execute_request in flight, each cell run at most once and ended with a reason."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from contextvars import Context

import msgspec

from kernel_bridge import events, execute_reply, input_request, log_context, recovery
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.errors import KernelStartFailed, NotWaitingForInput
from kernel_bridge.event_contents import CellChanged, CellEnded, Gap
from kernel_bridge.interrupt import Interrupts
from kernel_bridge.journal import Journal
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.results import CellEnd, CellState, InterruptStep
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.sync import missed_reply
from kernel_bridge.wire import Message

log = logging.getLogger("kernelwire.bridge.runner")

RAISES = ("error", "interrupted")
"""ends after which the cells in the queue are aborted, unless the cell said stop_on_error: false"""
INTERRUPT_GRACE_S = 0.25
"""an interrupt between ipykernel's own steps leaves idle without a reply: no need to wait `idle_grace_s` for one"""


class Runner:
    """Owns the cells that wait and the one that runs, and the tasks that run, interrupt and time them.

    `done` is told of each cell that ended, after its last event was written.
    """

    def __init__(
        self, journal: Journal, slot: KernelSlot, settings: BridgeSettings, done: Callable[[LiveCell], None]
    ) -> None:
        self.queue: deque[LiveCell] = deque()
        self.running: LiveCell | None = None
        self._journal = journal
        self._slot = slot
        self._settings = settings
        self._done = done
        self._worker: asyncio.Task[None] | None = None
        self._interrupts = Interrupts(slot, settings)
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
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="runner", context=Context())
            self._worker.add_done_callback(self._worker_done)

    def cancel(self, cell: LiveCell) -> None:
        """End a queued cell as `cancelled`."""
        self.queue.remove(cell)
        self._end(cell, "cancelled")

    def lose(self, cell: LiveCell) -> None:
        """End a cell that ran under a host that died: what came of it is not known."""
        gap = Gap("the host was down: what the cell printed meanwhile and how it ended is not known")
        self.write(events.from_service("gap", gap, cell.id), cell)
        self._end(cell, "lost")

    async def interrupt(self, cell: LiveCell) -> InterruptStep:
        """Interrupt the running `cell` and say which step worked."""
        return await self._interrupts.interrupt(cell)

    def answer_input(self, input_id: str, value: str) -> None:
        """Give the running cell its input. Raises NotWaitingForInput unless it waits for exactly this one."""
        cell, kernel = self.running, self._slot.kernel
        if cell is None or kernel is None or cell.input_id is None or cell.input_id != input_id:
            raise NotWaitingForInput
        cell.input_id = None
        kernel.answer_input(value)
        self._change(cell, "running")

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
        if self.running is not None:
            self.running.completed.set()
        tasks = [*self._interrupts.tasks, *([self._worker] if self._worker is not None else [])]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=self._settings.idle_grace_s)
            for task in pending:
                task.cancel()

    # -- what the kernel says ------------------------------------------------------------------------------------------

    def on_reply(self, cell: LiveCell, message: Message) -> None:
        """The execute_reply of the running cell."""
        if cell.reply is not None:
            return  # there is one reply to a request; another one is forged
        cell.reply = execute_reply.read(message.content)
        if cell.reply.execution_count is not None and not cell.request.silent:
            cell.execution_count = cell.reply.execution_count
        self._seen_half(cell)

    def on_idle(self, cell: LiveCell) -> None:
        cell.idle = True
        self._seen_half(cell)

    def on_input_request(self, cell: LiveCell, message: Message) -> None:
        cell.input_id = secrets.token_hex(8)
        request = input_request.read(cell.input_id, message.content)
        self.write(events.from_service("input_request", request, cell.id), cell)
        self._change(cell, "waiting_input")

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

    async def _work(self) -> None:
        while self.queue:
            try:
                kernel = await self._slot.ready()
            except KernelStartFailed as error:
                self._start_failed(error)
                continue
            if self.queue and kernel is self._slot.kernel:
                cell = self.queue.popleft()
                with log_context.of_call(cell.request):
                    await self._run(kernel, cell)

    def _worker_done(self, task: "asyncio.Task[None]") -> None:
        self._worker = None
        if not task.cancelled() and task.exception() is not None:
            log.error("runner_failed", exc_info=task.exception())
            if self.running is not None:
                self._end(self.running, "lost")
            self._end_queue("aborted")
        if self.queue:
            self._worker = asyncio.create_task(self._work(), name="runner", context=Context())
            self._worker.add_done_callback(self._worker_done)

    async def _run(self, kernel: Kernel, cell: LiveCell) -> None:
        self.running = cell
        cell.started_at = utcnow()
        if cell.saved:
            self._journal.save(cell.id, recovery.to_save(cell))
        self._change(cell, "running")
        if cell.trace is not None:
            cell.trace.running()
        kernel.execute(cell.id, cell.execute_request())
        timer = None
        if cell.request.timeout is not None:
            timer = asyncio.get_running_loop().call_later(cell.request.timeout, self._interrupts.timed_out, cell)
        try:
            await self._completed(kernel, cell)
        finally:
            if timer is not None:
                timer.cancel()
        end = self._end_of(cell)
        self._write_pages(cell)
        self._end(cell, end)
        died = cell.exit is not None
        if cell.forced_end is not None and not self._closing:
            return  # what waits now is for the next kernel
        if (end in RAISES and cell.request.stop_on_error) or died:
            self._end_queue("closed" if self._closing else "aborted")

    async def _completed(self, kernel: Kernel, cell: LiveCell) -> None:
        """Wait for reply and idle; when only one of them has come, the other has a bounded time."""
        while True:
            await cell.completed.wait()
            if cell.exit is not None or self._closing or (cell.reply is not None and cell.idle):
                return
            # only a half is there: _seen_half gave up on the other one
            if cell.reply is not None or cell.interrupted or not kernel.has_sync:
                break
            missed = await missed_reply(kernel, cell.id, self._settings.introspection_s)
            if missed != "running":
                cell.reply = cell.reply or missed
                break
            cell.idle = False  # somebody else said that it was idle
            cell.completed.clear()
        missing = "idle" if cell.reply is not None else "reply"
        if not cell.interrupted:
            self.write(events.from_service("gap", Gap(f"the kernel sent no {missing} for this cell"), cell.id), cell)

    def _seen_half(self, cell: LiveCell) -> None:
        cell.begun.set()
        if cell.grace is not None:
            cell.grace.cancel()
        if cell.reply is not None and cell.idle:
            cell.completed.set()
            return
        grace = self._settings.idle_grace_s
        if cell.interrupted:
            grace = min(grace, INTERRUPT_GRACE_S)
        cell.grace = asyncio.get_running_loop().call_later(grace, cell.completed.set)

    def _end_of(self, cell: LiveCell) -> CellEnd:
        if cell.reply is None:
            if cell.timed_out:
                return "timeout"
            if cell.forced_end is not None and not self._closing:
                return cell.forced_end
            if cell.interrupted:
                return "interrupted"
            if self._closing:
                return "closed"
            if cell.exit is not None:
                return "kernel_died"
        return cell.end_by_reply()

    def _write_pages(self, cell: LiveCell) -> None:
        """IPython's pager texts (`len?` as code) come only as payload: show them as an output too."""
        for item in cell.reply.payload if cell.reply is not None else []:
            if item.get("source") == "page" and isinstance(item.get("data"), dict):
                page = {"data": item["data"], "metadata": {"kernelwire": {"page": True}}, "transient": {}}
                content, limit = msgspec.json.encode(page), self._settings.max_event_bytes
                for event in events.from_kernel("display_data", content, cell.id, max_bytes=limit):
                    self.write(event, cell)

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
        cell.input_id = None
        ended = CellEnded(end, cell.execution_count, cell.exit)
        try:
            self.write(events.from_service("cell", ended, cell.id), cell, keep=True)
            self._journal.finish(cell.id, msgspec.json.encode(cell.snapshot()))
        finally:  # whoever waits for the cell must not wait for ever, whatever is wrong with its record
            self._done(cell)
            cell.ended.set()

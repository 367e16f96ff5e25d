"""One session: kernel, cells and journal behind the calls of its front ends."""

import asyncio
import logging
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from kernel_bridge import events, hop, recovery, sharing
from kernel_bridge.activity import Activity
from kernel_bridge.adoption import Found, Survivor
from kernel_bridge.cell import LiveCell
from kernel_bridge.clock import utcnow
from kernel_bridge.comms import Comms
from kernel_bridge.connection import ChannelName
from kernel_bridge.desk import Desk, Surroundings
from kernel_bridge.errors import LimitExceeded, SessionNotFound
from kernel_bridge.event_contents import Notice
from kernel_bridge.guests import Guests
from kernel_bridge.introspector import Introspector
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_command import Spec
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.kernel_results import Restarted
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.log_limits import LogLimits
from kernel_bridge.notebook import Document, export, notebook_metadata
from kernel_bridge.polling import poll
from kernel_bridge.record import NAME as RECORD
from kernel_bridge.record import SessionRecord, short_id, store
from kernel_bridge.resting_log import RestingLog
from kernel_bridge.results import (
    Access,
    Cell,
    Exit,
    InputTaken,
    Interruption,
    KernelState,
    Page,
    SessionInfo,
    SessionShares,
)
from kernel_bridge.session_info import session_info
from kernel_bridge.stored_bytes import size_of
from kernel_bridge.succession import RESTARTED, Succession
from kernel_bridge.takeover import Takeover
from kernel_bridge.tally import SessionShare
from kernel_bridge.wire import Message
from kernel_bridge.worksheet import Worksheet

LEAVE_S = 600.0
"""a session without a kernel that nobody uses for so long holds nothing in memory; its next use reads its files"""

TOO_MUCH_STORED = (
    "what is kept of your sessions takes too much room: close_session(delete: true) those you need no more"
)

log = logging.getLogger("kernelwire.bridge.session")


class Session:
    """Owned by the host. `close` ends kernel and cells; reading goes on. `release` closes the files."""

    def __init__(self, record: SessionRecord, around: Surroundings) -> None:
        self.record = record
        self.guests = Guests(record.id)
        self.activity = Activity(around.directory / RECORD, record.created_at)
        self._around = around
        self._settings = around.settings
        self._loop = asyncio.get_running_loop()
        self._slot = KernelSlot(self._open_kernel, self._deliver, self._kernel_started, self._kernel_ended, self._count)
        self._introspector = Introspector(self._slot, self._settings, self._running)
        self._comms = Comms(self._slot)
        self._open_desk: Desk | None = None
        self._resting_log = RestingLog(around.directory, LogLimits.of(around.settings), around.tally.log)
        self._idle_since: datetime | None = None
        self._succession = Succession()
        self._stopping: asyncio.Task[None] | None = None
        self._share = SessionShare(around.tally)
        self._stored = around.stored.share(record.owner)
        self._stored.update(size_of(around.directory))
        self._count()

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def kernel_state(self) -> KernelState:
        return self._slot.state(self._running() is not None)

    @property
    def used(self) -> bool:
        """Whether anything was ever evaluated in it."""
        return self._desk.journal.newest > 0

    @property
    def idle_without_kernel(self) -> bool:
        ended = self._open_desk is None or self._open_desk.cells.all_ended
        return ended and not self.has_kernel

    @property
    def has_kernel(self) -> bool:
        """Whether there is one, or one starts."""
        return self.kernel_state not in ("none", "dead")

    @property
    def busy(self) -> bool:
        """Whether a cell waits, runs or asks for input, or the kernel starts."""
        ended = self._open_desk is None or self._open_desk.cells.all_ended
        return not ended or self.kernel_state == "starting"

    @property
    def kernel_since(self) -> datetime | None:
        """Since when its kernel is ready; None if there is none, or only one that is about to end."""
        kernel = self._slot.kernel
        return None if kernel is None or kernel.stopping or kernel.dying else self._succession.since

    @property
    def introspector(self) -> Introspector:
        """complete and inspect. Raises SessionNotFound(closed)."""
        self._must_be_open()
        self._touch()
        return self._introspector

    @property
    def comms(self) -> Comms:
        """Messages to widgets. Raises SessionNotFound(closed)."""
        self._must_be_open()
        self._touch()
        return self._comms

    @property
    def worksheet(self) -> Worksheet:
        """Its cells in order."""
        return self._desk.cells.worksheet

    def info(self, access: Access = "owner") -> SessionInfo:
        """The session as it is now, for somebody who may do so much there."""
        last, kernel = self.activity.last, self._succession.info
        return session_info(self.record, self._desk, self.kernel_state, last, kernel, access)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def evaluate(self, asked: hop.Evaluate) -> LiveCell | Raw:
        """As Cells.evaluate. Raises SessionNotFound(closed), LimitExceeded (stored_bytes_per_user) besides."""
        self._must_be_open()
        self._touch()
        limit = self._settings.stored_bytes_per_user
        if self._around.stored.of(self.record.owner) > limit and (asked.cell is None or not self._desk.has(asked.cell)):
            raise LimitExceeded("stored_bytes_per_user", limit, TOO_MUCH_STORED)
        return self._desk.cells.evaluate(asked)

    def cell(self, cell: str) -> Cell | Raw:
        """The cell as it is now. Raises CellNotFound."""
        return self._desk.cells.get(cell)

    async def interrupt(self, cell: str | None) -> Interruption:
        """Interrupt the running cell, or cancel a queued one. Raises CellNotFound for an id that never was.

        Without `cell`: whatever runs, or is about to because its kernel starts.
        """
        cells = self._desk.cells
        target = cells.runner.current if cell is None else cells.live(cell)
        if target is None:
            return Interruption(cell, "not_running", cells.end_of(cell) if cell is not None else None)
        self._touch()
        if target in cells.runner.queue:
            cells.runner.cancel(target)
            return Interruption(target.id, "cancelled", target.end)
        step = await cells.runner.interrupt(target)
        return Interruption(target.id, step, target.end)

    async def restart(self) -> Restarted:
        """Have a new kernel in place of the old one: same session, directory and log.

        The running cell ends as `restarted`, cells in the queue as `aborted`; later ones run on the new kernel. Works
        in every state of the kernel. Raises KernelStartFailed, SessionNotFound(closed).
        """
        self._must_be_open()
        self._touch()
        runner = self._desk.cells.runner
        running = runner.running
        aborted = runner.restarting()
        self._succession.expect(RESTARTED)
        ended = await self._slot.restart(kill=running is not None)
        cell = running.id if running is not None and running.end == "restarted" else None
        return Restarted(self.record.id, self.record.kernelspec, cell, aborted, ended)

    def answer_input(self, input_id: str, value: str) -> InputTaken:
        """Raises NotWaitingForInput: answered already, or never asked."""
        self._touch()
        self._desk.cells.runner.answer_input(input_id, value)
        return InputTaken(input_id)

    async def notebook(self, spec: Spec | None, *, outputs: bool) -> Document:
        """The worksheet as a document; see notebook.export. `spec`: its kernelspec, if it is installed."""
        metadata = notebook_metadata(self.record.kernelspec, spec, self._succession.info)
        limit = self._settings.export_bytes
        desk = self._desk
        with desk.visitors:
            return await export(
                self.record.id, desk.journal, desk.cells.worksheet, metadata, outputs=outputs, max_bytes=limit
            )

    async def poll(self, asked: hop.PollOutput) -> Page:
        """See polling.poll."""
        desk = self._desk
        with desk.visitors:
            return await poll(desk.journal, desk.cells, asked, lambda: self.kernel_state)

    # -- sharing -------------------------------------------------------------------------------------------------------

    def share(self, asked: hop.ShareSession) -> SessionShares:
        """See sharing.shared. Raises InvalidArgument, LimitExceeded (also disk)."""
        self._store(shares=sharing.shared(self.record, asked, self._settings.shares_per_session))
        return SessionShares(self.record.id, self.record.shares)

    def unshare(self, asked: hop.UnshareSession) -> SessionShares:
        """Let a user in no longer; what he waits for ends at once. His cells that wait or run go on: they are the
        session's. Raises InvalidArgument (it is not shared with such a user), LimitExceeded (disk)."""
        leaving = sharing.leaving(self.record, asked)
        self._store(shares=[share for share in self.record.shares if share not in leaving])
        for share in leaving:
            self.guests.send_away(share.user_id)
        return SessionShares(self.record.id, self.record.shares)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Have a kernel ready. Raises KernelStartFailed, SessionNotFound(closed)."""
        self._must_be_open()
        await self._slot.ready()

    async def reopen(self) -> None:
        """Open a closed session again, after what is still being closed. Raises LimitExceeded(disk)."""
        while self._stopping is not None:
            await asyncio.wait([self._stopping])
        if self.record.closed:
            self._store(closed=False)
            self._touch()

    async def close(self) -> None:
        """Close it until `reopen`: cells end as `closed`, the kernel ends. Raises LimitExceeded(disk)."""
        if not self.record.closed:
            self._store(closed=True)
        await self.stop()

    async def close_with(self, notice: Notice) -> None:
        """As `close`, and say so by `notice`."""
        await self.close()
        self.notify(notice)

    async def end_kernel(self, notice: Notice, next_one: Notice) -> None:
        """End the kernel, its cells as `closed`, and say so by `notice`; by `next_one` when a cell starts another.

        The session stays open; cells that come meanwhile wait for the new kernel. Raises TimeoutError.
        """
        runner = self._desk.cells.runner
        running = runner.running
        runner.kernel_leaves("closed", "closed")
        self._succession.expect(next_one)
        await self._slot.close(kill=running is not None)
        self.notify(notice)

    def stop_cell_for_limit(self, words: str) -> bool:
        """Interrupt the cell that runs because a limit is reached, and say so in its outputs; False if none runs."""
        cell = self._running()
        if cell is None or cell.completed.is_set():
            return False
        if not cell.interrupted:
            self._desk.cells.runner.reached_limit(cell, words)
        self._desk.cells.runner.interrupt_soon(cell)
        return True

    def notify(self, notice: Notice) -> None:
        """Write a `notice` event."""
        self._desk.journal.write(events.from_service("notice", notice, None))

    async def close_for_good(self) -> None:
        """Close it before its files are deleted: needs no room on the disk, and wakes whoever reads."""
        self.record = msgspec.structs.replace(self.record, closed=True)
        await self.stop()
        self.release()
        self._share.leave()
        self._stored.update(0)

    async def stop(self) -> None:
        """End kernel and cells; the session stays open. Callers at the same time share one stop, which none can cut."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="session-stop")
            self._stopping.add_done_callback(self._stopped)
        stopping = self._stopping
        await asyncio.wait([stopping])
        stopping.result()

    def _stopped(self, task: "asyncio.Task[None]") -> None:
        self._stopping = None
        if not task.cancelled():
            task.exception()  # whoever waits gets it; nobody may be waiting any more

    async def _stop(self) -> None:
        runner = self._open_desk.cells.runner if self._open_desk is not None else None
        if runner is not None:
            runner.closing()
        await self._slot.close(kill=self._running() is not None)
        if runner is not None:
            await runner.close()

    async def kill(self) -> None:
        """End the kernel at once."""
        if self._slot.kernel is not None:
            await self._slot.kernel.kill()

    async def recover(self, found: Found | None) -> bool:
        """After a crash of the host, before anything else; see Takeover. `found`: the kernel that it left behind.

        Returns whether that is this session's now; else it has to be ended.
        """
        desk = self._desk
        with desk.visitors:
            limit = self._settings.cell_output_bytes
            rebuilt = await asyncio.to_thread(recovery.read, desk.journal, self.record.id, limit)
        takeover = Takeover(desk.journal, desk.cells, self._slot, rebuilt)
        if self.record.closed:
            takeover.closed()
        elif isinstance(found, Survivor):
            kernel = takeover.survived(found, self._around.adopt_kernel)
            if kernel is not None:
                self._succession.adopted(kernel, found.ready_at)
                return True
        elif found is not None:
            takeover.departed(found)
        else:
            takeover.without_kernel()
        return False

    def tend(self, now: datetime) -> None:
        """See Journal.tend and Activity.save. What nobody uses leaves memory: at once when the session is closed."""
        self.activity.save()
        if self._open_desk is None:
            if self._resting_log.tend(now):
                self._stored.update(size_of(self._around.directory))
            return
        self._open_desk.journal.tend()
        self._stored.update(self._open_desk.journal.stored_bytes)
        if not (self.idle_without_kernel and self._open_desk.can_be_left and self._stopping is None):
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif self.record.closed or (now - self._idle_since).total_seconds() >= LEAVE_S:
            self.release()

    def release(self) -> bool:
        """Close the files, if no cell waits or runs; the next use opens them again.

        False if something could not be written: then a next host has to recover it.
        """
        self.activity.save(at_once=True)
        desk = self._open_desk
        if desk is None:
            return True
        if not desk.cells.all_ended:
            return False
        self._open_desk = None
        return desk.journal.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        queued = len(self._open_desk.cells.runner.queue) if self._open_desk is not None else 0
        self._share.update(closed=self.record.closed, kernel=self.kernel_state, queued=queued)
        if self._open_desk is not None:
            self._stored.update(self._open_desk.journal.stored_bytes)

    @property
    def _desk(self) -> Desk:
        self._idle_since = None
        if self._open_desk is None:
            self._open_desk = Desk.open(self.record.id, self._around, self._slot, self._count)
        return self._open_desk

    def _running(self) -> LiveCell | None:
        return self._open_desk.cells.runner.running if self._open_desk is not None else None

    def _must_be_open(self) -> None:
        if self.record.closed:
            raise SessionNotFound(self.record.id, closed=True)

    def _touch(self) -> None:
        self.activity.touch(utcnow())

    def _store(self, **changes: Any) -> None:
        """Change the record. Raises LimitExceeded (disk)."""
        record = msgspec.structs.replace(self.record, **changes)
        store(self._around.directory, record)
        self.record = record
        self.activity.rewritten()
        self._count()

    async def _open_kernel(self, deliver: Deliver, on_exit: DeliverExit) -> Kernel:
        waiting = await self._around.take_kernel(self.record)
        if waiting is not None:
            try:
                return waiting.hand_over(self.record.id, self._adopt_workdir, deliver, on_exit)
            except (LimitExceeded, OSError) as error:
                log.warning("kernel_not_handed_over session=%s error=%s", short_id(self.record.id), error)
        if self.record.uid is None:
            uid = self._around.new_uid(self.record.owner_name)
            if uid is not None:
                self._store(uid=uid)
        return await self._around.open_kernel(self.record, deliver, on_exit)

    def _adopt_workdir(self, workdir: str, uid: int | None) -> None:
        """Have the files there, where there are none yet, and as that user. Raises LimitExceeded(disk), OSError."""
        self._store(workdir=workdir, uid=uid)

    def _deliver(self, channel: ChannelName, message: Message) -> None:
        self._desk.router.route(channel, message)

    def _kernel_started(self, died: Exit | None) -> None:
        notice = self._succession.started(self._slot.kernel, died)
        if notice is not None:
            self.notify(notice)

    def _kernel_ended(self, _: Kernel, record: ExitRecord) -> None:
        log.info("kernel_ended session=%s code=%s signal=%s", short_id(self.record.id), record.code, record.signal)
        self._desk.cells.runner.kernel_ended(record)

"""One session: kernel, cells and journal behind the calls of its front ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from kernel_bridge import events, hop
from kernel_bridge.cell import LiveCell
from kernel_bridge.cells import Cells
from kernel_bridge.clock import rfc3339, utcnow
from kernel_bridge.connection import ChannelName
from kernel_bridge.errors import InvalidArgument, SessionNotFound
from kernel_bridge.introspector import Introspector
from kernel_bridge.journal import Journal
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_record import ExitRecord
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.record import SessionRecord, short_id, store
from kernel_bridge.results import Cell, Exit, InputTaken, Interruption, KernelState, Page, SessionInfo
from kernel_bridge.router import Router
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.wire import Message

log = logging.getLogger("kernelwire.bridge.session")


class Notice(Struct, frozen=True):
    """Content of a `notice` event."""

    kind: str
    message: str
    exit: Exit | None = None


@dataclass(slots=True, frozen=True)
class Surroundings:
    """What a session needs of its host: where its files lie and how to start a kernel for it."""

    directory: Path
    settings: BridgeSettings
    open_kernel: Callable[[SessionRecord, Deliver, DeliverExit], Awaitable[Kernel]]


@dataclass(slots=True, frozen=True)
class Desk:
    """What a session has open while it is used."""

    journal: Journal
    cells: Cells
    router: Router


class Session:
    """Owned by the host. `close` ends kernel and cells; reading goes on. `release` closes the files."""

    def __init__(self, record: SessionRecord, around: Surroundings) -> None:
        self.record = record
        self.last_activity = record.created_at
        self._around = around
        self._settings = around.settings
        self._loop = asyncio.get_running_loop()
        self._slot = KernelSlot(self._open_kernel, self._deliver, self._kernel_started, self._kernel_ended)
        self._introspector = Introspector(self._slot, self._settings, self._running)
        self._open_desk: Desk | None = None

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
        return ended and self.kernel_state in ("none", "dead")

    @property
    def introspector(self) -> Introspector:
        """complete and inspect. Raises SessionNotFound(closed)."""
        self._must_be_open()
        self._touch()
        return self._introspector

    def info(self) -> SessionInfo:
        desk, running = self._desk, self._running()
        return SessionInfo(
            session=self.record.id,
            kernel=self.record.kernelspec,
            kernel_state=self.kernel_state,
            closed=self.record.closed,
            queued=len(desk.cells.runner.queue),
            running=running.id if running is not None else None,
            newest=desk.journal.newest,
            created_at=self.record.created_at,
            last_activity_at=self.last_activity,
        )

    # -- calls ---------------------------------------------------------------------------------------------------------

    def evaluate(self, asked: hop.Evaluate) -> LiveCell | Raw:
        """As Cells.evaluate. Raises SessionNotFound(closed) besides."""
        self._must_be_open()
        self._touch()
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

    def answer_input(self, input_id: str, value: str) -> InputTaken:
        """Raises NotWaitingForInput: answered already, or never asked."""
        self._touch()
        self._desk.cells.runner.answer_input(input_id, value)
        return InputTaken(input_id)

    async def poll(self, asked: hop.PollOutput) -> Page:
        """Events after the cursor, as soon as there is one; an empty page after `wait`.

        Raises InvalidArgument(cursor, newest) beyond the newest event, CellNotFound.
        """
        journal, cells = self._desk.journal, self._desk.cells
        if asked.cursor > journal.newest:
            newest = journal.newest
            raise InvalidArgument("cursor", f"a seq from 0 to {newest}, the newest event", newest=newest)
        if asked.cell is not None:
            cells.must_be_known(asked.cell)
        until = self._loop.time() + asked.wait
        cursor = asked.cursor
        while True:
            read = journal.read(cursor, asked.cell, asked.limit, asked.max_bytes)
            cursor = read.cursor
            done = cells.is_over(asked.cell, cursor) if asked.cell is not None else None
            left = until - self._loop.time()
            if read.events or done or (left <= 0 and not read.more):
                found = [Raw(event) for event in read.events]
                return Page(found, cursor, journal.events.oldest, self.kernel_state, done)
            if read.more:
                await asyncio.sleep(0)  # a long log with few matches: others have their turn
            else:
                await journal.changed.wait(left)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Have a kernel ready. Raises KernelStartFailed, SessionNotFound(closed)."""
        self._must_be_open()
        await self._slot.ready()

    def reopen(self) -> None:
        """Open a closed session again. Raises OSError."""
        if self.record.closed:
            self._store(closed=False)

    async def close(self) -> None:
        """Close it until `reopen`: cells end as `closed`, the kernel ends. Raises OSError."""
        if not self.record.closed:
            self._store(closed=True)
        await self.stop()

    async def stop(self) -> None:
        """End kernel and cells; the session stays open."""
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

    def recover(self) -> None:
        """After a crash of the host; see Cells.recover."""
        self._desk.cells.recover()

    def tend(self) -> None:
        """See Journal.tend."""
        if self._open_desk is not None:
            self._open_desk.journal.tend()

    def release(self) -> None:
        """Close the files, if no cell waits or runs; the next use opens them again."""
        if self._open_desk is not None and self._open_desk.cells.all_ended:
            self._open_desk.journal.close()
            self._open_desk = None

    # -- inside --------------------------------------------------------------------------------------------------------

    @property
    def _desk(self) -> Desk:
        if self._open_desk is None:
            journal = Journal(self._around.directory, self._settings)
            cells = Cells(self.record.id, journal, self._slot, self._settings)
            router = Router(journal, cells.runner, self._settings.max_event_bytes)
            self._open_desk = Desk(journal, cells, router)
        return self._open_desk

    def _running(self) -> LiveCell | None:
        return self._open_desk.cells.runner.running if self._open_desk is not None else None

    def _must_be_open(self) -> None:
        if self.record.closed:
            raise SessionNotFound(self.record.id, closed=True)

    def _touch(self) -> None:
        self.last_activity = rfc3339(utcnow())

    def _store(self, *, closed: bool) -> None:
        record = msgspec.structs.replace(self.record, closed=closed)
        store(self._around.directory, record)
        self.record = record

    async def _open_kernel(self, deliver: Deliver, on_exit: DeliverExit) -> Kernel:
        return await self._around.open_kernel(self.record, deliver, on_exit)

    def _deliver(self, channel: ChannelName, message: Message) -> None:
        self._desk.router.route(channel, message)

    def _kernel_started(self, died: Exit | None) -> None:
        if died is not None:
            notice = Notice("kernel_started_anew", "the kernel had died: this is a new one, variables are gone", died)
            self._desk.journal.write(events.from_service("notice", notice, None))

    def _kernel_ended(self, kernel: Kernel, record: ExitRecord) -> None:
        log.info("kernel_ended session=%s code=%s signal=%s", short_id(self.record.id), record.code, record.signal)
        self._desk.cells.runner.kernel_ended(kernel, record)

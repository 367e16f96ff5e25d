"""A session of a host that died, under the new host: its cells from the log, its kernel as it was found.

First a `gap` is written, then the kernel is connected: what it says from then on lies behind the gap and finds its
cell. Nothing here is done twice by a host that dies in the middle: the next one finds the same, or what was written.
"""

import logging
from collections.abc import Callable

from kernel_bridge import events
from kernel_bridge.adoption import Departed, Survivor
from kernel_bridge.cell import LiveCell
from kernel_bridge.cells import Cells, Recovered
from kernel_bridge.event_contents import Gap
from kernel_bridge.journal import Journal
from kernel_bridge.kernel import DeliverExit, Kernel
from kernel_bridge.kernel_channels import Deliver
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.recovery import Rebuilt
from kernel_bridge.results import Exit

log = logging.getLogger("kernelwire.bridge.takeover")

AWAY = Gap("the host was down: what was printed meanwhile, and shortly before, may be missing")
UNKNOWN_END = Gap("the host was down: what the cell printed meanwhile and how it ended is not known")
NO_KERNEL = Gap("the host was down, and the kernel has ended: what was printed meanwhile may be missing")

Adopt = Callable[[Survivor, Deliver, DeliverExit], Kernel]


class Takeover:
    """One session's; each method is one of the states in which it can be. None of them awaits."""

    def __init__(self, journal: Journal, cells: Cells, slot: KernelSlot, rebuilt: list[Rebuilt]) -> None:
        """`rebuilt`: what recovery.read found in the log."""
        self._rebuilt = rebuilt
        self._journal = journal
        self._cells = cells
        self._runner = cells.runner
        self._slot = slot

    def closed(self) -> None:
        """The session was closed, and the host died before its cells ended."""
        left = self._cells.recover(self._rebuilt)
        if left.ran:
            self._write(UNKNOWN_END, left)
        for cell in [*left.ran, *left.queued]:
            self._runner.end_recovered(cell, "closed")

    def without_kernel(self) -> None:
        """No trace of a kernel: what ran is lost, what waited is run."""
        left = self._cells.recover(self._rebuilt)
        if left.ran:
            self._write(UNKNOWN_END, left)
        self._lose(left)
        self._put(left.queued)

    def departed(self, found: Departed) -> None:
        """The kernel has ended, and with it the variables that queued cells count on, unless it never was ready."""
        left = self._cells.recover(self._rebuilt)
        if not (left.ran or found.was_ready):
            self._put(left.queued)
            return
        self._write(NO_KERNEL, left)
        ran = left.ran.pop() if left.ran else None
        self._lose(left)
        self._end_with_kernel(ran, left.queued, found.exit)
        self._slot.departed(found.exit)

    def survived(self, found: Survivor, adopt: Adopt) -> Kernel | None:
        """The kernel lives: go on with it. None if it cannot be connected; then it is as if it had ended."""
        left = self._cells.recover(self._rebuilt)
        # Without its answer on file it was still starting, unless a cell ran: then the disk was full, say
        ready = found.info is not None or bool(left.ran)
        if ready:
            self._write(AWAY, left)
        ran = left.ran.pop() if left.ran else None
        self._lose(left)
        try:
            kernel = self._slot.adopt(lambda deliver, on_exit: adopt(found, deliver, on_exit), ready=ready)
        except OSError:
            log.exception("kernel_not_adopted kernel=%s", found.directory.name)
            self._end_with_kernel(ran, left.queued, Exit())
            self._slot.departed(Exit())
            return None
        if ready:
            self._runner.resume(kernel, ran, left.queued)
        else:
            self._put(left.queued)
        return kernel

    def _end_with_kernel(self, ran: LiveCell | None, queued: list[LiveCell], exit: Exit) -> None:
        if ran is not None:
            self._runner.end_recovered(ran, "kernel_died", exit)
        for cell in queued:
            self._runner.end_recovered(cell, "aborted")

    def _put(self, queued: list[LiveCell]) -> None:
        for cell in queued:
            self._runner.put(cell)

    def _lose(self, left: Recovered) -> None:
        for cell in left.ran:
            self._runner.end_recovered(cell, "lost")

    def _write(self, gap: Gap, left: Recovered) -> None:
        """One `gap`, of the cell that ran or of none."""
        cell = left.ran[-1] if left.ran else None
        event = events.from_service("gap", gap, cell.id if cell is not None else None)
        if cell is not None:
            self._runner.write(event, cell, keep=True)
        else:
            self._journal.write(event, keep=True)
            self._runner.note_segment()

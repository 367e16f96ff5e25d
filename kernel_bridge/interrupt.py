"""Interrupting a running cell: once, once more, then by ending its kernel."""

import asyncio
import contextlib

from kernel_bridge.cell import LiveCell
from kernel_bridge.errors import KernelBusy, KernelDied
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.results import InterruptStep
from kernel_bridge.settings import BridgeSettings

BEGIN_S = 1.0
"""a SIGINT before the kernel has begun with the cell is ignored by ipykernel: wait for that, but not longer"""


class Interrupts:
    """The escalations of one session's cells: one for each cell, shared by all who ask for it."""

    def __init__(self, slot: KernelSlot, settings: BridgeSettings) -> None:
        self._slot = slot
        self._settings = settings
        self.tasks: set[asyncio.Task[InterruptStep]] = set()

    async def interrupt(self, cell: LiveCell) -> InterruptStep:
        """Interrupt the running `cell`; it goes on though the caller leaves."""
        return await asyncio.shield(self.begin(cell))

    def begin(self, cell: LiveCell) -> "asyncio.Task[InterruptStep]":
        """As `interrupt`; the task is ours."""
        cell.interrupted = True
        cell.may_kill = cell.may_kill or self._settings.interrupt_kill
        return self._escalate(cell)

    def timed_out(self, cell: LiveCell) -> None:
        """The cell's `timeout` is over: interrupt it, if need be by killing the kernel."""
        if not cell.completed.is_set() and cell.reply is None:  # else its code has ended, only output is on its way
            cell.timed_out = cell.may_kill = True
            self._escalate(cell)

    def _escalate(self, cell: LiveCell) -> "asyncio.Task[InterruptStep]":
        if cell.escalation is None or (cell.escalation.done() and not cell.ended.is_set()):
            cell.escalation = asyncio.create_task(self._interrupted(cell), name="interrupt")
            self.tasks.add(cell.escalation)
            cell.escalation.add_done_callback(self.tasks.discard)
        return cell.escalation

    async def _interrupted(self, cell: LiveCell) -> InterruptStep:
        kernel = self._slot.kernel
        if kernel is None:  # it has just died: the cell ends of that
            await _within(cell.ended, self._settings.idle_grace_s)
            return "not_running"
        return await interrupt(kernel, cell, self._settings)


async def interrupt(kernel: Kernel, cell: LiveCell, settings: BridgeSettings) -> InterruptStep:
    """End `cell` and say which step worked; `unheeded` if two interrupts did not and it must not be killed.

    Whether it may be killed (`cell.may_kill`) is asked at that step only: a timeout may have come meanwhile.
    """
    await _within(cell.begun, BEGIN_S)
    step: InterruptStep = "not_running"
    steps: tuple[tuple[InterruptStep, float], ...] = (
        ("interrupt", settings.interrupt_again_s),
        ("interrupt_again", settings.interrupt_kill_s),
    )
    for next_step, patience_s in steps:
        if cell.completed.is_set():
            break
        step = next_step
        with contextlib.suppress(KernelBusy, KernelDied):  # no reply to a message may still be an interrupt
            await kernel.interrupt()
        await _within(cell.completed, patience_s)
    if not cell.completed.is_set():
        if not cell.may_kill:
            return "unheeded"
        step = "killed"
        await kernel.kill()
    await _within(cell.ended, END_S)
    return step


END_S = 10.0
"""bound of what the runner does between a cell's completion and its end"""


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True

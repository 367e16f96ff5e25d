"""Interrupting a running cell: once, once more, then by ending its kernel."""

import asyncio

from kernel_bridge.cell import LiveCell
from kernel_bridge.errors import KernelBusy, KernelDied
from kernel_bridge.kernel import Kernel
from kernel_bridge.results import InterruptStep
from kernel_bridge.settings import BridgeSettings

BEGIN_S = 1.0
"""a SIGINT before the kernel has begun with the cell is ignored by ipykernel: wait for that, but not longer"""


async def interrupt(kernel: Kernel, cell: LiveCell, settings: BridgeSettings, *, may_kill: bool) -> InterruptStep:
    """End `cell` and say which step worked; `unheeded` if two interrupts did not and it must not be killed."""
    await _within(cell.begun, BEGIN_S)
    for step, patience_s in (
        ("interrupt", settings.interrupt_again_s),
        ("interrupt_again", settings.interrupt_kill_s),
    ):
        if cell.completed.is_set():
            break
        try:
            await kernel.interrupt()
        except (KernelBusy, KernelDied):
            continue
        if await _within(cell.completed, patience_s):
            await cell.ended.wait()
            return "interrupt" if step == "interrupt" else "interrupt_again"
    if cell.completed.is_set():
        await cell.ended.wait()
        return "interrupt_again"
    if not may_kill:
        return "unheeded"
    await kernel.kill()
    await cell.ended.wait()
    return "killed"


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True

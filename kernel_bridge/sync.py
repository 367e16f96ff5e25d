"""What a kernel under our launcher remembers: the control request `kernelwire_sync`."""

import asyncio
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from kernel_bridge.errors import KernelBusy, KernelDied
from kernel_bridge.execute_reply import ExecuteReply, read
from kernel_bridge.kernel import CELL_PREFIX, Kernel

AGAIN_S = 0.2
"""pause before a question that was not answered is asked again"""


class Remembered(Struct, frozen=True):
    """One of the last execute_replies of the kernel."""

    msg_id: str
    content: Raw


class Running(Struct, frozen=True):
    msg_id: str
    execution_count: int | None = None


class PendingInput(Struct, frozen=True):
    """An input() that waits for its answer; `msg_id` is that of its execute_request."""

    msg_id: str
    prompt: str = ""
    password: bool = False


class Sync(Struct, frozen=True):
    """kernelwire_sync_reply: the execute_request that runs, the last replies, newest last, and the input that waits."""

    running: Running | None = None
    replies: list[Remembered] = []
    input: PendingInput | None = None

    def runs(self, cell: str) -> bool:
        """Whether the kernel is at the cell."""
        return self.running is not None and self.running.msg_id == CELL_PREFIX + cell

    def reply_to(self, cell: str) -> ExecuteReply | None:
        """The reply to the cell, if it has ended and is among the last ones."""
        for reply in self.replies:
            if reply.msg_id == CELL_PREFIX + cell:
                return read(bytes(reply.content))
        return None

    def input_of(self, cell: str) -> PendingInput | None:
        """What the cell waits for."""
        return self.input if self.input is not None and self.input.msg_id == CELL_PREFIX + cell else None


async def ask(kernel: Kernel, deadline_s: float) -> Sync:
    """What the kernel runs and has answered. Raises KernelBusy, KernelDied; malformed answers are an empty Sync."""
    reply = await kernel.ask("kernelwire_sync", {}, channel="control", deadline_s=deadline_s)
    try:
        return msgspec.json.decode(reply.content, type=Sync)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Sync()


async def missed_reply(kernel: Kernel, cell: str, deadline_s: float) -> ExecuteReply | Literal["running"] | None:
    """The reply to `cell` that did not reach us, if the kernel still has it; "running" if it still runs the cell."""
    try:
        remembered = await ask(kernel, deadline_s)
    except (KernelBusy, KernelDied):
        return None
    return "running" if remembered.runs(cell) else remembered.reply_to(cell)


async def knows(kernel: Kernel, cell: str, deadline_s: float) -> bool:
    """Whether the kernel runs or has run a cell of which the log only says that it was queued.

    That is so if the disk was full when it began. Waits for as long as the kernel lives and does not answer.
    """
    while kernel.has_sync:
        try:
            remembered = await ask(kernel, deadline_s)
        except KernelBusy:
            await asyncio.sleep(AGAIN_S)
            continue
        except KernelDied:
            break
        return remembered.runs(cell) or remembered.reply_to(cell) is not None
    return False

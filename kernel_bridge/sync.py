"""What a kernel under our launcher remembers: the control request `kernelwire_sync`."""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from kernel_bridge.errors import KernelBusy, KernelDied
from kernel_bridge.execute_reply import ExecuteReply, read
from kernel_bridge.kernel import CELL_PREFIX, Kernel


class Remembered(Struct, frozen=True):
    """One of the last execute_replies of the kernel."""

    msg_id: str
    content: Raw


class Running(Struct, frozen=True):
    msg_id: str


class Sync(Struct, frozen=True):
    """kernelwire_sync_reply: the execute_request that runs and the last replies, newest last."""

    running: Running | None = None
    replies: list[Remembered] = []


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
    if remembered.running is not None and remembered.running.msg_id == CELL_PREFIX + cell:
        return "running"
    for reply in remembered.replies:
        if reply.msg_id == CELL_PREFIX + cell:
            return read(bytes(reply.content))
    return None

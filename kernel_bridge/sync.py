"""What a kernel under our launcher remembers: the control request `kernelwire_sync`."""

from typing import Any

import msgspec
from msgspec import Struct

from kernel_bridge.cell import ExecuteReply
from kernel_bridge.errors import KernelBusy, KernelDied
from kernel_bridge.kernel import CELL_PREFIX, Kernel


class Remembered(Struct, frozen=True):
    """One of the last execute_replies of the kernel."""

    msg_id: str
    content: ExecuteReply
    metadata: dict[str, Any] = {}


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


async def missed_reply(kernel: Kernel, cell: str, deadline_s: float) -> ExecuteReply | None:
    """The reply to `cell` that did not reach us, if the kernel still has it."""
    try:
        remembered = await ask(kernel, deadline_s)
    except (KernelBusy, KernelDied):
        return None
    for reply in remembered.replies:
        if reply.msg_id == CELL_PREFIX + cell:
            return reply.content
    return None

"""Messages of front ends to the comms of a session's kernel: widgets.

Source: Jupyter messaging protocol, "Custom Messages"; JEP 91 (subshells).
"""

import asyncio
import secrets
from typing import Any

from kernel_bridge import hop
from kernel_bridge.errors import InvalidArgument
from kernel_bridge.kernel_results import CommSent
from kernel_bridge.kernel_slot import KernelSlot


class Comms:
    """Sends in the order of arrival, to a subshell where the kernel has them: there a message does not wait behind a
    running cell, and a callback that takes long keeps neither cells nor introspection waiting. What a message causes
    belongs to no cell.

    ipykernel hands a message for a comm that a cell made to the main shell all the same, where asyncio code may wait
    for it: it is handled while an async cell awaits, else after the cell.
    """

    def __init__(self, slot: KernelSlot) -> None:
        self._slot = slot
        self._order = asyncio.Lock()  # waking up after a wait must not reorder messages

    async def open(self, asked: hop.CommOpen) -> CommSent:
        """Open a comm; a kernel is started if need be. Raises KernelStartFailed, KernelBusy, KernelDied."""
        comm_id = asked.comm_id or secrets.token_hex(16)
        return await self._send("comm_open", comm_id, {"target_name": asked.target_name}, asked)

    async def send(self, asked: hop.CommMsg | hop.CommClose) -> CommSent:
        """Send to a comm, or close it. Raises InvalidArgument without a kernel, as no comm outlives it, and as open."""
        if self._slot.state(busy=False) in ("none", "dead"):
            raise InvalidArgument("comm_id", "a comm of this session's kernel, and no kernel runs")
        msg_type = "comm_msg" if isinstance(asked, hop.CommMsg) else "comm_close"
        return await self._send(msg_type, asked.comm_id, {}, asked)

    async def _send(self, msg_type: str, comm_id: str, content: dict[str, Any], asked: hop.CommRequest) -> CommSent:
        content = {"comm_id": comm_id, **content, "data": asked.data or {}}
        async with self._order:
            kernel = await self._slot.ready()
            await kernel.send_comm(msg_type, content, metadata=asked.metadata or {}, buffers=asked.buffers or [])
        return CommSent(comm_id)

"""Messages of front ends to the comms of a session's kernel: widgets.

Source: Jupyter messaging protocol, "Custom Messages"; JEP 91 (subshells).
"""

import asyncio
import secrets
from typing import Any

from kernel_bridge import hop
from kernel_bridge.errors import InvalidArgument
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_results import CommSent
from kernel_bridge.kernel_slot import KernelSlot

MAX_OPENED = 10_000
"""comms of front ends that are known as such; further ones are on the main shell"""


class Comms:
    """Sends in the order of arrival. What a message causes belongs to no cell.

    A comm that a front end opened lives on a subshell, where the kernel has them: its messages do not wait behind a
    running cell, and a callback that takes long keeps neither cells nor introspection waiting.

    A comm that a cell made, as widgets are, has asyncio code and thread-bound objects around it: its messages go to
    the main shell. ipykernel handles them while an async cell awaits, else after the cell. On a subshell ipykernel 7.4
    would hand some of them back to the main shell, and so out of order (BaseComm._reply_subshell_for).
    """

    def __init__(self, slot: KernelSlot) -> None:
        self._slot = slot
        self._order = asyncio.Lock()  # waking up after a wait must not reorder messages
        self._kernel = ""
        self._opened: set[str] = set()  # by front ends, in the kernel of that name

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
            subshell = await kernel.subshell("comm") if self._is_opened(kernel, msg_type, comm_id) else None
            kernel.send_comm(
                msg_type, content, subshell=subshell, metadata=asked.metadata or {}, buffers=asked.buffers or []
            )
        return CommSent(comm_id)

    def _is_opened(self, kernel: Kernel, msg_type: str, comm_id: str) -> bool:
        """Whether a front end opened the comm, or does so now; no comm outlives its kernel."""
        if kernel.kid != self._kernel:
            self._kernel = kernel.kid
            self._opened.clear()
        if msg_type == "comm_open" and len(self._opened) < MAX_OPENED:
            self._opened.add(comm_id)
        found = comm_id in self._opened
        if msg_type == "comm_close":
            self._opened.discard(comm_id)
        return found

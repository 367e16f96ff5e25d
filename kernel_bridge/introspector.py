"""complete and inspect against a session's kernel, with a deadline, also while a cell runs."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from kernel_bridge import hop, introspection, kernel_facts
from kernel_bridge.cell import LiveCell
from kernel_bridge.errors import KernelBusy
from kernel_bridge.kernel_results import CodeStatus, KernelInfo
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.results import Completion, Inspection
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.wire import Message

LEAST_S = 0.05
"""what is left to the kernel itself after a wait for a cell that ended just before the deadline"""


class Introspector:
    """Questions go to a subshell where the kernel has them (DESIGN.md, decision 14)."""

    def __init__(self, slot: KernelSlot, settings: BridgeSettings, running: Callable[[], LiveCell | None]) -> None:
        self._slot = slot
        self._settings = settings
        self._running = running

    async def complete(self, asked: hop.Complete) -> Completion:
        """Raises InvalidArgument, KernelBusy, KernelStartFailed, KernelDied."""
        question = introspection.question(asked.code, asked.cursor_pos)
        content = {"code": question.code, "cursor_pos": question.cursor_pos}
        return introspection.completion(question, await self._ask("complete_request", content))

    async def inspect(self, asked: hop.Inspect) -> Inspection:
        """Raises InvalidArgument, KernelBusy, KernelStartFailed, KernelDied."""
        question = introspection.question(asked.code, asked.cursor_pos, asked.detail_level)
        return introspection.inspection(await self._ask("inspect_request", msgspec.structs.asdict(question)))

    async def is_complete(self, asked: hop.IsComplete) -> CodeStatus:
        """Raises KernelBusy, KernelStartFailed, KernelDied."""
        reply = await self._ask("is_complete_request", {"code": asked.code})
        return kernel_facts.code_status(reply.content)

    async def kernel_info(self) -> KernelInfo:
        """What the kernel said when it started; it is started if need be. Raises KernelStartFailed."""
        return kernel_facts.kernel_info((await self._slot.ready()).info_content)

    async def _ask(self, msg_type: str, content: dict[str, Any]) -> Message:
        kernel = await self._slot.ready()
        deadline_s = self._settings.introspection_s
        subshell = await kernel.subshell()
        running = self._running()
        if subshell is None and running is not None:
            # on the kernel's own queue it would stand behind the cell and pile up: wait here instead
            loop = asyncio.get_running_loop()
            begun = loop.time()
            await self._cell_over(running, deadline_s)
            deadline_s = max(LEAST_S, deadline_s - (loop.time() - begun))
        return await kernel.ask(msg_type, content, deadline_s=deadline_s, subshell=subshell)

    async def _cell_over(self, cell: LiveCell, deadline_s: float) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                await cell.ended.wait()
        except TimeoutError:
            raise KernelBusy(deadline_s) from None

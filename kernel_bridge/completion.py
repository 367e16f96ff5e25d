"""When a cell has run: its reply and its idle have come, on two channels, or one of them has and the other has had its
time."""

import asyncio
from collections.abc import Callable

from kernel_bridge import execute_reply
from kernel_bridge.cell import LiveCell
from kernel_bridge.event_contents import Gap
from kernel_bridge.events import NewEvent, from_service
from kernel_bridge.kernel import Kernel
from kernel_bridge.kernel_slot import KernelSlot
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.sync import missed_reply
from kernel_bridge.wire import Message

FLOOD_GRACES = 120
"""reply and idle come on two channels: `idle_grace_s` begins anew with each output between them, at most so often"""
LOOK_S = 0.25
"""how often to look whether the missing half may still come; an interrupt between ipykernel's own steps leaves idle
without a reply: no need to wait `idle_grace_s` for one"""


class Completion:
    """Owned by the runner, whose `write` writes a cell's events. `closing` says whether the session is being closed."""

    def __init__(
        self,
        slot: KernelSlot,
        settings: BridgeSettings,
        write: Callable[[NewEvent, LiveCell], None],
        closing: Callable[[], bool],
    ) -> None:
        self._slot = slot
        self._settings = settings
        self._write = write
        self._closing = closing

    def replied(self, cell: LiveCell, message: Message) -> None:
        """The execute_reply has come."""
        if cell.reply is not None:
            return  # there is one reply to a request; another one is forged
        cell.take_reply(execute_reply.read(message.content))
        self._seen_half(cell)

    def idle(self, cell: LiveCell) -> None:
        """The kernel is idle again."""
        cell.idle = True
        self._seen_half(cell)

    def is_whole(self, cell: LiveCell) -> bool:
        """Whether a cell that has completed needs nothing more: `wait` would return at once."""
        if cell.exit is not None or self._closing() or (cell.reply is not None and cell.idle):
            return True
        return cell.forced_end == "lost"

    async def wait(self, kernel: Kernel, cell: LiveCell) -> None:
        """Return when the cell has run, or will not any more."""
        while True:
            await cell.completed.wait()
            if self.is_whole(cell):
                return
            # only a half is there: _seen_half gave up on the other one
            if cell.reply is not None or cell.interrupted or not kernel.has_sync:
                break
            missed = await missed_reply(kernel, cell.id, self._settings.introspection_s)
            if missed != "running":
                cell.reply = cell.reply or missed
                break
            cell.idle = False  # somebody else said that it was idle
            cell.completed.clear()
        missing = "idle" if cell.reply is not None else "reply"
        if not cell.interrupted and not cell.resumed:
            self._write(from_service("gap", Gap(f"the kernel sent no {missing} for this cell"), cell.id), cell)

    def _seen_half(self, cell: LiveCell) -> None:
        cell.begun.set()
        if cell.grace is not None:
            cell.grace.cancel()
        if cell.reply is not None and cell.idle:
            cell.completed.set()
            return
        grace_s = self._settings.idle_grace_s
        now = asyncio.get_running_loop().time()
        self._look_later(cell, now + grace_s, now + FLOOD_GRACES * grace_s)

    def _look_later(self, cell: LiveCell, until: float, at_last: float) -> None:
        look_s = min(LOOK_S, self._settings.idle_grace_s)
        cell.grace = asyncio.get_running_loop().call_later(look_s, self._look, cell, cell.cursor, until, at_last)

    def _look(self, cell: LiveCell, cursor: int, until: float, at_last: float) -> None:
        """The missing half has not come: end the cell without it, unless output is still coming, and idle behind it."""
        now, kernel = asyncio.get_running_loop().time(), self._slot.kernel
        if cell.cursor != cursor or (kernel is not None and kernel.behind):
            until = min(now + self._settings.idle_grace_s, at_last)
        if cell.interrupted or now >= until:
            cell.completed.set()
        else:
            self._look_later(cell, until, at_last)

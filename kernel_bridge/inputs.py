"""The inputs that a session's running cell asks for: shown to front ends, answered by the first of them."""

import secrets
from collections.abc import Callable

from kernel_bridge import input_request
from kernel_bridge.cell import LiveCell
from kernel_bridge.errors import NotWaitingForInput
from kernel_bridge.event_contents import InputRequest
from kernel_bridge.events import NewEvent, from_service
from kernel_bridge.kernel import Kernel
from kernel_bridge.results import CellState
from kernel_bridge.sync import PendingInput
from kernel_bridge.wire import Message

Write = Callable[[NewEvent, LiveCell], None]
Change = Callable[[LiveCell, CellState], None]


class Inputs:
    """Owned by the runner, whose `write` and `change` write a cell's events."""

    def __init__(self, write: Write, change: Change) -> None:
        self._write = write
        self._change = change

    def asked(self, cell: LiveCell, message: Message) -> None:
        """The kernel's input_request has come."""
        known, cell.input_by_sync, cell.stdin_live = cell.input_by_sync, False, True
        if known and cell.input_id is not None:
            return  # the same one, on its own way
        self._show(cell, input_request.read(secrets.token_hex(8), message.content))

    def found(self, cell: LiveCell, pending: PendingInput) -> None:
        """The kernel waits for an input that it asked for while no host was there."""
        cell.input_by_sync = True
        self._show(cell, InputRequest(secrets.token_hex(8), pending.prompt, pending.password))

    def over(self, cell: LiveCell) -> None:
        """The cell's input was answered, or is not waited for any more."""
        cell.input_id = None
        self._change(cell, "running")

    def answer(self, cell: LiveCell | None, kernel: Kernel | None, input_id: str, value: str) -> None:
        """Give the running cell its input. Raises NotWaitingForInput unless it waits for exactly this one."""
        if cell is None or kernel is None or cell.input_id is None or cell.input_id != input_id:
            raise NotWaitingForInput
        # Written first: a host that dies between the two asks again for what the kernel never got, and for nothing else
        self.over(cell)
        cell.stdin_live = True
        kernel.answer_input(value)

    def _show(self, cell: LiveCell, request: InputRequest) -> None:
        cell.input_id = request.id
        self._write(from_service("input_request", request, cell.id), cell)
        self._change(cell, "waiting_input")

"""From a kernel's messages to a session's journal: each is given to its cell, or marked late, or belongs to nobody."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from kernel_bridge import events
from kernel_bridge.cell import LiveCell
from kernel_bridge.event_contents import Omitted
from kernel_bridge.journal import Journal
from kernel_bridge.kernel import CELL_PREFIX
from kernel_bridge.runner import Runner
from kernel_bridge.wire import Message

OF_CELLS = ("status", "execute_input")
"""messages that say something of a cell only: those of introspection are no events"""
OUTPUT = (
    "stream",
    "display_data",
    "update_display_data",
    "execute_result",
    "error",
    "clear_output",
    "comm_open",
    "comm_msg",
    "comm_close",
)
"""user code can send any message on iopub: only these become events, so none can pass for one of the service's own"""
OMITTED = "kernelwire_omitted"
"""what our launcher sends in place of a message that is larger than an event may be"""


class _TooLarge(Struct, frozen=True):
    bytes: Annotated[int, Meta(ge=0, le=1 << 50)]
    mime: Annotated[str, Meta(max_length=256)] | None


class Router:
    """Writes iopub messages as events; tells the runner of replies, idles and input requests of its running cell."""

    def __init__(self, journal: Journal, runner: Runner, max_event_bytes: int) -> None:
        self._journal = journal
        self._runner = runner
        self._max_event_bytes = max_event_bytes

    def route(self, channel: str, message: Message) -> None:
        """One message of a kernel, in the order of its channel."""
        cell = self._cell(message.parent_id)
        if channel == "iopub":
            self._iopub(message, cell)
        elif cell is not None and channel == "shell" and message.msg_type == "execute_reply":
            self._runner.completion.replied(cell, message)
        elif cell is not None and channel == "stdin" and message.msg_type == "input_request":
            self._runner.inputs.asked(cell, message)

    def _cell(self, parent_id: str) -> LiveCell | None:
        running = self._runner.running
        if running is not None and parent_id == CELL_PREFIX + running.id:
            return running
        return None

    def _iopub(self, message: Message, cell: LiveCell | None) -> None:
        if message.msg_type not in OUTPUT and message.msg_type not in OF_CELLS and message.msg_type != OMITTED:
            return
        owner = message.parent_id.removeprefix(CELL_PREFIX) if message.parent_id.startswith(CELL_PREFIX) else None
        late = cell is None and owner is not None and self._journal.has_finished(owner)
        if cell is None and (message.msg_type in OF_CELLS and not late):
            return
        name = cell.id if cell is not None else owner if late else None
        made = self._events(message, name, late=late)
        for event in made:
            if cell is not None:
                self._runner.write(event, cell)
            else:
                self._journal.write(event)
                self._runner.note_segment()
        if cell is not None and message.msg_type in OF_CELLS:
            self._progress(made[0], cell)

    def _events(self, message: Message, cell: str | None, *, late: bool) -> list[events.NewEvent]:
        if message.msg_type == OMITTED:
            try:
                was = msgspec.json.decode(message.content, type=_TooLarge)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return []  # forged
            return [events.omitted(Omitted(was.bytes, was.mime), cell, late=late)]
        return events.from_kernel(
            message.msg_type,
            message.content,
            cell,
            buffers=message.buffers,
            late=late,
            max_bytes=self._max_event_bytes,
        )

    def _progress(self, event: events.NewEvent, cell: LiveCell) -> None:
        cell.begun.set()
        count = event.fields.get("execution_count")
        if event.type == "execute_input" and isinstance(count, int):
            cell.execution_count = count
        elif event.type == "status":
            state = event.fields.get("execution_state")
            if cell.trace is not None:
                cell.trace.status(state)
            if state == "idle":
                self._runner.completion.idle(cell)

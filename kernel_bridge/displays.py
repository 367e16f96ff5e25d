"""update_display_data for displays that earlier cells of the session made."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from kernel_bridge.display_index import DisplayIndex
from kernel_bridge.events import NewEvent
from kernel_bridge.outputs import OutputFold
from kernel_bridge.results import Cell

UPDATE = "update_display_data"


class _Transient(Struct, frozen=True):
    display_id: str = ""


class _Content(Struct, frozen=True):
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    transient: _Transient = _Transient()


class _Event(Struct, frozen=True):
    seq: int
    type: str
    content: _Content


class Displays:
    """Remembers of each display only the seq of its newest update, so a flood of updates costs neither memory nor
    writing: whoever reads a record gets it with the updates applied, and the owner writes it when that suits.

    `read_event` gives a stored event by its seq, None if the log has it no more; then the record stays as it is.
    `max_bytes`: bound of a cell's outputs.
    """

    def __init__(self, index: DisplayIndex, read_event: Callable[[int], bytes | None], max_bytes: int) -> None:
        self._index = index
        self._read_event = read_event
        self._max_bytes = max_bytes
        self._newest: dict[str, int] = {}

    def note(self, event: NewEvent, seq: int) -> None:
        """An event was stored. What is no update of an earlier cell's display is ignored."""
        if event.type == UPDATE and self._index:
            transient: Any = event.fields.get("transient")
            self._note(transient.get("display_id") if isinstance(transient, dict) else None, seq)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]

    def note_line(self, line: bytes) -> None:
        """As note(), of an event in the log."""
        event = _decoded(line)
        if event is not None:
            self._note(event.content.transient.display_id, event.seq)

    def applied(self, cell: str, line: bytes) -> bytes:
        """The record of `cell`, as JSON on one line, with the updates that came since; `line` itself if none did."""
        shown = self._index.of(cell)
        if shown is None or not self._newest:
            return line
        news = [self._newest[id_] for id_ in shown.ids if self._newest.get(id_, 0) > shown.cursor]
        if not news:
            return line
        try:
            return self._updated(line, news)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # damaged on disk: shown as it is
            return line

    def changed(self) -> list[str]:
        """The cells whose records may have changed since clear()."""
        return list({cell: None for display_id in self._newest for cell in self._index.cells(display_id)})

    def clear(self) -> None:
        """The records of all `changed` cells have been brought up to date."""
        self._newest.clear()

    def _note(self, display_id: object, seq: int) -> None:
        if isinstance(display_id, str) and display_id in self._index:
            self._newest[display_id] = seq

    def _updated(self, line: bytes, news: list[int]) -> bytes:
        cell = msgspec.json.decode(line, type=Cell)
        fold = OutputFold.restored(cell.outputs, cell.displays, cell.outputs_truncated, self._max_bytes)
        for seq in sorted(news):
            stored = self._read_event(seq)
            event = _decoded(stored) if stored is not None else None
            if event is not None and event.seq == seq:
                content = event.content
                fold.update_display(content.transient.display_id, content.data, content.metadata)
        changed = msgspec.structs.replace(
            cell,
            outputs=fold.outputs(),
            outputs_truncated=fold.truncated,
            displays=fold.displays(),
            text=fold.text(),
        )
        return msgspec.json.encode(changed)


def _decoded(line: bytes) -> _Event | None:
    """The update that a line of the log is; None if it is none, or one that the protocol does not allow."""
    try:
        event = msgspec.json.decode(line, type=_Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return event if event.type == UPDATE else None

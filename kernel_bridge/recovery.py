"""After a crash of the host: which cells of a session had not ended, and what came of them (API.md, `lost`)."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from kernel_bridge import hop
from kernel_bridge.events import from_kernel
from kernel_bridge.journal import Journal
from kernel_bridge.outputs import OutputFold

PAGE_BYTES = 1 << 20


class _Content(Struct, frozen=True):
    state: Literal["queued", "running", "waiting_input", "done"]
    user: str = ""
    user_id: str = ""
    params: dict[str, Any] = {}


class _CellEvent(Struct, frozen=True):
    seq: int
    cell: str
    content: _Content


class _Event(Struct, frozen=True):
    seq: int
    type: str
    content: Raw


class Unfinished(Struct, frozen=True):
    """A cell without an end in the log. `ran`: it may have begun to run, so it must not be run again."""

    seq: int
    cell: str
    request: hop.Evaluate
    ran: bool


def unfinished(journal: Journal, session: str) -> list[Unfinished]:
    """The session's cells that had not ended, in the order in which they were queued."""
    found: dict[str, Unfinished] = {}
    for event in _cell_events(journal):
        content = event.content
        if content.state == "queued":
            caller = hop.Caller(content.user_id, content.user)
            params = {**content.params, "caller": msgspec.to_builtins(caller), "session": session, "op": "evaluate"}
            request = msgspec.convert(params, hop.Evaluate)
            found[event.cell] = Unfinished(event.seq, event.cell, request, ran=False)
        elif content.state == "done":
            found.pop(event.cell, None)
        elif event.cell in found:
            found[event.cell] = msgspec.structs.replace(found[event.cell], ran=True)
    return [cell for cell in found.values() if not journal.has_finished(cell.cell)]


def refold(journal: Journal, cell: Unfinished, fold: OutputFold) -> None:
    """Fold what the log has of the cell's outputs."""
    cursor = cell.seq
    more = True
    while more:
        page = journal.read(cursor, cell.cell, 1000, PAGE_BYTES)
        for line in page.events:
            event = msgspec.json.decode(line, type=_Event)
            for made in from_kernel(event.type, bytes(event.content), cell.cell):
                fold.add(made)
        cursor, more = page.cursor, page.more


def _cell_events(journal: Journal) -> Iterator[_CellEvent]:
    for _, line in journal.events.cell_events():
        try:
            yield msgspec.json.decode(line, type=_CellEvent)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # not written by a host: nothing to recover from it

"""After a crash of the host: the cells of a session that have no record yet (API.md, `lost`)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from kernel_bridge import hop
from kernel_bridge.cell import LiveCell
from kernel_bridge.cell_log import EARLY
from kernel_bridge.events import from_kernel
from kernel_bridge.journal import Journal
from kernel_bridge.outputs import OutputFold
from kernel_bridge.results import CellEnd, Exit

PAGE_BYTES = 1 << 20


class _Content(Struct, frozen=True):
    state: Literal["queued", "running", "waiting_input", "done"]
    user: str = ""
    user_id: str = ""
    params: dict[str, Any] = {}
    end: CellEnd | None = None
    execution_count: int | None = None
    exit: Exit | None = None


class _CellEvent(Struct, frozen=True):
    seq: int
    cell: str
    time: datetime
    content: _Content


class _Event(Struct, frozen=True):
    seq: int
    type: str
    content: Raw


class Unrecorded(Struct, frozen=True):
    """A cell that is in the log and not among the finished ones."""

    seq: int
    cell: str
    request: hop.Evaluate
    queued_at: datetime
    started_at: datetime | None = None
    """it may have begun to run, so it must not be run again"""
    finished_at: datetime | None = None
    """its end is in the log, only its record was not written"""
    last_seq: int = 0
    end: CellEnd | None = None
    execution_count: int | None = None
    exit: Exit | None = None


def unrecorded(journal: Journal, session: str) -> list[Unrecorded]:
    """The session's cells without a record, in the order in which they were queued."""
    found = {cell.cell: cell for cell in _saved(journal)}
    for event in _cell_events(journal):
        content = event.content
        if content.state == "queued" and event.cell not in found:
            caller = hop.Caller(content.user_id, content.user)
            params = {**content.params, "caller": msgspec.to_builtins(caller), "session": session, "op": "evaluate"}
            request = msgspec.convert(params, hop.Evaluate)
            found[event.cell] = Unrecorded(event.seq, event.cell, request, event.time)
        elif event.cell in found:
            found[event.cell] = _changed(found[event.cell], event)
    return [cell for cell in found.values() if not journal.has_finished(cell.cell)]


def refold(journal: Journal, cell: Unrecorded, fold: OutputFold) -> None:
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


def to_save(cell: LiveCell) -> bytes:
    """What `unrecorded` needs of a cell whose events retention may drop, for Journal.save."""
    return msgspec.json.encode(
        Unrecorded(cell.queued_seq, EARLY + cell.id, cell.request, cell.queued_at, cell.started_at)
    )


def _saved(journal: Journal) -> Iterator[Unrecorded]:
    for line in journal.saved():
        cell = msgspec.json.decode(line, type=Unrecorded)
        yield msgspec.structs.replace(cell, cell=cell.cell.removeprefix(EARLY))


def _changed(cell: Unrecorded, event: _CellEvent) -> Unrecorded:
    content = event.content
    if content.state == "done":
        return msgspec.structs.replace(
            cell,
            finished_at=event.time,
            last_seq=event.seq,
            end=content.end,
            execution_count=content.execution_count,
            exit=content.exit,
        )
    return msgspec.structs.replace(cell, started_at=cell.started_at or event.time)


def _cell_events(journal: Journal) -> Iterator[_CellEvent]:
    for _, line in journal.events.cell_events():
        try:
            yield msgspec.json.decode(line, type=_CellEvent)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # not written by a host: nothing to recover from it

"""After a crash of the host: the cells of a session that have no record yet, as its log has them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from kernel_bridge import hop
from kernel_bridge.cell import LiveCell
from kernel_bridge.cell_log import EARLY
from kernel_bridge.event_contents import Removed
from kernel_bridge.events import NewEvent, from_kernel
from kernel_bridge.journal import Journal
from kernel_bridge.outputs import OutputFold
from kernel_bridge.record import short_id
from kernel_bridge.results import CellEnd, Exit

log = logging.getLogger("kernelwire.bridge.recovery")

PAGE_BYTES = 1 << 20
OF_SERVICE = ("cell", "gap", "dropped", "truncated")
"""events of a cell that do not come from its kernel"""
RAISES = ("error", "interrupted")
"""ends after which the cells in the queue are aborted, unless the cell said stop_on_error: false"""
LEAVES_QUEUE = ("restarted", "closed")
"""ends of a cell whose kernel was ended on purpose: what waits then is for the next one"""


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
    waits: bool = False
    """the last that was written of it is that it waits for input"""
    finished_at: datetime | None = None
    """its end is in the log, only its record was not written"""
    last_seq: int = 0
    end: CellEnd | None = None
    execution_count: int | None = None
    exit: Exit | None = None
    runs_after: int = 0
    runs_after_bytes: int = 0
    """as LiveCell has them; 0 of a cell whose first events are in the log"""
    aborted: bool = False
    """it waits behind a cell whose end aborts the queue: the host died before it had written that"""

    @property
    def aborts_queue(self) -> bool:
        """Whether its end aborts what was queued before it, as Runner has it."""
        died = self.exit is not None and self.end not in LEAVES_QUEUE
        return died or (self.end in RAISES and self.request.stop_on_error)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A cell that had not ended or was not recorded, with its outputs so far."""

    found: Unrecorded
    fold: OutputFold
    seen: "Refolded"


def read(journal: Journal, session: str, max_bytes: int) -> list[Rebuilt]:
    """The session's cells without a record, in the order in which they were queued. Writes nothing.

    It reads the whole log, which takes seconds if that is long: call it in a thread, while nobody uses the journal.
    """
    journal.recover_displays()
    rebuilt: list[Rebuilt] = []
    for found in unrecorded(journal, session):
        fold = OutputFold(max_bytes)
        rebuilt.append(Rebuilt(found, fold, Refolded(found.seq) if _waits(found) else refold(journal, found, fold)))
    return rebuilt


def unrecorded(journal: Journal, session: str) -> list[Unrecorded]:
    """The session's cells without a record, in the order in which they were queued."""
    found = {cell.cell: cell for cell in _saved(journal)}
    aborted_before = 0
    for event in _cell_events(journal):
        content = event.content
        if content.state == "queued" and event.cell not in found:
            request = _request(content, session)
            if request is not None:
                found[event.cell] = Unrecorded(event.seq, event.cell, request, event.time)
        elif event.cell in found:
            found[event.cell] = _changed(found[event.cell], event)
            if found[event.cell].aborts_queue:
                aborted_before = event.seq
    left = [cell for cell in found.values() if not journal.has_finished(cell.cell)]
    return [msgspec.structs.replace(cell, aborted=_waits(cell) and cell.seq < aborted_before) for cell in left]


def _request(content: _Content, session: str) -> hop.Evaluate | None:
    """None if it is damaged: then the cell cannot be known again, but the others are."""
    caller = hop.Caller(content.user_id, content.user)
    params = {**content.params, "caller": msgspec.to_builtins(caller), "session": session, "op": "evaluate"}
    try:
        return msgspec.convert(params, hop.Evaluate)
    except msgspec.ValidationError:
        log.warning("event_damaged session=%s", short_id(session))
        return None


def _waits(cell: Unrecorded) -> bool:
    return cell.started_at is None and cell.end is None


@dataclass(slots=True)
class Refolded:
    """What a cell's events say besides its outputs."""

    cursor: int
    """seq of the last one"""
    execution_count: int | None = None
    begun: bool = False
    """the kernel has said something of it"""
    input_id: str | None = None
    """of the last input_request"""

    def note(self, seq: int, event: NewEvent) -> None:
        self.cursor = seq
        if event.type in OF_SERVICE:
            return
        self.begun = True
        count, input_id = event.fields.get("execution_count"), event.fields.get("id")
        if event.type == "execute_input" and isinstance(count, int):
            self.execution_count = count
        elif event.type == "input_request" and isinstance(input_id, str):
            self.input_id = input_id


def refold(journal: Journal, cell: Unrecorded, fold: OutputFold) -> Refolded:
    """Fold what the log has of the cell's outputs."""
    found = Refolded(cell.seq)
    cursor = cell.seq
    more = True
    while more:
        page = journal.read(cursor, cell.cell, 1000, PAGE_BYTES)
        for line in page.events:
            event = msgspec.json.decode(line, type=_Event)
            if event.type == "truncated":
                _count_removed(cell, fold, msgspec.json.decode(event.content, type=Removed))
            for made in from_kernel(event.type, bytes(event.content), cell.cell):
                fold.add(made)
                found.note(event.seq, made)
        cursor, more = page.cursor, page.more
    return found


def _count_removed(cell: Unrecorded, fold: OutputFold, removed: Removed) -> None:
    """Retention has removed the first events of a cell that ran: its outputs say that they are not whole."""
    after = max(cell.seq, cell.runs_after)
    if removed.to > after:
        fold.add_missing(removed.bytes - cell.runs_after_bytes, removed.to - after)


def to_save(cell: LiveCell) -> bytes:
    """What `unrecorded` needs of a cell whose events retention may drop, for Journal.save."""
    return msgspec.json.encode(
        Unrecorded(
            cell.queued_seq,
            EARLY + cell.id,
            cell.request,
            cell.queued_at,
            cell.started_at,
            runs_after=cell.runs_after,
            runs_after_bytes=cell.runs_after_bytes,
        )
    )


def _saved(journal: Journal) -> Iterator[Unrecorded]:
    for line in journal.saved():
        try:
            cell = msgspec.json.decode(line, type=Unrecorded)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            log.warning("record_damaged bytes=%d", len(line))
            continue  # the cell's events may still say what is needed
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
    waits = content.state == "waiting_input"
    return msgspec.structs.replace(cell, started_at=cell.started_at or event.time, waits=waits)


def _cell_events(journal: Journal) -> Iterator[_CellEvent]:
    for _, line in journal.events.cell_events():
        try:
            yield msgspec.json.decode(line, type=_CellEvent)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # not written by a host: nothing to recover from it

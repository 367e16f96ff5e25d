"""A session's journal: what happened (events), what came of it (cells), and who waits for more."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Raw

from kernel_bridge.cell_index import CellIndex
from kernel_bridge.cell_log import EARLY, CellLog
from kernel_bridge.displays import UPDATE, Displays
from kernel_bridge.events import NewEvent
from kernel_bridge.log import EventLog, LogPage
from kernel_bridge.log_limits import LogLimits
from kernel_bridge.record import short_id
from kernel_bridge.results import Cell, Truncated
from kernel_bridge.settings import BridgeSettings
from kernel_bridge.tally import Tally

UNWRITTEN_BYTES = 16 << 20
"""of records that a full disk refuses one session keeps so much in memory; beyond that they lose their outputs"""

log = logging.getLogger("kernelwire.bridge.journal")


class Pulse:
    """Wakes everyone who waits now. Many pulses within one round of the event loop are one, and where nobody waits they
    cost nothing."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._waiting = 0
        self._scheduled = False

    def send(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._wake)

    async def wait(self, timeout_s: float) -> bool:
        """True when a pulse came within `timeout_s`."""
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def _wake(self) -> None:
        self._scheduled = False
        self._event.set()
        self._event.clear()


class Journal:
    """The two files of one session (DESIGN.md, decision 6), opened at once, written at the first event.

    `changed` pulses after each write. A finished cell that the disk refuses is kept in memory until it can be written.
    """

    def __init__(self, directory: Path, settings: BridgeSettings, tally: Tally | None = None) -> None:
        """`tally` counts what is written."""
        self.tally = tally or Tally()
        self.events = EventLog.open(directory, LogLimits.of(settings), tally=self.tally.log, stored_late=self._reaches)
        self.index = CellIndex()
        self._displays = Displays(self.index.displays, self._event, settings.cell_output_bytes)
        self._cells = CellLog.open(directory, learn=self.index.learn)
        self._tell_damage(directory.name)
        self._unwritten: dict[str, bytes] = {}
        self._tended = (0, 0)
        self.closed = False
        self.changed = Pulse()

    def _tell_damage(self, session: str) -> None:
        torn, lines = self.events.torn_bytes + self._cells.torn_bytes, self._cells.damaged_lines
        if torn or lines:
            log.warning("log_repaired session=%s torn_bytes=%d damaged_cells=%d", short_id(session), torn, lines)

    @property
    def newest(self) -> int:
        return self.events.newest

    @property
    def stored_bytes(self) -> int:
        """Size of both files, all segments of the log together."""
        return self.events.stored_bytes + self._cells.size

    @property
    def settled(self) -> bool:
        """Whether the disk has taken everything."""
        return self.events.settled and not self._unwritten

    def write(self, event: NewEvent, *, keep: bool = False) -> int | None:
        """The event's seq; None if it could not be stored (then it is counted, or with `keep` written later)."""
        seq = self.events.append(event, keep=keep)
        if seq is not None:
            self._displays.note(event, seq)
        self.changed.send()
        return seq

    def try_write(self, event: NewEvent) -> int | None:
        """As `write`, for an event that is given up if it cannot be stored: it is not counted as lost."""
        seq = self.events.try_append(event)
        self.changed.send()
        return seq

    def read(self, cursor: int, cell: str | None, limit: int, max_bytes: int) -> LogPage:
        return self.events.read(cursor, cell=cell, limit=limit, max_bytes=max_bytes)

    def finish(self, cell: str, line: bytes) -> None:
        """Record a finished cell, and earlier ones whose displays it updated; what the disk refused is tried again
        first."""
        self._unwritten[cell] = line
        self.index.learn(line)
        self._update_records()
        self._write_cells()
        self.changed.send()

    def tend(self) -> None:
        """Try again what the disk refused, drop segments that are too old, and hold no file open that nothing was
        written to since the last time; the host calls it now and then."""
        newest = self.events.newest
        self.events.flush_kept()
        self._write_cells()
        self.events.retain()
        if self.events.newest > newest:
            self.changed.send()
        written = (self.events.newest, self._cells.size)
        if written == self._tended:
            self.events.rest()
            self._cells.rest()
        self._tended = written

    def save(self, cell: str, line: bytes) -> bool:
        """Record a cell before its end, as retention may drop its events; False if the disk refused."""
        return self._cells.append(EARLY + cell, line)

    def saved(self) -> Iterator[bytes]:
        """What `save` was given, of cells that have not ended."""
        return self._cells.early()

    def finished(self, cell: str) -> Raw | None:
        """The finished cell as JSON (results.Cell); None if it has not ended or never was."""
        line = self._unwritten.get(cell) or self._cells.get(cell)
        return Raw(self._displays.applied(cell, line)) if line is not None else None

    def recover_displays(self) -> None:
        """After a crash: know the updates of displays that came since their cells were recorded."""
        if self.index.displays:
            for _, line in self.events.events_of(UPDATE):
                self._displays.note_line(line)

    def cursor(self, cell: str) -> int | None:
        """The seq with which a finished cell ended; None if it has not ended or never was."""
        return self.index.cursor(cell)

    def has_finished(self, cell: str) -> bool:
        return cell in self._unwritten or cell in self._cells

    def _update_records(self) -> None:
        """Bring the records of earlier cells up to date whose displays were updated."""
        for cell in self._displays.changed():
            try:
                line = self._unwritten.get(cell) or self._cells.get(cell)
            except OSError as error:  # the cell that ends now must be recorded all the same
                log.warning("record_unreadable error=%s", error.strerror)
                continue
            updated = self._displays.applied(cell, line) if line is not None else None
            if updated is not None and updated != line:
                self._unwritten[cell] = updated
                self.index.learn(updated)
        self._displays.clear()

    def _reaches(self, event: NewEvent, seq: int) -> None:
        """An event of a cell could be stored only now: if its record is there already, it ends with this event."""
        if event.cell is None or not self.has_finished(event.cell):
            return
        try:
            line = self._unwritten.get(event.cell) or self._cells.get(event.cell)
            if line is not None:
                cell = msgspec.json.decode(line, type=Cell)
                self._unwritten[event.cell] = msgspec.json.encode(msgspec.structs.replace(cell, cursor=seq))
                self.index.learn(self._unwritten[event.cell])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.warning("record_unreadable error=%s", type(error).__name__)

    def _event(self, seq: int) -> bytes | None:
        """A stored event; None if retention removed it."""
        found = self.events.read(seq - 1, cell=None, limit=1, max_bytes=1).events
        return found[0] if found else None

    def _write_cells(self) -> None:
        for waiting in list(self._unwritten):
            if not self._cells.append(waiting, self._unwritten[waiting]):
                self._bound_unwritten()
                return
            del self._unwritten[waiting]

    def _bound_unwritten(self) -> None:
        used = sum(map(len, self._unwritten.values()))
        for cell, line in self._unwritten.items():
            if used <= UNWRITTEN_BYTES:
                return
            self._unwritten[cell] = _without_outputs(line)
            used -= len(line) - len(self._unwritten[cell])

    def close(self) -> bool:
        """Close the files, whoever waits is woken; False if the disk still refuses what has to be written."""
        stored = self.events.flush_kept()
        self._update_records()
        self._write_cells()
        self.events.close()
        self._cells.close()
        self.closed = True
        self.changed.send()
        return stored and not self._unwritten


def _without_outputs(line: bytes) -> bytes:
    """A record whose outputs are counted as missing."""
    cell = msgspec.json.decode(line, type=Cell)
    if not cell.outputs:
        return line
    before = cell.outputs_truncated or Truncated(0, 0)
    missing = Truncated(before.bytes + len(msgspec.json.encode(cell.outputs)), before.events + len(cell.outputs))
    return msgspec.json.encode(
        msgspec.structs.replace(cell, outputs=[], text="", displays={}, outputs_truncated=missing)
    )

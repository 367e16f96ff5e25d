"""A session's journal: what happened (events), what came of it (cells), and who waits for more."""

import asyncio
from pathlib import Path

from msgspec import Raw

from kernel_bridge.cell_log import CellLog
from kernel_bridge.clock import utcnow
from kernel_bridge.events import NewEvent
from kernel_bridge.log import EventLog, LogLimits, LogPage
from kernel_bridge.settings import BridgeSettings


class Pulse:
    """Wakes everyone who waits now. Many pulses within one round of the event loop are one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._scheduled = False

    def send(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._wake)

    async def wait(self, timeout_s: float) -> bool:
        """True when a pulse came within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        self._scheduled = False
        self._event.set()
        self._event.clear()


class Journal:
    """The two files of one session (DESIGN.md, decision 6), opened at once, written at the first event.

    `changed` pulses after each write. A finished cell that the disk refuses is kept in memory until it can be written.
    """

    def __init__(self, directory: Path, settings: BridgeSettings) -> None:
        limits = LogLimits(
            segment_bytes=settings.segment_bytes,
            retention_bytes=settings.retention_bytes,
            retention_s=settings.retention_s,
        )
        self.events = EventLog.open(directory, limits)
        self._cells = CellLog.open(directory)
        self._unwritten: dict[str, bytes] = {}
        self.changed = Pulse()

    @property
    def newest(self) -> int:
        return self.events.newest

    def write(self, event: NewEvent, *, keep: bool = False) -> int | None:
        """The event's seq; None if it could not be stored (then it is counted, or with `keep` written later)."""
        seq = self.events.append(event, keep=keep)
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
        """Record a finished cell; earlier ones that the disk refused are tried again first."""
        self._unwritten[cell] = line
        self._write_cells()
        self.changed.send()

    def tend(self) -> None:
        """Try again what the disk refused, and drop segments that are too old; the host calls it now and then."""
        newest = self.events.newest
        self.events.flush_kept()
        self._write_cells()
        self.events.retain(utcnow())
        if self.events.newest > newest:
            self.changed.send()

    def finished(self, cell: str) -> Raw | None:
        """The finished cell as JSON (results.Cell); None if it has not ended or never was."""
        line = self._unwritten.get(cell) or self._cells.get(cell)
        return Raw(line) if line is not None else None

    def has_finished(self, cell: str) -> bool:
        return cell in self._unwritten or cell in self._cells

    def _write_cells(self) -> None:
        for waiting in list(self._unwritten):
            if not self._cells.append(waiting, self._unwritten[waiting]):
                break
            del self._unwritten[waiting]

    def close(self) -> None:
        self.events.close()
        self._cells.close()

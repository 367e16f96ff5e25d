"""A session's event log: append, read from a cursor, recover, forget what is old."""

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from operator import attrgetter
from pathlib import Path

from kernel_bridge import event_line
from kernel_bridge.backlog import Backlog
from kernel_bridge.bookmarks import Bookmarks
from kernel_bridge.event_contents import Removed
from kernel_bridge.events import NewEvent, from_service
from kernel_bridge.line_file import LineFile, StoreFailed, Write
from kernel_bridge.log_clock import LogClock
from kernel_bridge.log_limits import LogLimits
from kernel_bridge.log_page import LogPage, PageReader
from kernel_bridge.log_recovery import recover, segment_path
from kernel_bridge.segment import Segment, begin_segment
from kernel_bridge.tally import LogTally

__all__ = ["EventLog", "LogLimits", "LogPage"]

StoredLate = Callable[[NewEvent, int], None]
"""is given an event and its seq"""

_SCAN_BLOCK_BYTES = 1 << 20
_FIRST = attrgetter("first")


class EventLog:
    """The log of one session, in the files `events-<first seq>.jsonl` of its directory (DESIGN.md, decisions 6, 7, 9).

    Synchronous, for one owner, who calls close(). Open it with EventLog.open(). Attributes:

        newest      seq of the newest event, 0 if there never was one
        torn_bytes  bytes of a half-written line that open() cut off
    """

    def __init__(
        self,
        directory: Path,
        limits: LogLimits,
        *,
        clock: LogClock | None = None,
        write: Write = os.write,
        tally: LogTally | None = None,
        stored_late: StoredLate | None = None,
    ) -> None:
        self.newest = 0
        self.torn_bytes = 0
        self._directory = directory
        self._limits = limits
        self._clock = clock or LogClock()
        self._write = write
        self._stored_late = stored_late
        self._segments: list[Segment] = []
        self._bookmarks = Bookmarks()
        self._file: LineFile | None = None
        self._backlog = Backlog()
        self._tally = tally or LogTally()
        self._reason = ""

    @classmethod
    def open(
        cls,
        directory: Path,
        limits: LogLimits,
        *,
        clock: LogClock | None = None,
        write: Write = os.write,
        tally: LogTally | None = None,
        stored_late: StoredLate | None = None,
    ) -> "EventLog":
        """The log in `directory`, recovered: a torn last line is cut off. Creates nothing before the first append.

        `stored_late` is told of each event that was stored after its append() had failed.

        Raises:
            OSError: the directory or its newest segment cannot be read. Older ones that cannot are left out.
        """
        log = cls(directory, limits, clock=clock, write=write, tally=tally, stored_late=stored_late)
        found = recover(directory)
        log.newest, log.torn_bytes, log._segments = found.newest, found.torn_bytes, found.segments
        end = -math.inf
        for segment in found.segments:  # now, as the machine's clock may be set later; and it may have been set before
            with suppress(OSError):
                end = segment.ended_at = max(end, segment.end(log._clock))
        if found.segments:
            log._file = LineFile(found.segments[-1].path, found.segments[-1].size, write=write)
        return log

    @property
    def oldest(self) -> int:
        """Smallest seq that is kept; newest + 1 if none is."""
        return self._segments[0].first if self._segments else self.newest + 1

    @property
    def newest_segment(self) -> int:
        """The first seq of the segment that is written now; 0 before the first event."""
        return self._segments[-1].first if self._segments else 0

    @property
    def stored_bytes(self) -> int:
        """Size of the files."""
        return sum(segment.size for segment in self._segments)

    @property
    def written_bytes(self) -> int:
        """Size of all event lines since the session began, also of those that retention has removed."""
        return self._segments[-1].bytes_before + self._segments[-1].event_bytes if self._segments else 0

    @property
    def settled(self) -> bool:
        """Whether nothing is left that the disk has refused so far."""
        return not self._backlog

    @property
    def can_store(self) -> bool:
        """Does the disk take events? After a failure this tries to write what was kept."""
        return self.flush_kept()

    def append(self, event: NewEvent, *, keep: bool = False) -> int | None:
        """Store `event`, after what is still to be written, and return its seq.

        None if that failed: the event is counted in a `dropped` event, which is written before the next event that
        can be stored; or, with `keep`, it is itself written then, in its place.

        Raises:
            ValueError: cell or type of the event is malformed.
        """
        seq = self.try_append(event)
        if seq is None:
            event_line.check(event)
            if keep:
                self._backlog.keep(event)
            else:
                self._backlog.lose(event, self._reason)
                self._tally.dropped(event.size)
        return seq

    def try_append(self, event: NewEvent) -> int | None:
        """As append(), but an event that cannot be stored leaves no trace: for what the caller then refuses."""
        return self._store(event) if self.flush_kept() else None

    def flush_kept(self) -> bool:
        """Write what was kept and what was lost; True when nothing is left to be written."""
        while self._backlog:
            event = self._backlog.first()
            seq = self._store(event)
            if seq is None:
                return False
            self._backlog.pop()
            if self._stored_late is not None:
                self._stored_late(event, seq)
        return True

    def read(self, cursor: int, *, cell: str | None, limit: int, max_bytes: int) -> LogPage:
        """Events with seq > `cursor`, of `cell` only if it is not None: at most `limit` (>= 1) of them and `max_bytes`,
        but at least one, as long as LogLimits.scan_bytes suffice to find it.

        In place of what retention removed comes one `truncated` event with its last seq, whatever the filter.
        Segments that are unreadable are passed over. A cursor beyond the newest event comes back as it is.
        """
        if cursor == self.newest and self._segments:  # whoever waits for the next event will read from here
            self._bookmarks.put(self._segments[-1].first, cursor + 1, self._segments[-1].size)
        reader = PageReader(cursor, cell, limit, max_bytes, self._limits.scan_bytes, self._bookmarks)
        while reader.cursor < self.newest and not reader.full:
            if reader.cursor < self.oldest - 1:
                reader.offer(self._truncated(), self.oldest - 1)
                continue
            at = bisect_right(self._segments, reader.cursor + 1, key=_FIRST) - 1
            last = self._last_seq(at)
            try:
                reader.read(self._segments[at], last)
            except OSError as error:
                if not self._forget_vanished(at, error):
                    reader.cursor = max(reader.cursor, last)
        return LogPage(reader.events, reader.cursor, reader.cursor < self.newest)

    def cell_events(self, after: int = 0) -> Generator[tuple[int, bytes], None, None]:
        """events_of("cell", after)."""
        return self.events_of("cell", after)

    def events_of(self, type: str, after: int = 0) -> Generator[tuple[int, bytes], None, None]:
        """The stored events of a type with seq > `after`, in order: their seq and JSON. Unreadable segments are passed
        over. Close the generator if it is not exhausted."""
        for segment in list(self._segments[max(0, bisect_right(self._segments, after + 1, key=_FIRST) - 1) :]):
            with suppress(OSError):
                begin = segment.offset_before(after + 1)
                with closing(segment.blocks(begin, _SCAN_BLOCK_BYTES)) as blocks:
                    for block in blocks:
                        for seq, line in event_line.typed_lines(block, type):
                            if seq > after:
                                yield seq, line

    def retain(self) -> None:
        """Remove the oldest segments while the log is too large, and those whose events are all too old; never the
        newest. append() does this for each new segment; call it now and then for sessions that rest.

        Setting the clock makes no event older or younger than it is; see LogClock."""
        total = self.stored_bytes
        while len(self._segments) > 1:
            oldest = self._segments[0]
            try:
                if total <= self._limits.retention_bytes and not self._is_too_old(oldest):
                    return
                oldest.path.unlink()
            except FileNotFoundError:
                pass
            except OSError:
                return
            total -= oldest.size
            self._forget_oldest()

    def rest(self) -> None:
        """Close the file until the next append."""
        if self._file is not None:
            self._file.close()

    def close(self) -> None:
        """Close the file. What is still kept in memory is tried once more."""
        self.flush_kept()
        self.rest()

    def _store(self, event: NewEvent) -> int | None:
        seq = self.newest + 1
        time = self._clock.stamp()
        line = event_line.encode(seq, time, event)
        try:
            segment, file = self._room_for(len(line), time)
            file.append(line)
        except StoreFailed as failure:
            self._reason = failure.reason
            return None
        segment.grew(seq, len(line), self._clock.elapsed_s())
        self._tally.stored(len(line))
        self.newest = seq
        return seq

    def _room_for(self, length: int, time: str) -> tuple[Segment, LineFile]:
        """The segment that takes the next line, and its file; new ones if it does not fit. Raises StoreFailed."""
        current = self._segments[-1] if self._segments else None
        if (
            current is not None
            and self._file is not None
            and (current.size + length <= self._limits.segment_bytes or not current.event_bytes)
        ):
            return current, self._file
        bytes_before = current.bytes_before + current.event_bytes if current is not None else 0
        first = self.newest + 1
        segment, header = begin_segment(segment_path(self._directory, first), first, bytes_before, time)
        file = LineFile(segment.path, write=self._write)
        try:
            file.append(header)
        except StoreFailed:
            file.close()
            if current is not None:  # else the name of the file may be all that tells the next seq
                with suppress(OSError):
                    segment.path.unlink()
            raise
        if self._file is not None:
            self._file.close()
        self._file = file
        self._segments.append(segment)
        self.retain()
        return segment, file

    def _truncated(self) -> bytes:
        oldest = self._segments[0]
        to = oldest.first - 1
        event = from_service("truncated", Removed(1, to, to, oldest.bytes_before), None)
        return event_line.encode(to, oldest.time, event)[:-1]

    def _is_too_old(self, segment: Segment) -> bool:
        """Raises OSError."""
        return self._clock.elapsed_s() - segment.end(self._clock) > self._limits.retention_s

    def _last_seq(self, at: int) -> int:
        return self._segments[at + 1].first - 1 if at + 1 < len(self._segments) else self.newest

    def _forget_vanished(self, at: int, error: OSError) -> bool:
        """Someone removed the file of the oldest segment: then it is as if retention had done it."""
        if at > 0 or len(self._segments) < 2 or not isinstance(error, FileNotFoundError):
            return False
        self._forget_oldest()
        return True

    def _forget_oldest(self) -> None:
        oldest = self._segments.pop(0)
        self._tally.truncated(self._segments[0].first - oldest.first, oldest.event_bytes)

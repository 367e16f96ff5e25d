"""A page of an event log, and how it is filled."""

from contextlib import closing
from dataclasses import dataclass, field

from msgspec import Struct

from kernel_bridge.bookmarks import Bookmarks
from kernel_bridge.event_line import cell_filter, is_whole, parse_header
from kernel_bridge.segment import Segment

_BLOCK_BYTES = 256 << 10
_FIRST_BYTES = 8 << 10
"""read at first where the event's place is known; a page that needs more reads twice as much each time"""
_SEARCH_BYTES = 128 << 10
"""read at first where it has to be searched for: the index has an entry for each 64 KiB"""


class LogPage(Struct, frozen=True):
    """Events in order, each the JSON of the API's event without a newline.

    `cursor`: the last seq looked at, also past events that the filter hid. `more`: a bound was reached before the
    newest event; read on from `cursor`. Then `events` may be empty.
    """

    events: list[bytes]
    cursor: int
    more: bool


@dataclass(slots=True)
class PageReader:
    """Collects the events behind `cursor` until a bound is reached; then `full` is true."""

    cursor: int
    cell: str | None
    limit: int
    max_bytes: int
    scan_bytes: int
    bookmarks: Bookmarks
    full: bool = False
    events: list[bytes] = field(default_factory=list[bytes])
    _used: int = 0
    _begin: int = field(init=False)
    _wanted: bytes | None = field(init=False)

    def __post_init__(self) -> None:
        self._begin = self.cursor
        self._wanted = cell_filter(self.cell) if self.cell is not None else None

    def offer(self, line: bytes, seq: int) -> bool:
        """Take an event that is to be shown; False if the page is full without it. The first one always fits."""
        if self.events and (len(self.events) >= self.limit or self._used + len(line) > self.max_bytes):
            self.full = True
            return False
        self.events.append(line)
        self._used += len(line)
        self.cursor = seq
        return True

    def read(self, segment: Segment, last: int) -> None:
        """Read on in `segment`, whose last event is `last`, from where the last reader stopped at this event, if that
        is known. Unless the page gets full, `cursor` is `last` afterwards, also if lines at the segment's end are
        damaged.

        Raises OSError when the segment is gone or unreadable.
        """
        offset = self.bookmarks.find(segment.first, self.cursor + 1)
        first_bytes = _FIRST_BYTES if offset is not None or self.cursor < segment.first else _SEARCH_BYTES
        if offset is None:
            offset = segment.offset_before(self.cursor + 1)
        with closing(segment.blocks(offset, _BLOCK_BYTES, first_bytes)) as blocks:
            for block in blocks:
                if self.scan_bytes <= 0 and self.cursor > self._begin:  # damaged lines alone are no progress
                    self.full = True
                    break
                self.scan_bytes -= len(block)
                offset += self._read_block(block, last)
                if self.full:
                    break
        if not self.full:
            self.cursor = max(self.cursor, last)
        self.bookmarks.put(segment.first, self.cursor + 1, offset)

    def _read_block(self, block: bytes, last: int) -> int:
        """Returns where the line of the event begins that did not fit, or else the size of the block."""
        skipped = self._begin_in(block)
        lines = block[skipped:-1].split(b"\n")
        wanted = self._wanted
        for number, line in enumerate(lines):
            seq = self._seq_of(line)
            if seq <= self.cursor or seq > last:
                continue
            if wanted is not None and not line.startswith(wanted, line.find(b",")):
                self.cursor = seq
            elif is_whole(line) and not self.offer(line, seq):
                return skipped + sum(map(len, lines[:number])) + number
        return len(block)

    def _begin_in(self, block: bytes) -> int:
        """Where the next event begins, if it is in the block; else 0. No newline is in a line, so nothing in an event
        can pass for it."""
        start = b'{"seq":%d,' % (self.cursor + 1)
        return 0 if block.startswith(start) else block.find(b"\n" + start) + 1

    def _seq_of(self, line: bytes) -> int:
        """Number of the event, 0 if the line is damaged. Events are dense, so nearly always it is the next one."""
        following = self.cursor + 1
        if line.startswith(b'{"seq":%d,' % following):
            return following
        header = parse_header(line)
        return header.seq if header is not None else 0

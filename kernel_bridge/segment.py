"""One segment of an event log: a header line, then event lines.

    {"v":1,"first":N,"bytes_before":B,"time":"..."}

`bytes_before` is the size of all event lines (newlines included) in the segments before this one since the session
began, whether they are kept or not, so that what retention removed can be told exactly.
"""

import os
from bisect import bisect_right
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from kernel_bridge.clock import rfc3339
from kernel_bridge.event_line import parse_header
from kernel_bridge.line_file import last_line_end, line_blocks
from kernel_bridge.log_clock import LogClock

_INDEX_BYTES = 64 << 10
_HEADER_BYTES = 4096
_UNKNOWN_TIME = "1970-01-01T00:00:00.000Z"


class SegmentHeader(Struct, frozen=True):
    """The first line of a segment. `time`: when it was begun."""

    v: int
    first: int
    bytes_before: int
    time: str


@dataclass(slots=True)
class Segment:
    """A segment and where its events are. Opens its file for each look and holds nothing open.

    `first`: seq of its first event; `size`: end of its last whole line; `start`: begin of its first event line;
    `ended_at`: when its last event was stored, by LogClock.elapsed_s; None if that is not known yet.
    """

    path: Path
    first: int
    size: int
    start: int
    bytes_before: int
    time: str
    ended_at: float | None = None
    _seqs: list[int] = field(default_factory=list[int])
    _offsets: list[int] = field(default_factory=list[int])
    _indexed_to: int = -1  # offset of the newest entry; -1: the index is not built yet

    @property
    def event_bytes(self) -> int:
        """Size of its event lines."""
        return self.size - self.start

    def grew(self, seq: int, length: int, at: float) -> None:
        """Event `seq`, a line of `length` bytes, was appended `at` this moment of LogClock.elapsed_s."""
        if 0 <= self._indexed_to <= self.size - _INDEX_BYTES:
            self._note(seq, self.size)
        self.size += length
        self.ended_at = at

    def offset_before(self, seq: int) -> int:
        """Offset of a line that is at most 64 KiB (or one line) before event `seq`, or that event's own.

        Raises OSError when the file is gone or unreadable.
        """
        if seq <= self.first:
            return self.start
        self._index()
        at = bisect_right(self._seqs, seq) - 1
        return self._offsets[at] if at >= 0 else self.start

    def blocks(self, offset: int, block_bytes: int, first_bytes: int | None = None) -> Generator[bytes, None, None]:
        """Blocks of whole event lines from `offset`, where a line begins, to the segment's end; see line_blocks().

        Close the generator if it is not exhausted. Raises OSError when the file is gone or unreadable.
        """
        return line_blocks(self.path, offset, self.size, block_bytes, first_bytes)

    def last_seq(self) -> int:
        """Seq of its last event, `first - 1` if it has none. Each line that cannot be read counts as one event.

        Raises OSError.
        """
        line = self._last_line()
        if line is None:
            return self.first - 1
        header = parse_header(line)
        if header is not None and header.seq >= self.first:
            return header.seq
        seq = self.first - 1
        with closing(line_blocks(self.path, self.start, self.size)) as blocks:
            for block in blocks:
                for event in block[:-1].split(b"\n"):
                    header = parse_header(event)
                    seq = max(seq + 1, header.seq if header is not None else 0)
        return seq

    def end(self, clock: LogClock) -> float:
        """When its last event was stored, by LogClock.elapsed_s. The wall's clock, which may be set, is looked at only
        the first time, and only for a segment of an earlier owner. Raises OSError."""
        if self.ended_at is None:
            line = self._last_line()
            header = parse_header(line) if line is not None else None
            age_s = clock.age_s(header.time) if header is not None else None
            if age_s is None:  # a damaged line says nothing, but the file was last written then
                written = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
                age_s = clock.age_s(rfc3339(written)) or 0.0
            self.ended_at = clock.elapsed_s() - age_s
        return self.ended_at

    def _last_line(self) -> bytes | None:
        if self.size <= self.start:
            return None
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            begin = max(self.start, last_line_end(fd, self.size - 1))
            return os.pread(fd, _HEADER_BYTES, begin)
        finally:
            os.close(fd)

    def _index(self) -> None:
        """Note where an event begins in each 64 KiB, once. Reads 4 KiB of each, more only where lines are longer."""
        if self._indexed_to >= 0 or self.size <= self.start:
            return
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            at = self.start + _INDEX_BYTES
            while at < self.size:
                begin = _next_line(fd, at, min(at + _INDEX_BYTES, self.size))
                header = parse_header(os.pread(fd, 256, begin)) if begin else None
                if header is not None and header.seq > (self._seqs[-1] if self._seqs else self.first):
                    self._note(header.seq, begin)
                at += _INDEX_BYTES
            self._indexed_to = max(self._indexed_to, self.start)
        finally:
            os.close(fd)

    def _note(self, seq: int, offset: int) -> None:
        self._seqs.append(seq)
        self._offsets.append(offset)
        self._indexed_to = offset


def begin_segment(path: Path, first: int, bytes_before: int, time: str) -> tuple[Segment, bytes]:
    """A new segment, and the header line to be written before its first event."""
    line = msgspec.json.encode(SegmentHeader(1, first, bytes_before, time)) + b"\n"
    return Segment(path, first, len(line), len(line), bytes_before, time, _indexed_to=len(line)), line


def load_segment(path: Path, first: int, size: int, bytes_before: int) -> Segment:
    """The segment stored at `path`, of which `size` bytes are whole lines. `bytes_before` stands in for the header's
    if that cannot be read. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        head = os.pread(fd, min(size, _HEADER_BYTES), 0)
    finally:
        os.close(fd)
    line, newline, _ = head.partition(b"\n")
    start = len(line) + 1 if newline and parse_header(line) is None else 0
    try:
        header = msgspec.json.decode(line, type=SegmentHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        header = SegmentHeader(1, first, bytes_before, _UNKNOWN_TIME)
    return Segment(path, first, size, start, header.bytes_before, header.time)


def _next_line(fd: int, at: int, end: int) -> int:
    """Offset of the first line that begins in [at, end), given that at > 0; 0 if none does."""
    position = at - 1
    while position < end:
        newline = os.pread(fd, min(_HEADER_BYTES, end - position), position).find(b"\n")
        if newline >= 0:
            begin = position + newline + 1
            return begin if begin < end else 0
        position += _HEADER_BYTES
    return 0

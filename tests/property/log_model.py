"""What an event log should be, in lists: the model of the state machine in test_log_machine.py."""

import errno
import os
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from kernel_bridge.events import NewEvent
from kernel_bridge.log import LogLimits
from tests.unit.kernel_bridge.fake_clock import FakeClock


@dataclass
class Disk:
    """Writes `good` times, then fails `bad` times, each time having stored `partly` bytes, then is well again."""

    good: int = 0
    bad: int = 0
    partly: int = 0
    short: bool = False

    @property
    def reason(self) -> str:
        return "short_write" if self.short else "disk_full"

    def may_write(self) -> bool:
        """Asked once for each write that is tried."""
        if self.good or not self.bad:
            self.good = max(0, self.good - 1)
            return True
        self.bad -= 1
        return False


@dataclass
class FaultyDisk(Disk):
    """The same for the log itself."""

    def write(self, fd: int, data: bytes) -> int:
        if self.may_write():
            return os.write(fd, data)
        written = os.write(fd, data[: min(self.partly, len(data) - 1)])
        if self.short:
            return written
        raise OSError(errno.ENOSPC, "no space")


@dataclass
class Lost:
    cell: str | None
    reason: str
    count: int
    size: int

    @property
    def event(self) -> NewEvent:
        content = {"count": self.count, "bytes": self.size, "reason": self.reason}
        return NewEvent("dropped", self.cell, msgspec.json.encode(content), content)


@dataclass
class ModelSegment:
    first: int
    header: bytes
    lines: list[bytes] = field(default_factory=list[bytes])
    ended_at: float = 0.0
    stamp: str = ""

    @property
    def size(self) -> int:
        return len(self.header) + sum(map(len, self.lines))


@dataclass
class Model:
    """`segments` are those that are kept, `removed_bytes` the size of the events that are not."""

    limits: LogLimits
    clock: FakeClock
    disk: Disk
    segments: list[ModelSegment] = field(default_factory=list[ModelSegment])
    backlog: list[NewEvent | Lost] = field(default_factory=list["NewEvent | Lost"])
    newest: int = 0
    stored_bytes: int = 0

    @property
    def oldest(self) -> int:
        return self.segments[0].first if self.segments else self.newest + 1

    def append(self, event: NewEvent, keep: bool) -> int | None:
        if self.flush() and self.store(event):
            return self.newest
        losses = [entry for entry in self.backlog[self._kept() :] if isinstance(entry, Lost)]
        loss = next((entry for entry in losses if entry.cell == event.cell), None)
        if keep:
            self.backlog.append(event)
        elif loss is None:
            self.backlog.append(Lost(event.cell, self.disk.reason, 1, event.size))
        else:
            loss.count += 1
            loss.size += event.size
        return None

    def _kept(self) -> int:
        """Place behind the last event that is kept: losses before it are told apart from those after it."""
        kept = [place for place, entry in enumerate(self.backlog) if isinstance(entry, NewEvent)]
        return kept[-1] + 1 if kept else 0

    def flush(self) -> bool:
        while self.backlog:
            entry = self.backlog[0]
            if not self.store(entry.event if isinstance(entry, Lost) else entry):
                return False
            del self.backlog[0]
        return True

    def store(self, event: NewEvent) -> bool:
        cell = b"null" if event.cell is None else b'"%b"' % event.cell.encode()
        facts = (self.newest + 1, cell, self.clock.stamp().encode(), event.type.encode(), event.content)
        line = b'{"seq":%d,"cell":%b,"time":"%b","type":"%b","content":%b}\n' % facts
        last = self.segments[-1] if self.segments else None
        if last is None or (last.lines and last.size + len(line) > self.limits.segment_bytes):
            if not self.disk.may_write():
                return False
            head = (self.newest + 1, self.stored_bytes, self.clock.stamp().encode())
            last = ModelSegment(self.newest + 1, b'{"v":1,"first":%d,"bytes_before":%d,"time":"%b"}\n' % head)
            self.segments.append(last)
            self.retain()
        if not self.disk.may_write():
            return False
        last.lines.append(line)
        last.ended_at, last.stamp = self.clock.passed_s, self.clock.stamp()
        self.newest += 1
        self.stored_bytes += len(line)
        return True

    def retain(self) -> None:
        while len(self.segments) > 1:
            oldest = self.segments[0]
            fits = sum(segment.size for segment in self.segments) <= self.limits.retention_bytes
            age_s = self.clock.passed_s - oldest.ended_at
            if fits and age_s <= self.limits.retention_s:
                return
            del self.segments[0]

    def reopen(self) -> None:
        """A new owner knows what is in the files, and the ages only by what they say and the clock on the wall."""
        self.backlog.clear()
        end = float("-inf")
        for segment in self.segments:
            if segment.stamp:
                told_s = (self.clock.wall - datetime.fromisoformat(segment.stamp)).total_seconds()
                end = segment.ended_at = max(end, self.clock.passed_s - max(0.0, told_s))

    def lose_newest(self) -> bytes | None:
        """The newest line, which is gone; None if the newest segment has none."""
        if not self.segments or not self.segments[-1].lines:
            return None
        last = self.segments[-1]
        line = last.lines.pop()
        self.newest -= 1
        self.stored_bytes -= len(line)
        last.stamp = msgspec.json.decode(last.lines[-1])["time"] if last.lines else ""
        return line

    def events(self, cursor: int, cell: str | None) -> list[bytes]:
        """What a reader behind `cursor` is to get, however large its pages are."""
        found: list[bytes] = []
        if cursor < self.oldest - 1:
            found.append(self._truncated())
        for segment in self.segments:
            for seq, line in enumerate(segment.lines, segment.first):
                if seq > cursor and (cell is None or b',"cell":"%b",' % cell.encode() in line[:60]):
                    found.append(line[:-1])
        return found

    def _truncated(self) -> bytes:
        oldest = self.segments[0]
        to = oldest.first - 1
        removed = self.stored_bytes - sum(len(line) for segment in self.segments for line in segment.lines)
        content = b'{"from":1,"to":%d,"count":%d,"bytes":%d}' % (to, to, removed)
        time = msgspec.json.decode(oldest.header)["time"].encode()
        return b'{"seq":%d,"cell":null,"time":"%b","type":"truncated","content":%b}' % (to, time, content)

"""A page costs what it holds, not what the log holds."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kernel_bridge import bookmarks
from kernel_bridge.events import NewEvent, from_kernel
from kernel_bridge.log import EventLog, LogLimits

EVENTS = 2000


def stream(text: str, cell: str = "c1") -> NewEvent:
    return from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), cell)[0]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    """2,000 events of 300 bytes: the last entry of the index may be 64 KiB before the end."""
    log = EventLog.open(tmp_path, LogLimits())
    for number in range(EVENTS):
        log.append(stream(f"{number}" + "x" * 200, "even" if number % 2 == 0 else "odd"))
    assert log.stored_bytes > EVENTS * 300
    yield log
    log.close()


class Disk:
    """What was read from it."""

    def __init__(self) -> None:
        self.bytes = 0

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        data = REAL_PREAD(fd, length, offset)
        self.bytes += len(data)
        return data

    def spent(self) -> int:
        spent, self.bytes = self.bytes, 0
        return spent


REAL_PREAD = os.pread


@pytest.fixture
def disk(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Watched from when the log is full."""
    disk = Disk()
    monkeypatch.setattr(os, "pread", disk.pread)
    return disk


def seqs(events: list[bytes]) -> list[int]:
    return [msgspec.json.decode(event)["seq"] for event in events]


def test_at_the_tail_a_poll_reads_the_new_events_only(log: EventLog, disk: Disk) -> None:
    assert not log.read(EVENTS, cell=None, limit=1000, max_bytes=1 << 20).events
    assert disk.spent() == 0
    for number in range(1, 20):
        log.append(stream("next"))
        page = log.read(EVENTS + number - 1, cell=None, limit=1000, max_bytes=1 << 20)
        assert seqs(page.events) == [EVENTS + number]
        assert disk.spent() == len(page.events[0]) + 1


@pytest.mark.parametrize("limit", [1, 7])
def test_small_pages_in_the_middle_read_little(log: EventLog, disk: Disk, limit: int) -> None:
    cursor = 1000
    cursor = log.read(cursor, cell=None, limit=limit, max_bytes=1 << 20).cursor
    assert disk.spent() < 300 << 10, "searched for, and the index made"
    for _ in range(100):
        page = log.read(cursor, cell=None, limit=limit, max_bytes=1 << 20)
        assert seqs(page.events) == list(range(cursor + 1, cursor + limit + 1))
        cursor = page.cursor
        assert disk.spent() <= 8 << 10


def test_large_pages_read_the_log_little_more_than_once(log: EventLog, disk: Disk) -> None:
    cursor, found = 0, 0
    while cursor < EVENTS:
        page = log.read(cursor, cell=None, limit=10_000, max_bytes=100 << 10)
        found += len(page.events)
        cursor = page.cursor
    assert found == EVENTS
    assert disk.spent() < 2.5 * log.stored_bytes


def test_a_filter_does_not_read_again_what_it_hid(log: EventLog, disk: Disk) -> None:
    page = log.read(0, cell="nobody", limit=10, max_bytes=1 << 20)
    assert (page.events, page.cursor, page.more) == ([], EVENTS, False)
    disk.spent()
    log.append(stream("x", "nobody"))
    assert seqs(log.read(EVENTS, cell="nobody", limit=10, max_bytes=1 << 20).events) == [EVENTS + 1]
    assert disk.spent() < 1000


def test_more_readers_than_bookmarks_read_the_same(log: EventLog) -> None:
    readers = list(range(0, EVENTS, EVENTS // (3 * bookmarks.MAX_BOOKMARKS)))
    assert len(readers) > 2 * bookmarks.MAX_BOOKMARKS
    for _ in range(3):
        for place, cursor in enumerate(readers):
            page = log.read(cursor, cell=None, limit=2, max_bytes=1 << 20)
            assert seqs(page.events) == [seq for seq in (cursor + 1, cursor + 2) if seq <= EVENTS]
            readers[place] = page.cursor


def test_the_next_event_may_begin_another_segment(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits(segment_bytes=700))
    for number in range(20):
        assert not log.read(number, cell=None, limit=9, max_bytes=1 << 20).events, "here the next reader begins"
        log.append(stream("x" * 200))
        assert seqs(log.read(number, cell=None, limit=9, max_bytes=1 << 20).events) == [number + 1]
    assert len(list(tmp_path.iterdir())) > 5
    log.close()


def test_a_line_of_many_blocks(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    sent = [stream("x" * size) for size in (10, 60_000, 10, 60_000, 60_000, 10)]
    large = from_kernel("display_data", msgspec.json.encode({"data": {"text/plain": "y" * 3_000_000}}), "c1")
    for event in [*sent, *large, *sent]:
        log.append(event)
    one_by_one: list[bytes] = []
    while len(one_by_one) < log.newest:
        one_by_one += log.read(len(one_by_one), cell=None, limit=1, max_bytes=1).events
    assert one_by_one == log.read(0, cell=None, limit=99, max_bytes=8 << 20).events
    log.close()

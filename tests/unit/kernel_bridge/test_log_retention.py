"""What an event log forgets, and what it says of it."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel_bridge.clock import rfc3339
from kernel_bridge.events import NewEvent, from_kernel
from kernel_bridge.log import EventLog, LogLimits
from tests.unit.kernel_bridge.fake_clock import START, FakeClock

SMALL = LogLimits(segment_bytes=1000, retention_bytes=3000)
AGED = LogLimits(segment_bytes=300, retention_s=60)
"""one event of 200 characters a segment"""


def stream(text: str) -> NewEvent:
    return from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), "c1")[0]


def read_all(log: EventLog, cursor: int = 0, cell: str | None = None) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event) for event in log.read(cursor, cell=cell, limit=999, max_bytes=1 << 20).events]


def seqs(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


def size_of_events(directory: Path) -> int:
    return sum(sum(map(len, path.read_bytes().splitlines(keepends=True)[1:])) for path in directory.iterdir())


def filled(directory: Path, clock: FakeClock, *, events: int = 4, every_s: float = 20) -> EventLog:
    log = EventLog.open(directory, AGED, clock=clock)
    for number in range(events):
        if number:
            clock.pass_by(every_s)
        log.append(stream("x" * 200))
    return log


def test_by_size_it_tells_exactly_what_is_gone(tmp_path: Path) -> None:
    clock = FakeClock()
    log = EventLog.open(tmp_path, SMALL, clock=clock)
    for number in range(100):
        clock.pass_by(1)
        log.append(stream("x" * number))
    total = sum(len(line) + 1 for line in log.read(log.oldest - 1, cell=None, limit=999, max_bytes=1 << 20).events)
    assert total == size_of_events(tmp_path)
    assert log.stored_bytes <= 3000 + 1000
    reopened = EventLog.open(tmp_path, SMALL, clock=clock)
    everything = EventLog.open(tmp_path, LogLimits()).read(0, cell=None, limit=1, max_bytes=1)
    for reader in (log, reopened):
        page = reader.read(0, cell=None, limit=1, max_bytes=1)
        event = msgspec.json.decode(page.events[0])
        to = log.oldest - 1
        assert to > 50
        assert (event["seq"], event["cell"], event["type"]) == (to, None, "truncated")
        gone = sum(len(line) for line in _lines_of_100()) - total
        assert event["content"] == {"from": 1, "to": to, "count": to, "bytes": gone}
        assert page.events == everything.events, "the same bytes for every reader"
        assert page.cursor == to
        assert page.more
        assert seqs(read_all(reader)) == list(range(to, 101))
        assert seqs(read_all(reader, to)) == list(range(to + 1, 101))
        assert seqs(read_all(reader, to - 1, "nobody")) == [to]
    log.close()


def _lines_of_100() -> list[bytes]:
    head = b'{"seq":%d,"cell":"c1","time":"2026-11-22T16:40:30.123Z","type":"stream","content":%b}\n'
    return [head % (number + 1, stream("x" * number).content) for number in range(100)]


def test_by_age(tmp_path: Path) -> None:
    clock = FakeClock()
    log = filled(tmp_path, clock)
    log.retain()
    assert log.oldest == 1, "exactly as old as allowed"
    reopened = EventLog.open(tmp_path, AGED, clock=clock)
    clock.pass_by(1)
    log.retain()
    assert log.oldest == 2
    reopened.retain()
    assert reopened.oldest == 2
    clock.pass_by(86400)
    log.retain()
    assert (log.oldest, log.newest) == (4, 4), "the newest segment stays"
    log.close()


@pytest.mark.parametrize("seconds", [-365 * 86400, 365 * 86400])
@pytest.mark.parametrize("reopen", [False, True])
def test_a_clock_that_is_set_makes_nothing_older_or_younger(tmp_path: Path, seconds: float, reopen: bool) -> None:
    clock = FakeClock()
    log = filled(tmp_path, clock)
    if reopen:
        log.close()
        log = EventLog.open(tmp_path, AGED, clock=clock)
    clock.set(seconds)
    log.retain()
    assert log.oldest == 1
    clock.pass_by(1)
    log.retain()
    assert log.oldest == 2
    log.append(stream("y" * 200))
    clock.set(-seconds)
    clock.pass_by(20)
    log.retain()
    assert log.oldest == 3
    log.close()


def test_events_of_the_future_age_from_when_they_are_first_seen(tmp_path: Path) -> None:
    clock = FakeClock()
    filled(tmp_path, clock, events=2).close()
    clock.set(-365 * 86400)  # between two hosts
    log = EventLog.open(tmp_path, AGED, clock=clock)
    clock.pass_by(60)
    log.retain()
    assert log.oldest == 1
    clock.pass_by(1)
    log.retain()
    assert log.oldest == 2
    log.close()


def test_what_was_written_under_a_wrong_clock_is_not_older_than_what_was_written_before(tmp_path: Path) -> None:
    clock = FakeClock()
    log = filled(tmp_path, clock, events=2)
    clock.set(-365 * 86400)
    for _ in range(2):
        log.append(stream("y" * 200))
    log.close()
    clock.set(365 * 86400)
    log = EventLog.open(tmp_path, AGED, clock=clock)
    log.retain()
    assert log.oldest == 1
    clock.pass_by(45)
    log.retain()
    assert log.oldest == 2, "the first one is 65 s old, the others 45"
    path = min(tmp_path.iterdir())
    clock.pass_by(15)
    log.retain()
    assert path.exists()
    log.close()
    small = EventLog.open(tmp_path, LogLimits(segment_bytes=300, retention_s=60, retention_bytes=800), clock=clock)
    small.retain()
    assert small.oldest == 3, "for its size, and what follows is no older for that"
    small.close()


@pytest.mark.parametrize("old", [False, True])
def test_a_segment_whose_end_is_damaged_is_as_old_as_its_file(tmp_path: Path, old: bool) -> None:
    clock = FakeClock()
    filled(tmp_path, clock, events=2, every_s=1).close()
    first = min(tmp_path.iterdir())
    header, line, _ = first.read_bytes().split(b"\n")
    first.write_bytes(b"\n".join([header, b"\x00" * len(line), b""]))
    written = (START - timedelta(seconds=61 if old else 0)).timestamp()
    os.utime(first, (written, written))
    log = EventLog.open(tmp_path, AGED, clock=clock)
    log.retain()
    assert log.oldest == (2 if old else 1)
    log.close()


def test_an_event_is_stamped_by_the_wall_clock_as_it_is(tmp_path: Path) -> None:
    clock = FakeClock()
    log = EventLog.open(tmp_path, LogLimits(), clock=clock)
    log.append(stream("1"))
    clock.set(-3600)
    log.append(stream("2"))
    assert [event["time"] for event in read_all(log)] == [rfc3339(START), rfc3339(START - timedelta(hours=1))]
    log.close()

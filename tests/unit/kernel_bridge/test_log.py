import errno
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel_bridge.backlog import Backlog
from kernel_bridge.events import NewEvent, from_kernel, from_service
from kernel_bridge.log import EventLog, LogLimits
from tests.unit.kernel_bridge.fake_clock import FakeClock

SMALL = LogLimits(segment_bytes=1000, retention_bytes=3000)


class Disk:
    """Writes; while `error` is set, `partly` bytes are written and then it fails (or says so few, for error 0)."""

    def __init__(self) -> None:
        self.error: int | None = None
        self.partly = 7

    def __call__(self, fd: int, data: bytes) -> int:
        if self.error is None:
            return os.write(fd, data)
        written = os.write(fd, data[: self.partly]) if self.partly else 0
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return written


def stream(text: str, cell: str | None = "c1") -> NewEvent:
    return from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), cell)[0]


def cell_event(state: str, cell: str) -> NewEvent:
    return from_service("cell", {"state": state}, cell)


def read_all(log: EventLog, cursor: int = 0, cell: str | None = None, limit: int = 10_000) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while True:
        page = log.read(cursor, cell=cell, limit=limit, max_bytes=1 << 20)
        events += [msgspec.json.decode(event) for event in page.events]
        cursor = page.cursor
        if not page.more:
            assert cursor == max(cursor, log.newest)
            return events


def seqs(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]


def test_a_stored_event_is_the_api_event_byte_for_byte(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits(), clock=FakeClock())
    assert (log.newest, log.oldest, log.stored_bytes) == (0, 1, 0)
    assert not list(tmp_path.iterdir()), "a session never used has no log"
    assert log.read(0, cell=None, limit=1, max_bytes=1).events == []
    content = b'{ "name":"stdout", "text":"\\u00e9" }'
    assert log.append(from_kernel("stream", content, "c1")[0]) == 1
    assert log.append(NewEvent("comm_msg", None, b"{}", {}, (b"\x00\x01", b""), late=True, repaired=True)) == 2
    log.close()
    head = '"time":"2026-11-22T16:40:30.123Z","type":'
    lines = [
        b'{"seq":1,"cell":"c1",%b"stream","content":%b}' % (head.encode(), content),
        (
            '{"seq":2,"cell":null,'
            + head
            + '"comm_msg","content":{},"buffers":["AAE=",""],"late":true,"repaired":true}'
        ).encode(),
    ]
    (path,) = tmp_path.iterdir()
    assert path.name == "events-000000000001.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    header = b'{"v":1,"first":1,"bytes_before":0,"time":"2026-11-22T16:40:30.123Z"}'
    assert path.read_bytes() == b"\n".join([header, *lines, b""])
    assert log.read(0, cell=None, limit=10, max_bytes=1 << 20).events == lines
    assert log.stored_bytes == path.stat().st_size


@pytest.mark.parametrize(("cell", "type"), [('a"b', "stream"), ("", "stream"), ("c", 'x","y":"'), ("c" * 65, "stream")])
def test_a_header_cannot_be_forged(tmp_path: Path, cell: str, type: str) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    with pytest.raises(ValueError, match="letters"):
        log.append(NewEvent(type, cell, b"{}", {}), keep=True)
    assert log.can_store
    assert not list(tmp_path.iterdir())


def test_paging(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits(segment_bytes=1000))
    for number in range(30):
        log.append(stream(f"{number}", "even" if number % 2 == 0 else "odd"))
    assert len(list(tmp_path.iterdir())) > 3
    page = log.read(0, cell=None, limit=7, max_bytes=1 << 20)
    assert (len(page.events), page.cursor, page.more) == (7, 7, True)
    two = len(page.events[0]) + len(page.events[1])
    assert len(log.read(0, cell=None, limit=99, max_bytes=two).events) == 2
    assert len(log.read(0, cell=None, limit=99, max_bytes=two - 1).events) == 1
    assert len(log.read(0, cell=None, limit=99, max_bytes=1).events) == 1, "at least one, however large"
    assert log.read(30, cell=None, limit=9, max_bytes=9).more is False
    page = log.read(29, cell="odd", limit=1, max_bytes=1)
    assert (len(page.events), page.cursor, page.more) == (1, 30, False)
    page = log.read(29, cell="even", limit=1, max_bytes=1)
    assert (page.events, page.cursor, page.more) == ([], 30, False)
    assert seqs(read_all(log, 3, "even", 4)) == list(range(5, 30, 2))
    log.close()


def test_the_filter_looks_at_the_header_only(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    log.append(NewEvent("display_data", "a", b'{"x":1,"cell":"b","time":"","type":"cell","content":{}}', {}))
    log.append(stream(',"cell":"b","time":', "a"))
    log.append(cell_event("queued", "b"))
    log.append(NewEvent("display_data", "a", b'{"time":"Z","type":"cell","content":{}}', {}))
    assert seqs(read_all(log, cell="b")) == [3]
    assert [seq for seq, _ in log.cell_events()] == [3]
    log.close()


def test_one_call_scans_a_bounded_part(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits(scan_bytes=50_000))
    for number in range(200):
        log.append(stream("x" * 4000, "a"))
        assert log.newest == number + 1
    log.append(stream("here", "b"))
    page = log.read(0, cell="b", limit=10, max_bytes=1 << 20)
    assert page.events == []
    assert page.more
    assert 0 < page.cursor < 200
    assert seqs(read_all(log, cell="b")) == [201]
    log.close()


def test_a_new_owner_goes_on(tmp_path: Path) -> None:
    for turn in range(5):
        log = EventLog.open(tmp_path, LogLimits(segment_bytes=600))
        assert log.newest == turn * 3
        for _ in range(3):
            log.append(stream("x" * 50))
        log.close()
    log = EventLog.open(tmp_path, SMALL)
    assert seqs(read_all(log)) == list(range(1, 16))
    assert seqs(read_all(log, 7)) == list(range(8, 16))
    log.close()


def test_a_torn_line_is_cut_off_and_its_seq_used_again(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    log.append(stream("whole"))
    log.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":2,"cell"')
    log = EventLog.open(tmp_path, LogLimits())
    assert (log.torn_bytes, log.newest) == (15, 1)
    assert path.read_bytes() == whole
    assert log.append(stream("next")) == 2
    log.close()


def test_a_segment_without_its_header_still_counts(tmp_path: Path) -> None:
    (tmp_path / "events-000000000041.jsonl").write_bytes(b'{"v":1,"fir')
    log = EventLog.open(tmp_path, LogLimits())
    assert (log.newest, log.oldest) == (40, 41)
    assert log.append(stream("x")) == 41
    log.close()
    assert EventLog.open(tmp_path, LogLimits()).newest == 41


@pytest.mark.parametrize("leave_file", [False, True])
def test_a_segment_that_could_not_be_begun_leaves_no_hole(tmp_path: Path, leave_file: bool) -> None:
    disk = Disk()
    limits = LogLimits(segment_bytes=600)
    log = EventLog.open(tmp_path, limits, write=disk)
    log.append(stream("x" * 200))
    disk.error = errno.ENOSPC
    assert log.append(stream("x" * 400)) is None, "it needs a new segment"
    assert len(list(tmp_path.iterdir())) == 1
    disk.error = None
    assert log.flush_kept(), "`dropped` fits into the old one"
    if leave_file:
        (tmp_path / "events-000000000002.jsonl").touch()
    log.close()
    log = EventLog.open(tmp_path, limits)
    assert log.newest == 2
    assert log.append(stream("x" * 400)) == 3
    log.close()
    assert seqs(read_all(EventLog.open(tmp_path, limits))) == [1, 2, 3]


def test_a_damaged_number_does_not_hide_what_follows(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    for number in range(5):
        log.append(stream(str(number)))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b'{"seq":3,', b'{"seq":8,'))
    assert seqs(read_all(log)) == [1, 2, 4, 5]
    log.close()


@pytest.mark.parametrize("damage", [b"\x00" * 40, b'{"seq":3,', b'{"seq":99999,"cell":null}', b"\xff\xfe", b""])
@pytest.mark.parametrize("line", [2, 3, 5])
def test_damaged_lines_cost_only_themselves(tmp_path: Path, damage: bytes, line: int) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    for number in range(5):
        log.append(stream(str(number)))
    log.close()
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().split(b"\n")
    lines[line] = damage
    path.write_bytes(b"\n".join(lines))
    log = EventLog.open(tmp_path, LogLimits())
    assert log.newest == 5
    assert seqs(read_all(log)) == [seq for seq in range(1, 6) if seq != line]
    assert log.append(stream("more")) == 6
    assert seqs(read_all(log, 4)) == [seq for seq in (5, 6) if seq != line]
    log.close()


def test_content_damaged_behind_a_good_header(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    for text in ("one", "two", "three"):
        log.append(stream(text))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"two"', b'"two}'))
    assert seqs(read_all(log)) == [1, 3]
    path.write_bytes(path.read_bytes().replace(b'"one"', b'"\xffne"'))
    assert seqs(read_all(log)) == [3]
    log.close()


def test_a_damaged_header_line(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits())
    log.append(stream("x"))
    log.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"rubbish\n" + path.read_bytes().split(b"\n", 1)[1])
    log = EventLog.open(tmp_path, LogLimits())
    assert seqs(read_all(log)) == [1]


def test_segments_that_vanish_do_not_stop_readers(tmp_path: Path) -> None:
    log = EventLog.open(tmp_path, LogLimits(segment_bytes=300))
    for _ in range(5):
        log.append(stream("x" * 200))
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 5
    paths[2].unlink()
    assert seqs(read_all(log)) == [1, 2, 4, 5]
    paths[0].unlink()
    events = read_all(log)
    assert seqs(events) == [1, 2, 4, 5]
    assert events[0]["type"] == "truncated"
    paths[4].unlink()
    assert seqs(read_all(log, 1)) == [2, 4]
    assert [seq for seq, _ in log.cell_events()] == []
    log.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "file_too_large"),
        (errno.EIO, "io_error"),
        (errno.EROFS, "erofs"),
        (0, "short_write"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_what_cannot_be_stored_is_counted(tmp_path: Path, error: int, reason: str, begun: bool) -> None:
    disk = Disk()
    log = EventLog.open(tmp_path, LogLimits(), write=disk)
    if begun:
        log.append(stream("before"))
    before = log.newest
    disk.error = error
    lost = [stream("lost"), stream("and lost again")]
    assert [log.append(event) for event in lost] == [None, None]
    assert log.newest == before
    assert not log.can_store
    assert all(path.read_bytes().endswith(b"\n") or not path.stat().st_size for path in tmp_path.iterdir())
    assert log.try_append(stream("refused")) is None
    disk.error = None
    assert log.append(stream("after", "c2")) == before + 2
    events = read_all(log)
    assert seqs(events) == list(range(1, before + 3))
    dropped = events[before]
    assert (dropped["type"], dropped["cell"]) == ("dropped", "c1")
    assert dropped["content"] == {"count": 2, "bytes": sum(len(event.content) for event in lost), "reason": reason}
    log.close()


@pytest.mark.parametrize("error", [errno.ENOSPC, 0])
def test_a_write_that_stops_at_any_byte_leaves_no_trace(tmp_path: Path, error: int) -> None:
    disk = Disk()
    log = EventLog.open(tmp_path, LogLimits(), write=disk, clock=FakeClock())
    log.append(stream("before"))
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    line = len(before.splitlines()[1])
    for disk.partly in range(line + 1):
        disk.error = error
        assert log.try_append(stream("before")) is None
        assert path.read_bytes() == before
        disk.error = None
        assert log.flush_kept()
    assert log.append(stream("before")) == 2
    log.close()
    assert path.read_bytes() == before + before.splitlines(keepends=True)[1].replace(b'"seq":1', b'"seq":2')


def test_kept_events_are_written_in_their_place(tmp_path: Path) -> None:
    disk = Disk()
    log = EventLog.open(tmp_path, LogLimits(), write=disk)
    disk.error = errno.ENOSPC
    log.append(stream("1"))
    log.append(stream("2", "c2"))
    log.append(stream("3"))
    assert log.append(cell_event("done", "c1"), keep=True) is None
    log.append(stream("4"))
    assert log.append(cell_event("running", "c2"), keep=True) is None
    assert not log.flush_kept()
    disk.error = None
    assert log.flush_kept()
    assert log.can_store
    assert log.append(stream("5", "c2")) == 6
    told = [(event["type"], event["cell"], event["content"].get("count")) for event in read_all(log)]
    assert told == [
        ("dropped", "c1", 2),
        ("dropped", "c2", 1),
        ("cell", "c1", None),
        ("dropped", "c1", 1),
        ("cell", "c2", None),
        ("stream", "c2", None),
    ]
    assert [seq for seq, _ in log.cell_events()] == [3, 5]
    assert [seq for seq, _ in log.cell_events(after=3)] == [5]
    log.close()


def test_what_is_lost_after_a_loss_was_told_is_told_again() -> None:
    backlog = Backlog()
    backlog.lose(stream("1"), "disk_full")
    backlog.keep(cell_event("done", "c1"))
    backlog.lose(stream("2"), "disk_full")
    for _ in range(3):
        backlog.pop()
    backlog.lose(stream("3"), "io_error")
    assert len(backlog) == 1
    assert backlog.first().fields == {"count": 1, "bytes": len(stream("3").content), "reason": "io_error"}


def test_a_missing_directory_is_no_crash(tmp_path: Path) -> None:
    directory = tmp_path / "session"
    directory.mkdir()
    log = EventLog.open(directory, LogLimits())
    directory.rmdir()
    assert log.append(stream("x")) is None
    directory.mkdir()
    assert log.append(stream("y")) == 2
    log.close()


def test_a_tail_that_could_not_be_cut_is_cut_before_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    log = EventLog.open(tmp_path, LogLimits(), write=disk)
    log.append(stream("1"))

    def refuse(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "refused")

    disk.error = errno.EIO
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        assert log.append(stream("2")) is None
        disk.error = None
        assert log.append(stream("3")) is None
        assert seqs(read_all(log)) == [1]
    assert log.append(stream("4")) == 3
    assert [event["type"] for event in read_all(log)] == ["stream", "dropped", "stream"]
    log.close()


def test_nothing_is_held_open_but_the_current_segment(tmp_path: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    log = EventLog.open(tmp_path, SMALL)
    for _ in range(30):
        log.append(stream("x" * 100))
    read_all(log)
    log.read(20, cell=None, limit=1, max_bytes=1)
    next(iter(log.cell_events()), None)
    assert len(os.listdir("/proc/self/fd")) == open_before + 1  # noqa: PTH208
    log.close()
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_bridge.events import NewEvent, from_kernel
from kernel_bridge.log import EventLog, LogLimits

cells = st.sampled_from(["a", "b", None])
payloads = st.tuples(cells, st.text(max_size=200))
few = settings(max_examples=100, deadline=None)


@contextmanager
def directory() -> Generator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def event(cell: str | None, text: str) -> NewEvent:
    return from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), cell)[0]


def read_all(log: EventLog, cursor: int = 0, cell: str | None = None, limit: int = 1000, max_bytes: int = 1 << 20):
    events: list[bytes] = []
    for _ in range(10_000):
        page = log.read(cursor, cell=cell, limit=limit, max_bytes=max_bytes)
        assert len(page.events) <= limit
        assert len(page.events) <= 1 or sum(map(len, page.events)) <= max_bytes
        assert page.cursor > cursor or not page.more
        events += page.events
        cursor = page.cursor
        if not page.more:
            return events
    raise AssertionError("no end of pages")


@few
@given(
    st.lists(payloads, max_size=40),
    st.integers(200, 2000),
    st.integers(1, 7),
    st.integers(1, 2000),
    st.integers(1, 3000),
    st.integers(0, 45),
    cells,
)
def test_pages_of_any_size_are_the_same_sequence(
    sent: list[tuple[str | None, str]],
    segment_bytes: int,
    limit: int,
    max_bytes: int,
    scan_bytes: int,
    cursor: int,
    cell: str | None,
) -> None:
    with directory() as path:
        log = EventLog.open(path, LogLimits(segment_bytes=segment_bytes, scan_bytes=scan_bytes))
        for number, (name, text) in enumerate(sent, 1):
            assert log.append(event(name, text)) == number
        events = read_all(log)
        decoded: list[dict[str, Any]] = [msgspec.json.decode(each) for each in events]
        assert [(each["cell"], each["content"]["text"]) for each in decoded] == sent
        assert [each["seq"] for each in decoded] == list(range(1, len(sent) + 1))
        cursor = min(cursor, len(sent))
        wanted = [raw for raw, each in zip(events, decoded, strict=True) if each["seq"] > cursor]
        assert read_all(log, cursor, None, limit, max_bytes) == wanted
        if cell is not None:
            wanted = [raw for raw in wanted if msgspec.json.decode(raw)["cell"] == cell]
            assert read_all(log, cursor, cell, limit, max_bytes) == wanted
        log.close()


@few
@given(st.lists(payloads, min_size=1, max_size=4), st.sampled_from([300, 1 << 20]))
def test_a_tail_torn_at_any_byte_costs_only_the_torn_line(
    sent: list[tuple[str | None, str]], segment_bytes: int
) -> None:
    limits = LogLimits(segment_bytes=segment_bytes)
    with directory() as path:
        log = EventLog.open(path, limits)
        for each in sent:
            log.append(event(*each))
        log.close()
        events = read_all(log)
        last = max(path.iterdir())
        whole = last.read_bytes()
        last_line = len(events[-1]) + 1
        for cut in range(1, last_line + 1):
            last.write_bytes(whole[:-cut])
            log = EventLog.open(path, limits)
            assert log.newest == len(sent) - 1
            assert log.torn_bytes == last_line - cut
            assert read_all(log) == events[:-1]
            assert log.append(event("z", "next")) == len(sent)
            log.close()
            again = EventLog.open(path, limits)
            assert read_all(again)[:-1] == events[:-1]
            assert again.newest == len(sent)
            for extra in set(path.iterdir()) - {last}:
                if extra > last:
                    extra.unlink()


@few
@given(st.lists(st.tuples(payloads, st.integers(0, 3), st.booleans()), max_size=30), st.integers(0, 60), st.data())
def test_faulty_writes_tear_and_lose_nothing_uncounted(
    sent: list[tuple[tuple[str | None, str], int, bool]], partly: int, data: st.DataObject
) -> None:
    fault = 0

    def write(fd: int, line: bytes) -> int:
        if fault == 0:
            return os.write(fd, line)
        written = os.write(fd, line[: min(partly, len(line) - 1)])
        if fault == 1:
            return written
        raise OSError(errno.ENOSPC if fault == 2 else errno.EIO, "no")

    with directory() as path:
        limits = LogLimits(segment_bytes=600)
        log = EventLog.open(path, limits, write=write)
        for (cell, text), fault, keep in sent:
            before = log.newest
            seq = log.append(event(cell, text), keep=keep)
            assert (seq is None) == (fault > 0)
            assert seq is None or seq == log.newest > before
            if data.draw(st.booleans()):
                for each in path.iterdir():
                    assert each.stat().st_size == 0 or each.read_bytes().endswith(b"\n")
        fault = 0
        assert log.flush_kept()
        log.close()
        log = EventLog.open(path, limits)
        decoded: list[dict[str, Any]] = [msgspec.json.decode(each) for each in read_all(log)]
    assert [each["seq"] for each in decoded] == list(range(1, len(decoded) + 1))
    stored = [(each["cell"], each["content"]["text"]) for each in decoded if each["type"] == "stream"]
    assert stored == [payload for payload, failed, keep in sent if keep or not failed]
    dropped = sum(each["content"]["count"] for each in decoded if each["type"] == "dropped")
    assert dropped == sum(1 for _, failed, keep in sent if failed and not keep)


@few
@given(st.lists(payloads, min_size=1, max_size=60), st.integers(200, 1000), st.integers(0, 4000), st.integers(1, 59))
def test_retention_counts_exactly(
    sent: list[tuple[str | None, str]], segment_bytes: int, retention_bytes: int, restart_at: int
) -> None:
    limits = LogLimits(segment_bytes=segment_bytes, retention_bytes=retention_bytes)
    with directory() as path, directory() as all_path:
        log = EventLog.open(path, limits)
        kept_all = EventLog.open(all_path, LogLimits())
        for number, each in enumerate(sent):
            if number == restart_at:
                log.close()
                log = EventLog.open(path, limits)
            assert log.append(event(*each)) == kept_all.append(event(*each))
        lines = read_all(kept_all)  # the times differ, the lengths do not
        events = read_all(log)
        gone = log.oldest - 1
        if gone:
            removed = msgspec.json.decode(events[0])
            assert removed["seq"] == gone
            size = sum(len(line) + 1 for line in lines[:gone])
            assert removed["content"] == {"from": 1, "to": gone, "count": gone, "bytes": size}
            assert read_all(log, gone - 1, "nobody", 1, 1) == events[:1]
            events = events[1:]
        assert [len(line) for line in events] == [len(line) for line in lines[gone:]]
        assert read_all(log, gone) == events
        assert len(list(path.iterdir())) == 1 or log.stored_bytes <= retention_bytes + segment_bytes + 1500
        log.close()
        kept_all.close()

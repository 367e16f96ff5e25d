"""An event log under everything that can happen to it, step by step beside a simple model."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kernel_bridge.events import NewEvent, from_kernel
from kernel_bridge.log import EventLog, LogLimits
from tests.property.log_model import Disk, FaultyDisk, Model
from tests.unit.kernel_bridge.fake_clock import FakeClock

RETENTION_S = 600
cells = st.sampled_from(["a", "b", None])
texts = st.integers(0, 400).map("x".__mul__) | st.text(max_size=20)
sizes = st.integers(1, 60) | st.integers(1, 2000)


def event(cell: str | None, text: str) -> NewEvent:
    return from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), cell)[0]


@dataclass
class Reader:
    """Reads page by page, at its own pace and with bounds of its own."""

    cell: str | None
    limit: int
    max_bytes: int
    cursor: int = 0


readers = st.lists(st.builds(Reader, cells, sizes, sizes), min_size=3, max_size=3)


class LogMachine(RuleBasedStateMachine):
    @initialize(segment_bytes=st.integers(200, 1500), retention_bytes=st.integers(500, 6000), readers=readers)
    def begin(self, segment_bytes: int, retention_bytes: int, readers: list[Reader]) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.limits = LogLimits(segment_bytes, retention_bytes, RETENTION_S)
        self.clock = FakeClock()
        self.disk = FaultyDisk()
        self.readers = readers
        self.model = Model(self.limits, self.clock, Disk())
        self.log = self.opened()

    def opened(self) -> EventLog:
        return EventLog.open(self.directory, self.limits, clock=self.clock, write=self.disk.write)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
            shutil.rmtree(self.directory)

    @rule(cell=cells, text=texts)
    def append(self, cell: str | None, text: str) -> None:
        self._append(cell, text, keep=False)

    @rule(sent=st.lists(st.tuples(cells, texts, st.booleans()), min_size=2, max_size=8))
    def append_many(self, sent: list[tuple[str | None, str, bool]]) -> None:
        for cell, text, keep in sent:
            self._append(cell, text, keep=keep)

    def _append(self, cell: str | None, text: str, *, keep: bool) -> None:
        seq = self.model.append(event(cell, text), keep)
        assert self.log.append(event(cell, text), keep=keep) == seq

    @rule(cell=cells, text=texts)
    def try_append(self, cell: str | None, text: str) -> None:
        stored = self.model.flush() and self.model.store(event(cell, text))
        assert self.log.try_append(event(cell, text)) == (self.model.newest if stored else None)

    @rule(seconds=st.integers(1, RETENTION_S))
    def time_passes(self, seconds: int) -> None:
        self.clock.pass_by(seconds)

    @rule(seconds=st.integers(-10 * RETENTION_S, 10 * RETENTION_S))
    def set_the_clock(self, seconds: int) -> None:
        self.clock.set(seconds)

    @rule()
    def retain(self) -> None:
        self.model.retain()
        self.log.retain()

    @rule(good=st.integers(0, 3), bad=st.integers(1, 20), partly=st.integers(0, 300), short=st.booleans())
    def break_the_disk(self, good: int, bad: int, partly: int, short: bool) -> None:
        for disk in (self.disk, self.model.disk):
            disk.good, disk.bad, disk.partly, disk.short = good, bad, partly, short

    @rule()
    def rest(self) -> None:
        self.log.rest()

    @rule()
    def close_and_reopen(self) -> None:
        self.model.flush()
        self.log.close()
        self.model.reopen()
        self.log = self.opened()
        assert self.log.torn_bytes == 0

    @rule(torn=st.binary(min_size=1, max_size=80).filter(lambda data: b"\n" not in data))
    def crash_in_the_middle_of_a_line(self, torn: bytes) -> None:
        files = sorted(self.directory.iterdir())
        if files:
            with files[-1].open("ab") as file:
                file.write(torn)
        self._crashed()
        assert self.log.torn_bytes == (len(torn) if files else 0)

    @rule(size=st.integers(0, 60))
    def crash_at_the_begin_of_a_segment(self, size: int) -> None:
        path = self.directory / f"events-{self.model.newest + 1:012d}.jsonl"
        if not path.exists():
            path.write_bytes(b'{"v":1,"first":%d,"bytes_before":0,"time":"x"}'[:size])
        self._crashed()

    @precondition(lambda self: bool(self.model.segments and self.model.segments[-1].lines))
    @rule(data=st.data())
    def crash_with_the_newest_line_torn(self, data: st.DataObject) -> None:
        names = [int(path.stem.removeprefix("events-")) for path in self.directory.iterdir()]
        if max(names) > self.model.newest:
            return  # a next segment was begun, so the line had been written whole
        line = self.model.lose_newest()
        assert line is not None
        (path,) = self.directory.glob(f"events-{self.model.segments[-1].first:012d}.jsonl")
        cut = data.draw(st.integers(1, len(line)))
        path.write_bytes(path.read_bytes()[:-cut])
        self._crashed()
        for reader in self.readers:
            reader.cursor = min(reader.cursor, self.model.newest)

    def _crashed(self) -> None:
        """What the old owner still knew is gone, as it would be; its descriptors too."""
        self.log.rest()
        self.model.reopen()
        self.log = self.opened()

    @rule(number=st.integers(0, 2), pages=st.integers(1, 3))
    def read_on(self, number: int, pages: int) -> None:
        reader = self.readers[number]
        for _ in range(pages):
            reader.cursor = self._page(reader)

    @rule(reader=st.builds(Reader, cells, sizes, sizes), place=st.floats(0, 1))
    def read_anywhere(self, reader: Reader, place: float) -> None:
        reader.cursor = int(place * self.model.newest)
        self._page(reader)

    def _page(self, reader: Reader) -> int:
        cursor, cell = reader.cursor, reader.cell
        page = self.log.read(cursor, cell=cell, limit=reader.limit, max_bytes=reader.max_bytes)
        expected = self.model.events(cursor, cell)
        assert page.events == expected[: len(page.events)]
        assert page.more == (page.cursor < self.model.newest)
        rest = expected[len(page.events) :]
        assert self.model.events(page.cursor, cell) == rest
        used = sum(map(len, page.events))
        if rest:
            assert len(page.events) == reader.limit or used + len(rest[0]) > reader.max_bytes
        assert len(page.events) <= reader.limit
        assert len(page.events) <= 1 or used <= reader.max_bytes
        return page.cursor

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "log"):
            return
        assert (self.log.newest, self.log.oldest) == (self.model.newest, self.model.oldest)
        assert self.log.stored_bytes == sum(segment.size for segment in self.model.segments)
        assert self.log.settled == (not self.model.backlog)
        for segment in self.model.segments:
            path = self.directory / f"events-{segment.first:012d}.jsonl"
            assert path.read_bytes() == b"".join([segment.header, *segment.lines])
        kept = {f"events-{segment.first:012d}.jsonl" for segment in self.model.segments}
        others = [path for path in self.directory.iterdir() if path.name not in kept]
        assert not any(b"\n" in path.read_bytes() for path in others)


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

"""A session's two files together: what a full disk puts off, and what is held open."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from kernel_bridge.events import NewEvent, from_kernel, from_service
from kernel_bridge.journal import Journal
from kernel_bridge.line_file import LineFile, StoreFailed
from kernel_bridge.results import Cell
from kernel_bridge.settings import BridgeSettings


class Disk:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        append = LineFile.append

        def or_refuse(file: LineFile, line: bytes) -> int:
            if self.full:
                raise StoreFailed("disk_full")
            return append(file, line)

        monkeypatch.setattr(LineFile, "append", or_refuse)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path, BridgeSettings())
    yield journal
    journal.close()


def stream(text: str, cell: str) -> NewEvent:
    return from_kernel("stream", msgspec.json.encode({"name": "stdout", "text": text}), cell)[0]


def ended(cell: str) -> NewEvent:
    return from_service("cell", {"state": "done", "end": "ok"}, cell)


def record(cell: str, cursor: int) -> bytes:
    made = Cell("s", cell, "1", "u", "u", {}, "done", "ok", 1, "", [], None, None, [], cursor, "", None, None, None)
    return msgspec.json.encode(made)


def cursor_of(journal: Journal, cell: str) -> int:
    found = journal.finished(cell)
    assert found is not None
    cursor = msgspec.json.decode(found, type=Cell).cursor
    assert journal.cursor(cell) == cursor
    return cursor


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize("record_first", [False, True])
async def test_what_is_stored_later_belongs_to_the_cell_still(
    journal: Journal, disk: Disk, tmp_path: Path, record_first: bool
) -> None:
    assert journal.write(stream("1", "a")) == 1
    disk.full = True
    assert journal.write(stream("2", "a")) is None
    assert journal.write(ended("a"), keep=True) is None
    disk.full = not record_first
    journal.finish("a", record("a", 1))
    assert cursor_of(journal, "a") == 1
    assert not journal.settled
    disk.full = True
    journal.tend()
    assert cursor_of(journal, "a") == 1
    disk.full = False
    journal.tend()
    assert journal.settled
    told = [msgspec.json.decode(line) for line in journal.read(0, "a", 99, 1 << 20).events]
    assert [event["type"] for event in told] == ["stream", "dropped", "cell"]
    assert cursor_of(journal, "a") == told[-1]["seq"] == 3
    again = Journal(tmp_path, BridgeSettings())
    assert cursor_of(again, "a") == 3
    again.close()


async def test_a_clean_end_stores_what_was_put_off(journal: Journal, disk: Disk, tmp_path: Path) -> None:
    disk.full = True
    journal.write(stream("1", "a"))
    journal.write(ended("a"), keep=True)
    journal.finish("a", record("a", 0))
    disk.full = False
    assert journal.close()
    again = Journal(tmp_path, BridgeSettings())
    assert cursor_of(again, "a") == 2
    again.close()


async def test_a_disk_that_stays_full_is_told(journal: Journal, disk: Disk) -> None:
    disk.full = True
    journal.finish("a", record("a", 0))
    assert not journal.close()


async def test_records_that_the_disk_refuses_take_bounded_memory(
    journal: Journal, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel_bridge.journal.UNWRITTEN_BYTES", 100_000)
    disk.full = True
    text = "x" * 10_000
    for number in range(50):
        output = {"output_type": "stream", "name": "stdout", "text": text}
        cell = msgspec.json.decode(record(f"{number}", 0), type=Cell)
        journal.finish(f"{number}", msgspec.json.encode(msgspec.structs.replace(cell, outputs=[output], text=text)))
    disk.full = False
    journal.tend()
    found = [msgspec.json.decode(journal.finished(f"{number}") or b"", type=Cell) for number in range(50)]
    whole = [cell for cell in found if cell.text == text]
    assert len(whole) == 4, "20,000 bytes each, beside what is left of the others"
    assert found[-len(whole) :] == whole, "the newest"
    for cell in found[: -len(whole)]:
        assert (cell.outputs, cell.code) == ([], "1")
        assert cell.outputs_truncated is not None
        assert (cell.outputs_truncated.events, cell.outputs_truncated.bytes > 10_000) == (1, True)


async def test_files_that_are_not_written_are_not_held_open(journal: Journal) -> None:
    before = descriptors()
    for turn in range(3):
        journal.write(stream(f"{turn}", "a"))
        journal.finish("a", record("a", turn))
        assert descriptors() == before + 2
        journal.tend()
        assert descriptors() == before + 2, "it was written to a moment ago"
        journal.tend()
        assert descriptors() == before
    assert len(journal.read(0, None, 99, 1 << 20).events) == 3


async def test_what_was_cut_off_or_passed_over_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = tmp_path / "hosthost.0123456789abcdef"
    directory.mkdir()
    (directory / "cells.jsonl").write_bytes(b"rubbish\n" + record("a", 1) + b'\n{"cell"')
    with caplog.at_level("WARNING", "kernelwire"):
        Journal(directory, BridgeSettings()).close()
    assert [one.getMessage() for one in caplog.records] == [
        "log_repaired session=01234567 torn_bytes=7 damaged_cells=1"
    ]

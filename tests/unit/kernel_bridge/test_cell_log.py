import errno
import os
from pathlib import Path

import pytest

from kernel_bridge import cell_log
from kernel_bridge.cell_log import EARLY, CellLog


def record(cell: str, text: str = "") -> bytes:
    return b'{"session":"s","cell":"%b","text":"%b"}' % (cell.encode(), text.encode())


def test_cells_are_found_again(tmp_path: Path) -> None:
    cells = CellLog.open(tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is created before the first cell"
    assert cells.get("a") is None
    assert cells.append("a", record("a"))
    assert cells.append("b", record("b") + b"\n")
    assert cells.append("a", record("a", "again"))
    for log in (cells, CellLog.open(tmp_path)):
        assert log.ids() == ["a", "b"]
        assert log.get("a") == record("a", "again")
        assert log.get("b") == record("b")
        assert "b" in log
        assert "c" not in log
        log.close()
    assert (tmp_path / "cells.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_line_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one line"):
        CellLog.open(tmp_path).append("a", b'{"cell":\n"a"}')


def test_every_torn_tail_is_cut(tmp_path: Path) -> None:
    whole = record("a") + b"\n"
    for cut in range(len(record("b")) + 1):
        (tmp_path / "cells.jsonl").write_bytes(whole + record("b")[:cut])
        cells = CellLog.open(tmp_path)
        assert cells.torn_bytes == cut
        assert cells.ids() == ["a"]
        assert cells.append("b", record("b"))
        assert cells.get("b") == record("b")
        cells.close()
        assert (tmp_path / "cells.jsonl").read_bytes() == whole + record("b") + b"\n"


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "cells.jsonl").write_bytes(record("a") + b"\n\x00\x00\n[]\n\xff\n" + record("b") + b"\n")
    cells = CellLog.open(tmp_path)
    assert cells.ids() == ["a", "b"]
    assert cells.damaged_lines == 3
    assert CellLog.open(tmp_path).get("b") == record("b")


def test_a_full_disk_tears_nothing(tmp_path: Path) -> None:
    full = True

    def write(fd: int, data: bytes) -> int:
        if not full:
            return os.write(fd, data)
        os.write(fd, data[:5])
        raise OSError(errno.ENOSPC, "no space")

    cells = CellLog.open(tmp_path, write=write)
    assert not cells.append("a", record("a"))
    assert "a" not in cells
    assert (tmp_path / "cells.jsonl").read_bytes() == b""
    full = False
    assert cells.append("a", record("a"))
    assert cells.get("a") == record("a")
    cells.close()


@pytest.mark.parametrize("again", [False, True])
def test_a_write_that_stops_at_any_byte_leaves_no_trace(tmp_path: Path, again: bool) -> None:
    stop_at: int | None = None

    def write(fd: int, data: bytes) -> int:
        if stop_at is None:
            return os.write(fd, data)
        written = os.write(fd, data[:stop_at]) if stop_at else 0
        if again:
            return written
        raise OSError(errno.ENOSPC, "no space")

    cells = CellLog.open(tmp_path, write=write)
    assert cells.append("a", record("a"))
    path = tmp_path / "cells.jsonl"
    for length in range(len(record("b")) + 1):
        stop_at = length
        assert not cells.append("b", record("b"))
        assert path.read_bytes() == record("a") + b"\n"
    stop_at = None
    assert cells.append("b", record("b"))
    assert (cells.get("a"), cells.get("b")) == (record("a"), record("b"))
    cells.close()
    assert path.read_bytes() == record("a") + b"\n" + record("b") + b"\n"


def early(cell: str) -> bytes:
    return b'{"cell":"%b","started_at":null}' % (EARLY + cell).encode()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is written anew for little."""
    monkeypatch.setattr(cell_log, "COMPACT_BYTES", 1000)


def test_replaced_records_do_not_fill_the_disk(tmp_path: Path, small: None) -> None:
    cells = CellLog.open(tmp_path)
    path = tmp_path / "cells.jsonl"
    for cell in ("a", "b", "c"):
        cells.append(EARLY + cell, early(cell))
    for number in range(300):
        cells.append(EARLY + "a", early("a"))
        cells.append("b", record("b", str(number)))
        assert path.stat().st_size == cells.size
        assert cells.size <= 2 * 1000 + 200
    cells.append("a", record("a"))
    for log in (cells, CellLog.open(tmp_path)):
        assert log.ids() == ["b", "a"]
        assert log.get("b") == record("b", "299")
        assert list(log.early()) == [early("c")]
        log.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells.jsonl"]


def test_it_is_written_anew_when_it_is_opened(tmp_path: Path, small: None) -> None:
    path = tmp_path / "cells.jsonl"
    lines = [record("b", str(number)) for number in range(100)]
    path.write_bytes(b"\n".join([record("a"), *lines, b"\x00damaged", record("c"), b""]))
    learnt: list[bytes] = []
    cells = CellLog.open(tmp_path, learn=learnt.append)
    assert path.read_bytes() == b"\n".join([record("a"), lines[-1], record("c"), b""])
    assert learnt == [record("a"), *lines, record("c")]
    assert cells.append("d", record("d"))
    assert [cells.get(cell) for cell in "abcd"] == [record("a"), lines[-1], record("c"), record("d")]
    cells.close()


@pytest.mark.parametrize("fault", ["rename", "write"])
def test_a_disk_without_room_for_that_keeps_the_old_file(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    cells = CellLog.open(tmp_path)
    tried = 0

    def refuse(*_: object, **__: object) -> int:
        nonlocal tried
        tried += 1
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        if fault == "rename":
            patch.setattr(Path, "rename", refuse)
        else:
            patch.setattr("builtins.open", refuse)
        for number in range(300):
            assert cells.append("a", record("a", str(number)))
            assert cells.get("a") == record("a", str(number))
        assert [entry.name for entry in tmp_path.iterdir()] == ["cells.jsonl"]
    assert 1 < tried < 10, "not at each append"
    size = cells.size
    for number in range(600):
        assert cells.append("a", record("a", str(number)))
    assert cells.size < size
    assert cells.get("a") == record("a", "599")
    cells.close()

import errno
import os
from pathlib import Path

import pytest

from kernel_bridge.cell_log import CellLog


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
    assert CellLog.open(tmp_path).ids() == ["a", "b"]
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

"""Small files on a disk that has no room."""

import errno
from pathlib import Path

import msgspec
import pytest

from kernel_bridge import files


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, f"no room for {len(data)} bytes", str(path))

    monkeypatch.setattr(files, "write_atomically", refuse)


@pytest.mark.usefixtures("full_disk")
def test_without_room_the_old_file_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_bytes(b'{"pid": 4194304}')
    files.write_on_full_disk(path, b'{"pid": 7}')
    assert msgspec.json.decode(path.read_bytes()) == {"pid": 7}


@pytest.mark.usefixtures("full_disk")
def test_without_room_and_without_an_old_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_on_full_disk(tmp_path / "host.json", b"{}")
    assert not list(tmp_path.iterdir())

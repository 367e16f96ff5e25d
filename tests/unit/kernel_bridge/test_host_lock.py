"""One holder, asked without taking anything, inherited by nobody."""

import subprocess
from pathlib import Path

import pytest

from kernel_bridge.host_lock import HostLock


def test_one_holds_and_others_see_it(tmp_path: Path) -> None:
    first, second = HostLock(tmp_path / "host.lock"), HostLock(tmp_path / "host.lock")
    assert not first.held_by_other()
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    assert second.held_by_other()
    assert not first.held_by_other()
    first.release()
    first.release()
    assert not second.held_by_other()
    assert second.acquire()
    second.release()
    assert (tmp_path / "host.lock").stat().st_mode & 0o777 == 0o600


def test_asking_takes_nothing(tmp_path: Path) -> None:
    holder, asker = HostLock(tmp_path / "host.lock"), HostLock(tmp_path / "host.lock")
    assert holder.acquire()
    holder.release()
    for _ in range(3):
        assert not asker.held_by_other()
    assert holder.acquire()
    holder.release()


def test_no_child_keeps_it(tmp_path: Path) -> None:
    lock = HostLock(tmp_path / "host.lock")
    assert lock.acquire()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"x")
        child.stdin.flush()
        assert child.stdout.read(1) == b"x", "it runs, so its exec is over"
        lock.release()
        assert not lock.held_by_other()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "host.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        HostLock(tmp_path / "host.lock").acquire()
    assert not (tmp_path / "elsewhere").exists()

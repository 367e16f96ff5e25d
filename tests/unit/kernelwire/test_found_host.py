"""Who holds a state directory: only the process that has the lock is taken for the host."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from kernel_bridge.host_file import HOST_FILE, HOST_LOCK, HostFile
from kernel_bridge.host_lock import HostLock
from kernelwire.found_host import FoundHost, is_held

BOUND_S = 20.0
HOLDER = """
import sys
from pathlib import Path
from kernel_bridge.host_lock import HostLock
lock = HostLock(Path(sys.argv[1]))
assert lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def _holder(state_dir: Path) -> "Generator[subprocess.Popen[str]]":
    """Another process with the lock; it lets go when it is killed, or at the end of the block."""
    command = [sys.executable, "-c", HOLDER, str(state_dir / HOST_LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def _say(state_dir: Path, pid: int, *, owned: bool) -> None:
    (state_dir / HOST_FILE).write_bytes(msgspec.json.encode(HostFile(pid, "1", owned)))


@pytest.mark.parametrize("owned", [True, False])
async def test_the_host_is_found_signalled_and_seen_to_end(tmp_path: Path, owned: bool) -> None:
    with _holder(tmp_path) as process:
        _say(tmp_path, process.pid, owned=owned)
        found = FoundHost.find(tmp_path)
        assert found is not None
        assert (found.pid, found.owned) == (process.pid, owned)
        waiting = asyncio.create_task(found.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        found.signal(signal.SIGKILL)
        async with asyncio.timeout(BOUND_S):
            assert await waiting is None
        found.close()
        found.close()
        found.signal(signal.SIGKILL)  # nothing happens
    assert not is_held(tmp_path)


async def test_nobody_else_is_taken_for_it(tmp_path: Path) -> None:
    """host.json is of a host that was killed, and its number is another process's by now."""
    assert FoundHost.find(tmp_path) is None
    _say(tmp_path, os.getpid(), owned=True)
    assert FoundHost.find(tmp_path) is None  # nobody holds the lock
    with _holder(tmp_path) as process:
        assert is_held(tmp_path)
        assert FoundHost.find(tmp_path) is None  # the holder is another one, which has not said who it is yet
        # whoever only asks has the file open too
        asking = os.open(tmp_path / HOST_LOCK, os.O_RDWR)
        assert FoundHost.find(tmp_path) is None
        os.close(asking)
        (tmp_path / HOST_FILE).write_bytes(b"{")
        assert FoundHost.find(tmp_path) is None
        _say(tmp_path, process.pid, owned=True)
        found = FoundHost.find(tmp_path)
        assert found is not None
        found.close()
    assert FoundHost.find(tmp_path) is None  # it is gone


async def test_a_lock_on_another_file_does_not_count(tmp_path: Path) -> None:
    other = HostLock(tmp_path / "serve.lock")
    assert other.acquire()
    _say(tmp_path, os.getpid(), owned=True)
    with _holder(tmp_path):
        assert FoundHost.find(tmp_path) is None
    other.release()

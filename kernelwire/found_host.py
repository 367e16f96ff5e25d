"""A host that this `serve` did not start: one that an earlier `serve` left behind, or a `kernelwire host`."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec

from kernel_bridge import pidfd
from kernel_bridge.host_file import HOST_FILE, HOST_LOCK, HostFile
from kernel_bridge.host_lock import HostLock

_PROC = Path("/proc")


class FoundHost:
    """A running host that is no child of this process. `close` frees the descriptor; nothing else ends with it.

    owned: it belongs to `serve`, so this one may end it. Else it is on its own, and whoever started it ends it.
    """

    def __init__(self, descriptor: int, pid: int, *, owned: bool) -> None:
        self.pid = pid
        self.owned = owned
        self._descriptor = descriptor
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._on_end)

    @classmethod
    def find(cls, state_dir: Path) -> "FoundHost | None":
        """The host that holds `state_dir`; None if there is none, or it is only just starting or ending.

        Raises OSError (no descriptors left).
        """
        try:
            file = msgspec.json.decode((state_dir / HOST_FILE).read_bytes(), type=HostFile)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        descriptor = pidfd.open_pid(file.pid)
        if descriptor is None:
            return None
        # First the descriptor, then the look: the number may be another's by now, who must not get our signals
        if _is_it(file, state_dir):
            return cls(descriptor, file.pid, owned=file.owned)
        os.close(descriptor)
        return None

    async def ready(self, timeout_s: float) -> None:
        """At once: whether it answers, its pulse will tell."""

    async def wait(self) -> int | None:
        """Return when it has ended; how is not known."""
        await self._ended.wait()
        return None

    def signal(self, number: signal.Signals) -> None:
        if self._descriptor >= 0:
            pidfd.send(self._descriptor, number)

    def close(self) -> None:
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._ended.set()


def is_held(state_dir: Path) -> bool:
    """Whether any host holds `state_dir`. Raises OSError."""
    return HostLock(state_dir / HOST_LOCK).held_by_other()


def host_sandbox(state_dir: Path) -> str:
    """What the host that runs said of the sandbox that its kernels run in; empty if it has said nothing."""
    try:
        return msgspec.json.decode((state_dir / HOST_FILE).read_bytes(), type=HostFile).sandbox
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _is_it(file: HostFile, state_dir: Path) -> bool:
    """Whether the process of that number is the one that wrote the file, and still the host."""
    if file.start_time:
        return pidfd.start_time(file.pid) == file.start_time and is_held(state_dir)
    return _holds(file.pid, state_dir / HOST_LOCK)  # of an older version, which anybody of its user may look into


def _holds(pid: int, lock: Path) -> bool:
    """Whether this very process holds the lock, which F_OFD_GETLK does not say. Source: proc_pid_fdinfo(5)."""
    try:
        inode = lock.stat().st_ino
        entries = [*(_PROC / str(pid) / "fdinfo").iterdir()]
    except OSError:  # it ends, or is another user's
        return False
    return any(_is_lock_on(line, inode) for entry in entries for line in _lines(entry))


def _lines(entry: Path) -> list[bytes]:
    try:
        return entry.read_bytes().splitlines()
    except OSError:  # the descriptor is closed by now
        return []


def _is_lock_on(line: bytes, inode: int) -> bool:
    """`lock:  1: OFDLCK ADVISORY  WRITE -1 fe:00:2146314 0 EOF`"""
    words = line.split()
    return words[:1] == [b"lock:"] and b"OFDLCK" in words and words[-3].endswith(b":%d" % inode)

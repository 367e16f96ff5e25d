"""What a kernel's shim writes into the kernel's directory: kernel.json when it starts, exit.json when it ended."""

import errno
import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from kernel_bridge.results import Exit

T = TypeVar("T", bound=Struct)

MAX_BYTES = 256 << 10
"""far more than a shim writes"""
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR)


class KernelRecord(Struct, frozen=True):
    """kernel.json: which process is the kernel. Written before the kernel runs its first instruction."""

    kid: str
    session: str
    pid: int
    """also its process group and session, see setsid(2)"""
    start_time: int
    """field 22 of /proc/PID/stat, clock ticks since boot: with `pid` it names one process for good"""
    shim_pid: int
    argv: list[str]
    v: int = 1


class ExitRecord(Struct, frozen=True):
    """exit.json: how the kernel ended. All null: the shim was killed, so nobody knows."""

    code: int | None = None
    """0..255; 126 or 127 also when it could not be started, as shells have it; `stderr` then says why"""
    signal: int | None = None
    oom: bool | None = None
    stderr: str = ""
    """the last lines of stdout and stderr as one, 16 KiB at most"""
    time: str | None = None
    """when the shim saw the end: RFC 3339, UTC, milliseconds"""
    v: int = 1

    @property
    def exit(self) -> Exit:
        """The facts that the wire contract shows."""
        return Exit(self.code, self.signal, self.oom)


def read_record(kernel_dir: Path) -> KernelRecord | None:
    """kernel.json of `kernel_dir`; None if there is none or it is damaged. Raises OSError if it cannot be read."""
    return _read(kernel_dir / "kernel.json", KernelRecord)


def read_exit(kernel_dir: Path) -> ExitRecord | None:
    """exit.json of `kernel_dir`; None if there is none or it is damaged. Raises OSError if it cannot be read."""
    return _read(kernel_dir / "exit.json", ExitRecord)


def _read(path: Path, kind: type[T]) -> T | None:
    """Code in a kernel may have the rights to put anything there: a pipe, a directory, a file without an end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in NO_FILE:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None

"""What lies in a kernel's directory for the next host: kernel.json and exit.json, which its shim writes when it starts
and when it has ended, and info.json, which its host writes when it is ready."""

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from kernel_bridge.files import write_atomically
from kernel_bridge.results import Exit

log = logging.getLogger("kernelwire.bridge.kernel_record")

T = TypeVar("T", bound=Struct)

Pid = Annotated[int, Meta(ge=1, le=1 << 22)]
"""what Linux calls a process at most (PID_MAX_LIMIT); a number beyond it may not even be asked for"""
MAX_BYTES = 256 << 10
"""far more than anybody writes there"""
INFO = "info.json"
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR)


class KernelRecord(Struct, frozen=True):
    """kernel.json: which process is the kernel. Written before the kernel runs its first instruction."""

    kid: str
    session: str
    """empty as long as it waits in the pool: its host writes the record anew when a session gets it"""
    pid: Pid
    """also its process group and session, see setsid(2)"""
    start_time: int
    """field 22 of /proc/PID/stat, clock ticks since boot: with `pid` it names one process for good"""
    shim_pid: Pid
    argv: list[str]
    v: int = 1


class ExitRecord(Struct, frozen=True):
    """exit.json: how the kernel ended. All null: the shim was killed, so nobody knows."""

    code: int | None = None
    """0..255; 126 or 127 also when it could not be started, as shells have it; `stderr` then says why"""
    signal: int | None = None
    oom: bool | None = None
    limit: str | None = None
    """the limit that ended it, by the name of its setting in `bridge.limits`"""
    stderr: str = ""
    """the last lines of stdout and stderr as one, 16 KiB at most"""
    time: str | None = None
    """when the shim saw the end: RFC 3339, UTC, milliseconds"""
    v: int = 1

    @property
    def exit(self) -> Exit:
        """The facts that the wire contract shows."""
        return Exit(self.code, self.signal, self.oom, self.limit)


def read_record(kernel_dir: Path) -> KernelRecord | None:
    """kernel.json of `kernel_dir`; None if there is none or it is damaged. Raises OSError if it cannot be read."""
    return _read(kernel_dir / "kernel.json", KernelRecord)


def write_assigned(kernel_dir: Path, record: KernelRecord, session: str) -> KernelRecord:
    """Have kernel.json say that the kernel is `session`'s from now on; returns what is written. Raises OSError."""
    assigned = msgspec.structs.replace(record, session=session)
    write_atomically(kernel_dir / "kernel.json", msgspec.json.encode(assigned))
    with contextlib.suppress(OSError):
        os.utime(kernel_dir / INFO)  # a next host takes its time for that of the session's kernel
    return assigned


def read_exit(kernel_dir: Path) -> ExitRecord | None:
    """exit.json of `kernel_dir`; None if there is none or it is damaged. Raises OSError if it cannot be read."""
    return _read(kernel_dir / "exit.json", ExitRecord)


def read_info(kernel_dir: Path) -> bytes | None:
    """info.json, the kernel_info_reply; None if there is none or it is damaged. Raises OSError if it cannot be read."""
    data = read_bounded(kernel_dir / INFO)
    try:
        msgspec.json.decode(data or b"", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return data


def write_info(kernel_dir: Path, content: bytes) -> None:
    """Keep a kernel_info_reply, as the kernel wrote it; one that is far too long as an empty one. A full disk costs no
    kernel: the next host then has to ask."""
    try:
        write_atomically(kernel_dir / INFO, content if len(content) <= MAX_BYTES else b"{}")
    except OSError as error:
        log.warning("kernel_info_not_kept kernel=%s error=%s", kernel_dir.name, error)


def read_bounded(path: Path) -> bytes | None:
    """A small regular file; None if there is none, or if it is something else or too long. Raises OSError.

    Code in a kernel may have the rights to put anything there: a pipe, a directory, a file without an end.
    """
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
    return data if len(data) <= MAX_BYTES else None


def _read(path: Path, kind: type[T]) -> T | None:
    data = read_bounded(path)
    try:
        return msgspec.json.decode(data or b"", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return None

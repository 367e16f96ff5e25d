"""host.lock: the one host of a state directory holds it, and its kernels' shims ask whether anybody does.

An open file description lock: F_OFD_GETLK asks without taking anything, which flock(2) cannot, and the lock ends with
the descriptor, so also with a killed process. Source: fcntl(2), "Open file description locks".
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

FLOCK = "hhqqi0q"
"""struct flock: l_type, l_whence, l_start, l_len, l_pid (0 for these locks), padded to its alignment"""


class HostLock:
    """An exclusive lock on the file `path`, which is created (0600) and never removed. Not for use by two threads.

    No program that the holder starts inherits the descriptor.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> bool:
        """Take the lock at once or not at all: False if another holds it, True also if this object does already.

        Raises OSError if the file cannot be opened. `release` gives it back.
        """
        if self._fd is not None:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        self._fd = fd
        return True

    def held_by_other(self) -> bool:
        """Whether anyone but this object holds the lock; takes nothing. Raises OSError if the file cannot be read."""
        if self._fd is not None:
            return _is_held(self._fd)
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return _is_held(fd)
        finally:
            os.close(fd)

    def release(self) -> None:
        """Give the lock back; idempotent."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _whole_file(kind: int) -> bytes:
    return struct.pack(FLOCK, kind, os.SEEK_SET, 0, 0, 0)


def _is_held(fd: int) -> bool:
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
    return struct.unpack(FLOCK, answer)[0] != fcntl.F_UNLCK

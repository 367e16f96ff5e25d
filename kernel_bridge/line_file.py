"""A file of lines that only grows, and never keeps half a line."""

import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path

Write = Callable[[int, bytes], int]
"""os.write or a stand-in that fails (tests)"""

_BLOCK_BYTES = 256 << 10
_REASONS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "quota",
    errno.EFBIG: "file_too_large",
    errno.EIO: "io_error",
}


class StoreFailed(Exception):
    """A line could not be stored; the file is as it was. `reason` is one word: disk_full, short_write, ..."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LineFile:
    """Appends whole lines: one write() each, no fsync (the page cache outlives the process). Owns its descriptor:
    close() it.

    The file is opened, and created with mode 0600, by the first append. `size` is where the next line begins; bytes
    behind it are of a line that failed and are cut off before anything else is written.
    """

    def __init__(self, path: Path, size: int = 0, *, write: Write = os.write) -> None:
        self.path = path
        self.size = size
        self._write = write
        self._fd = -1
        self._torn = False

    def append(self, line: bytes) -> int:
        """Store `line`, which ends with a newline, and return its offset.

        Raises:
            StoreFailed: no room, a limit, a broken disk (write(2): ENOSPC, EDQUOT, EFBIG, EIO), or a short write.
        """
        try:
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._fd = os.open(self.path, flags, 0o600)
                self._torn = True  # for all that is known: what is behind `size` is none of ours
            if self._torn:
                self._cut_back()
            self._torn = True
            written = self._write(self._fd, line)
            if written != len(line):
                self._cut_back()
                raise StoreFailed("short_write")
        except OSError as error:
            self._try_to_cut_back()
            raise StoreFailed(_reason(error)) from error
        self._torn = False
        offset = self.size
        self.size += len(line)
        return offset

    def close(self) -> None:
        """Close the descriptor; a later append opens the file again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _cut_back(self) -> None:
        os.ftruncate(self._fd, self.size)
        self._torn = False

    def _try_to_cut_back(self) -> None:
        """After an error. If this fails too, the next append tries again before it writes."""
        if self._fd >= 0 and self._torn:
            try:
                self._cut_back()
            except OSError:
                self._torn = True


def cut_torn_tail(path: Path) -> tuple[int, int]:
    """Cut off a last line without its newline. Returns the size then, and how many bytes were cut.

    Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = os.fstat(fd).st_size
        keep = last_line_end(fd, size)
        if keep < size:
            os.ftruncate(fd, keep)
        return keep, size - keep
    finally:
        os.close(fd)


def last_line_end(fd: int, end: int) -> int:
    """Offset behind the last newline before `end`; 0 if there is none."""
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def line_blocks(
    path: Path, start: int, end: int, block_bytes: int = _BLOCK_BYTES, first_bytes: int | None = None
) -> Generator[bytes, None, None]:
    """The bytes from `start`, where a line begins, to `end`, in blocks of whole lines.

    A block is about `block_bytes`, or one line if that is longer; the first one about `first_bytes`, if that is less,
    and the next ones double until `block_bytes`. What follows the last newline is left out. The file is open until the
    generator is exhausted or closed. Raises OSError.
    """
    size = min(first_bytes or block_bytes, block_bytes)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        carried: list[bytes] = []
        while start < end:
            data = os.pread(fd, min(size, end - start), start)
            if not data:
                return
            start += len(data)
            size = min(2 * size, block_bytes)
            cut = data.rfind(b"\n") + 1
            if cut:
                yield b"".join([*carried, data[:cut]]) if carried or cut < len(data) else data
                carried = [data[cut:]] if cut < len(data) else []
            else:
                carried.append(data)
    finally:
        os.close(fd)


def _reason(error: OSError) -> str:
    number = error.errno or 0
    return _REASONS.get(number) or errno.errorcode.get(number, "error").lower()

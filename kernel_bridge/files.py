"""Small files that are there whole or not at all, for their owner only."""

import errno
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`, mode 0600; readers see the old file or the new one, never a part. Raises OSError.

    Source: rename(2). A power cut may still lose it: nothing is synced.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_on_full_disk(path: Path, data: bytes) -> None:
    """As write_atomically; on a disk without room `data` goes into the place of the old file's, padded with newlines.

    For JSON of about one length, with which a process must be able to start. Raises OSError, also if there is no room
    and no old file.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, data.ljust(os.fstat(descriptor).st_size, b"\n"), 0)
        finally:
            os.close(descriptor)

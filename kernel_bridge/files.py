"""Small files that are there whole or not at all, for their owner only."""

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

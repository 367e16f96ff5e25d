"""The secret of the hop, `<state>/hop-secret`: made by the host, shown by every front in its hello."""

import os
import secrets
import stat
from pathlib import Path

from kernel_bridge.files import write_atomically

NAME = "hop-secret"


def make_secret(state_dir: Path) -> bytes:
    """The secret, made at the first start. Call it with the host's lock held. Raises OSError."""
    try:
        return read_secret(state_dir)
    except FileNotFoundError:
        secret = secrets.token_hex(32).encode()
        write_atomically(state_dir / NAME, secret)
        return secret


def read_secret(state_dir: Path) -> bytes:
    """The secret. Raises FileNotFoundError before the first host, PermissionError if others could read or change it."""
    descriptor = os.open(state_dir / NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            raise PermissionError(f"{state_dir / NAME}: must be ours alone (chmod 600)")
        return file.read(256)

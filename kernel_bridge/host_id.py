"""The host id: what the ids of a state directory's sessions begin with, and by which its cgroups are called."""

import logging
import re
import secrets
from pathlib import Path

from kernel_bridge.files import write_atomically

FILE = "host-id"
SHAPE = re.compile(r"[A-Za-z0-9_-]{8}")

log = logging.getLogger("kernelwire.bridge.host_id")


def read(state_dir: Path) -> str | None:
    """None if no host was ever here, or a fault has damaged the file. Raises OSError."""
    try:
        found = (state_dir / FILE).read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not SHAPE.fullmatch(found):
        log.warning("host_id_damaged")
        return None
    return found


def take(state_dir: Path) -> str:
    """8 characters, made once, and anew where they are damaged: sessions with the old ones are found all the same.
    Raises OSError."""
    found = read(state_dir)
    if found is None:
        found = secrets.token_hex(4)
        write_atomically(state_dir / FILE, found.encode())
    return found

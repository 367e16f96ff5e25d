"""`<state>/serve.json`: where the service of a state directory answers, for programs of the same user.

The `serve` that holds `serve.lock` writes it when it answers and removes it at its end. While nobody holds the lock
the file is a leftover of one that was killed.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from auth.private_files import read_private
from kernel_bridge.files import write_atomically
from kernel_bridge.host_lock import HostLock

NAME = "serve.json"
LOCK = "serve.lock"


class ServeFile(Struct, frozen=True):
    url: str
    pid: int
    version: str
    v: int = 1
    certificate: str = ""
    """the file of its certificate, if it speaks TLS: who calls from here trusts that one, whatever name it has"""


def write(state_dir: Path, file: ServeFile) -> None:
    """With the lock held. Mode 0600. Raises OSError."""
    write_atomically(state_dir / NAME, msgspec.json.encode(file))


def remove(state_dir: Path) -> None:
    """With the lock held. Idempotent. Raises OSError."""
    (state_dir / NAME).unlink(missing_ok=True)


def find(state_dir: Path) -> ServeFile | None:
    """The service that runs now and answers; None: there is none, or not yet.

    Raises StateDirInsecure if somebody else could have written the file.
    """
    try:
        file = msgspec.json.decode(read_private(state_dir / NAME), type=ServeFile)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return file if is_running(state_dir) else None


def is_running(state_dir: Path) -> bool:
    """Whether a `serve` holds the state directory, be it that it only starts. Raises OSError."""
    return HostLock(state_dir / LOCK).held_by_other()

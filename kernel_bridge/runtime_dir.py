"""The runtime directory: sockets, each kernel's in a directory of its own, on a short path, for their owner only.

`$XDG_RUNTIME_DIR/kw-<8 hex>/`; where there is no such directory of ours, others cannot pass it or its path is too long,
`/run/kw-<uid>-<8 hex>/`, and `/tmp/kw-<uid>-<8 hex>/` for a service that may not write to /run. `<state>/runtime` holds
its name. Sources: XDG Base Directory Specification, Filesystem Hierarchy Standard 3.0 section 3.15, unix(7).
"""

import os
import re
import secrets
import stat
from pathlib import Path

from kernel_bridge import privileges
from kernel_bridge.connection import SOCKET_PATH_BYTES
from kernel_bridge.files import write_atomically
from kernel_bridge.ownership import remove_tree

NAME_FILE = "runtime"
PASSABLE = 0o711
"""its mode where kernels have users of their own, who go through it to their sockets and cannot list it"""
HOST_SOCKET = "host"
"""name of the host's socket in the directory"""
SOCKET_NAME_BYTES = 32
"""the longest name of a socket in the directory, `<kid>/s-N`"""
SYSTEM = Path("/run")
"""the administrator's; no sandbox lets a kernel make files there"""
LAST_RESORT = Path("/tmp")  # noqa: S108  the one place that is short and always there; mkdir is exclusive and checked
NAME = re.compile(r"kw-(\d+-)?[0-9a-f]{8}")


def create(state_dir: Path, *, passable: bool = False) -> Path:
    """The runtime directory of `state_dir`: the one that is there, since living kernels have their sockets in it, or
    a new one. `remove` ends it. `passable`: a new one is made where other users can come.

    Raises OSError if none can be made.
    """
    try:
        return find(state_dir)
    except OSError:
        path = _make(passable=passable)
    try:
        write_atomically(state_dir / NAME_FILE, os.fsencode(path))
    except OSError:
        path.rmdir()
        raise
    return path


def find(state_dir: Path) -> Path:
    """The runtime directory that `create` made for `state_dir`.

    Raises FileNotFoundError if there is none, PermissionError if what is there is not a directory of ours alone.
    """
    path = Path(os.fsdecode((state_dir / NAME_FILE).read_bytes()))
    if not path.is_absolute() or not NAME.fullmatch(path.name):
        raise PermissionError(f"{state_dir / NAME_FILE} does not name a runtime directory")
    _check(path)
    return path


def remove(path: Path) -> None:
    """Remove the directory with the sockets in it; nothing happens if it is gone. Raises OSError, as `find` does."""
    try:
        _check(path)
    except FileNotFoundError:
        return
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink(missing_ok=True)
    path.rmdir()


def _make(*, passable: bool) -> Path:
    base = _session_directory()
    if base is not None and passable and privileges.obstacle(base, 0o001) is not None:  # as systemd makes it
        base = None
    path = base / f"kw-{secrets.token_hex(4)}" if base is not None else None
    if path is None or len(os.fsencode(path)) + 1 + SOCKET_NAME_BYTES > SOCKET_PATH_BYTES:
        return _make_in_common(f"kw-{os.geteuid()}-{secrets.token_hex(4)}")
    path.mkdir(mode=0o700)  # exclusive: whatever has this name already, a symbolic link too, is an error
    _check(path)
    return path


def _make_in_common(name: str) -> Path:
    try:
        path = SYSTEM / name
        path.mkdir(mode=0o700)
    except OSError:  # not ours to write to, or not there
        path = LAST_RESORT / name
        path.mkdir(mode=0o700)
    _check(path)
    return path


def _session_directory() -> Path | None:
    """$XDG_RUNTIME_DIR, if it is what the specification says: absolute, ours, and writable by nobody else."""
    name = os.environ.get("XDG_RUNTIME_DIR", "")
    if not name.startswith("/"):
        return None
    path = Path(name)
    try:
        found = path.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return path if ours and os.access(path, os.W_OK | os.X_OK) else None


def _check(path: Path) -> None:
    """Raises FileNotFoundError, or PermissionError unless `path` is a directory that only we can list and change."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{path} is not a directory")
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077 and stat.S_IMODE(found.st_mode) != PASSABLE:
        raise PermissionError(f"{path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}, not 0700)")

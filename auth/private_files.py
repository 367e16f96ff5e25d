"""Private files: a directory and files in it that nobody but their owner can read.

Everything is checked by what the kernel says of the open file or of the link itself, never of what a symbolic
link leads to.
"""

import contextlib
import os
import secrets
import shlex
import stat
from pathlib import Path

from auth.errors import StateDirInsecure, StateDirUnusable

_MAX_BYTES = 1 << 20
_AS_MADE = 0o755
"""as mkdir, a container's volume or systemd's StateDirectory= leave a directory that is empty"""
PASSABLE = 0o711
"""mode of a directory through which users of sessions get to what is theirs: they can neither list it nor write"""


def make_private_dir(path: Path) -> None:
    """Makes `path` (mode 0700, parents as the umask says) or checks the one that is there. An empty one that others
    could read, and not change, is made private.

    Raises: StateDirInsecure (others may enter it, another owner, a symbolic link), StateDirUnusable.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except FileExistsError:
        found = path.lstat()
    except OSError as error:
        raise StateDirUnusable(path, error.strerror or str(error)) from error
    if stat.S_ISLNK(found.st_mode):
        raise StateDirInsecure(path, "is a symbolic link", "name the directory that it leads to")
    if not stat.S_ISDIR(found.st_mode):
        raise StateDirUnusable(path, "it is not a directory")
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == _AS_MADE and not any(path.iterdir()):
        path.chmod(0o700)  # nobody else could put anything there
        return
    _check(path, found, "chmod 700", also=PASSABLE)


def read_private(path: Path) -> bytes:
    """The file's content (at most 1 MiB).

    Raises: FileNotFoundError, StateDirInsecure (readable by others, another owner, a symbolic link),
    StateDirUnusable.
    """
    try:
        # NONBLOCK: a pipe of that name must not hold the start up
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise StateDirInsecure(path, "is a symbolic link", "put the file itself there") from error
        raise StateDirUnusable(path, error.strerror or str(error)) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise StateDirUnusable(path, "it is not a file")
        _check(path, found, "chmod 600")
        with open(fd, "rb", closefd=False) as file:
            return file.read(_MAX_BYTES)
    finally:
        os.close(fd)


def create_once(path: Path, content: bytes) -> bytes:
    """Makes the file (mode 0600) with `content` unless it is there; what the file then holds.

    Of several processes that do so at once all get the same answer. The file is seen whole or not at all: it is
    written under another name, with O_EXCL, and then linked, which never replaces (link(2)).
    Raises: StateDirInsecure, StateDirUnusable.
    """
    for _ in range(3):  # more than one round only if another process removes the file meanwhile
        try:
            return read_private(path)
        except FileNotFoundError:
            _link_new(path, content)
    raise StateDirUnusable(path, "another process keeps removing it")


def replace(path: Path, content: bytes) -> None:
    """Put a file (mode 0600) with `content` in the place of `path`, whole or not at all: it is written under another
    name and then renamed. Raises: StateDirUnusable."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write_new(draft, content)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_dir(path.parent)
    except OSError as error:
        raise StateDirUnusable(path, error.strerror or str(error)) from error


def _write_new(path: Path, content: bytes) -> None:
    """Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(content)
        file.flush()
        os.fsync(fd)


def _link_new(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write_new(draft, content)
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_dir(path.parent)
    except OSError as error:
        raise StateDirUnusable(path, error.strerror or str(error)) from error


def _sync_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check(path: Path, found: os.stat_result, command: str, also: int = 0o700) -> None:
    if found.st_uid != os.geteuid():
        raise StateDirInsecure(path, f"belongs to user {found.st_uid}", f"only user {os.geteuid()} may own it")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 and mode != also:
        raise StateDirInsecure(
            path, f"is open to other users (mode {mode:04o})", f"run `{command} {shlex.quote(str(path))}`"
        )

"""Trees of files in which code of a kernel could do as it liked: walked, given away, removed. Follows no links.

Nothing here calls itself, and there is one open directory at a time: a cell can nest directories as deep as it likes.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNERS = 0o700


def walk(path: Path, *, force: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Each directory, `path` the last and all others before the one that they are in: a descriptor of it, which is
    good until the next one is asked for, and the names of all that is in it.

    force: make each ours, and open to us, before it is entered; else what is closed to us raises. Raises OSError:
    also if a directory is moved meanwhile.
    """
    if force:
        _open_up(str(path), None)
    here = os.open(path, _DIRECTORY)
    try:
        way = [_look(here)]
        while way:
            place, names, below = way[-1]
            if below:
                if force:
                    _open_up(below[-1], here)
                deeper = os.open(below.pop(), _DIRECTORY, dir_fd=here)
                os.close(here)
                here = deeper
                way.append(_look(here))
                continue
            yield here, names
            way.pop()
            if way:
                above = os.open("..", _DIRECTORY, dir_fd=here)
                os.close(here)
                here = above
                if _place(here) != way[-1][0]:
                    raise OSError(errno.ESTALE, f"a directory below {path} was moved, out of {place}")
    finally:
        os.close(here)


def give_tree(path: Path, uid: int, gid: int) -> None:
    """Give a directory with all that is in it to a user. Raises OSError.

    A file with several names is left as it is: one of them may lie elsewhere. The directory comes last, so that what
    was cut short is done again.
    """
    for here, names in walk(path):
        for name in names:
            found = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                continue
            os.chown(name, uid, gid, dir_fd=here, follow_symlinks=False)
    os.chown(path, uid, gid, follow_symlinks=False)


def remove_tree(path: Path) -> None:
    """Remove a directory in which code of a kernel could do as it liked; the kernel must be gone. Blocks.

    Raises OSError (NotADirectoryError: a link or a file); what could be removed is gone then.
    """
    failed: OSError | None = None
    for here, names in walk(path, force=True):
        for name in names:
            try:
                _remove(name, here)
            except OSError as error:
                failed = failed or error
    if failed is not None:
        raise failed
    path.rmdir()


def _remove(name: str, here: int) -> None:
    try:
        os.unlink(name, dir_fd=here)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=here)


def _look(here: int) -> tuple[tuple[int, int], list[str], list[str]]:
    """Which directory it is, the names in it, and those of directories."""
    names: list[str] = []
    below: list[str] = []
    with os.scandir(here) as entries:
        for entry in entries:
            names.append(entry.name)
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
    return _place(here), names, below


def _place(here: int) -> tuple[int, int]:
    found = os.fstat(here)
    return found.st_dev, found.st_ino


def _open_up(name: str, here: int | None) -> None:
    """A directory with the sticky bit is its owner's to empty: to override that would take one capability more."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISDIR(found.st_mode):
            return
        itself = f"/proc/self/fd/{descriptor}"
        if found.st_uid != os.geteuid():
            with contextlib.suppress(PermissionError):  # it may be open to us all the same
                os.chown(itself, os.geteuid(), os.getegid())
                found = os.fstat(descriptor)
        if found.st_uid == os.geteuid() and found.st_mode & _OWNERS != _OWNERS:
            Path(itself).chmod(_OWNERS)
    finally:
        os.close(descriptor)

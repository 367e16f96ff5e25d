"""Trees of files that belong to users of sessions: given away, taken back, removed. Follows no links."""

import os
import shutil
import stat
from pathlib import Path


def give_tree(path: Path, uid: int, gid: int) -> None:
    """Give a directory with all that is in it to a user. Raises OSError.

    A file with several names is left as it is: one of them may lie elsewhere. The directory comes last, so that what
    was cut short is done again.
    """
    for _, directories, files, here in os.fwalk(path, topdown=False, onerror=_fail, follow_symlinks=False):
        for name in (*files, *directories):
            found = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                continue
            os.chown(name, uid, gid, dir_fd=here, follow_symlinks=False)
    os.chown(path, uid, gid, follow_symlinks=False)


def remove_tree(path: Path) -> None:
    """Remove a directory in which code of a kernel could do as it liked; the kernel must be gone. Blocks.

    Raises OSError; what could be removed is gone then.
    """
    try:
        shutil.rmtree(path)
    except OSError:
        if not os.path.lexists(path):
            raise
        # A directory with the sticky bit is its owner's to empty: to override that would take one capability more.
        _take_back(path)
        shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            raise


def _take_back(path: Path) -> None:
    try:
        give_tree(path, os.geteuid(), os.getegid())
    except OSError:
        return


def _fail(error: OSError) -> None:
    raise error

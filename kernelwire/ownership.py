"""Whose the state directory is: root gives it, with what is in it, to the user that the service runs as, or takes it
back.

Links are not followed, a file with several names is left as it is (one of them may lie elsewhere), and what belongs to
users of sessions stays theirs. Each file is held open, by a descriptor that reads nothing, from the look at it to the
change: nobody can put another one in its place. Sources: open(2) "O_PATH", chown(2).
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from kernel_bridge import runtime_dir
from kernel_bridge.host_file import HOST_LOCK, SERVE_LOCK
from kernel_bridge.host_lock import HostLock
from kernel_bridge.ownership import walk
from kernelwire.credentials import Identity
from kernelwire.errors import CannotServe
from kernelwire.service_user import ServiceUser, stranger
from kernelwire.state_names import HOME, TREES, is_ours


def hand_over(state_dir: Path, user: ServiceUser, end_kernels: Callable[[Identity], None]) -> None:
    """Make the state directory if need be, and give it to `user`. Only for root.

    end_kernels: called, when another user's service has worked there, to end the kernels that it may have left, which
    the new one could not signal.
    Raises CannotServe (also: something of the other user still works on it), OSError.
    """
    new = user.owner
    _make(state_dir, new)
    found = state_dir.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return  # a link or a file: whoever uses it refuses it
    old = Identity(found.st_uid, found.st_gid)
    if old.uid == new.uid:
        _give_top(state_dir, {0}, new)  # what an interrupted change, or a command of root's, has left
        return
    why = stranger(state_dir, user)
    if why:
        raise CannotServe(why)
    for name in (SERVE_LOCK, HOST_LOCK):
        if HostLock(state_dir / name).held_by_other():
            raise CannotServe(
                f"{state_dir} belongs to user {old.uid}, and a process of that user still works on it: end it, "
                f"or go on with serve.user = {old.uid}"
            )
    if (state_dir / "kernels").is_dir():
        end_kernels(old)
    _give_sockets(state_dir, old, new)
    givers = {0, old.uid}
    for name in TREES:
        _give_tree(state_dir / name, givers, new)
    _give_top(state_dir, givers, new)
    _give_one(state_dir, givers, new)  # last: what was cut short is done again


def make_home(state_dir: Path, user: ServiceUser) -> None:
    """For programs of a user without an account. Called as that user. Raises OSError."""
    if user.identity is not None and not user.home:
        (state_dir / HOME).mkdir(mode=0o700, exist_ok=True)


def _make(state_dir: Path, new: Identity) -> None:
    """Raises OSError."""
    if not os.path.lexists(state_dir):
        _make_way(state_dir.parent, new)
        state_dir.mkdir(mode=0o700)
        os.chown(state_dir, new.uid, new.gid, follow_symlinks=False)


def _make_way(path: Path, new: Identity) -> None:
    """This directory and those above it, as far as they are not there. Who has to pass them can, whatever root's umask
    is."""
    if path.exists():
        return
    _make_way(path.parent, new)
    path.mkdir(mode=0o755)
    if new.uid != 0:
        path.chmod(0o755)


def _give_top(state_dir: Path, givers: Collection[int], new: Identity) -> None:
    """What lies in the directory itself and is known; other files there are whoever's they are."""
    for entry in state_dir.iterdir():
        if is_ours(entry.name):
            _give_one(entry, givers, new)


def _give_tree(place: Path, givers: Collection[int], new: Identity) -> None:
    """The directory comes after what is in it."""
    if place.is_symlink() or not place.is_dir():
        return
    for here, names in walk(place):
        for name in names:
            _give_name(name, here, givers, new)
    _give_one(place, givers, new)


def _give_sockets(state_dir: Path, old: Identity, new: Identity) -> None:
    """The runtime directory, if it is the old owner's."""
    for path in _runtime(state_dir):
        try:
            found = path.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == old.uid:
            _give_tree(path, {old.uid}, new)


def _runtime(state_dir: Path) -> Iterator[Path]:
    try:
        path = Path(os.fsdecode((state_dir / runtime_dir.NAME_FILE).read_bytes()))
    except OSError:
        return
    if path.is_absolute() and runtime_dir.NAME.fullmatch(path.name):
        yield path


def _give_one(path: Path, givers: Collection[int], new: Identity) -> None:
    _give_name(str(path), None, givers, new)


def _give_name(name: str, directory: int | None, givers: Collection[int], new: Identity) -> None:
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return  # removed meanwhile
    try:
        found = os.fstat(descriptor)
        if found.st_uid not in givers or found.st_uid == new.uid:
            return
        if stat.S_ISLNK(found.st_mode):
            return  # whose a link is matters to nobody
        if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
            os.chown(f"/proc/self/fd/{descriptor}", new.uid, new.gid)
    finally:
        os.close(descriptor)

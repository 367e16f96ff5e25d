"""Who this process is to the system: root that becomes a user for good, acts as one for a while, or steps down.

All of it needs user 0 with its capabilities, and is for processes with one thread (setuid(2) reaches all of them,
capset(2) only the calling one). Sources: credentials(7), capabilities(7), prctl(2), capset(2), seteuid(2).
"""

import contextlib
import os
from collections.abc import Collection, Generator
from pathlib import Path

from msgspec import Struct

_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 4, 8, 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 2, 4
_CAPABILITY_VERSION_3 = 0x20080522
_SETPCAP = 8
_MORE_THAN_THERE_ARE = 64


class Identity(Struct, frozen=True):
    """A user and a group by number. `str` is what `parse` reads."""

    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """Raises ValueError."""
        uid, gid = text.split(":")
        return cls(int(uid), int(gid))


ROOT = Identity(0, 0)


def is_root() -> bool:
    return os.geteuid() == 0


def become(identity: Identity, keep: Collection[int] = (), *, hidden: bool = False) -> None:
    """Be this user for good, without other groups, with no capabilities but `keep`; no program gives more of them.

    keep: capabilities by number, for this process and, as ambient ones, for the programs that it runs. Those that are
    not there to begin with are left out. hidden: others of this user can look into neither its memory nor its open
    files. Raises OSError.
    """
    kept = _mask(keep) & _permitted()
    _bound(kept)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    _set_capabilities(kept)
    _prctl(_PR_SET_KEEPCAPS, 0)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(_MORE_THAN_THERE_ARE):
        if kept >> number & 1:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, int(not hidden))  # the change of user has taken it, and given /proc/self to root


def step_down(identity: Identity) -> None:
    """Act as this user from now on, without capabilities; root is kept only to be had back by `as_root`, and for
    programs that are started as user 0. Others of this user cannot signal or look into such a process. Raises OSError.
    """
    os.setgroups([])
    os.setegid(identity.gid)
    os.seteuid(identity.uid)


@contextlib.contextmanager
def as_root() -> Generator[None]:
    """Root again for the block, in a process that stepped down; nothing in the block may wait. Raises OSError."""
    uid = os.geteuid()
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(uid)


@contextlib.contextmanager
def acting_as(identity: Identity | None) -> Generator[None]:
    """Act as this user for the block, as root for what comes after it; None: go on as whoever this is.

    What the block makes belongs to that user, and links that this user has put there lead it nowhere that they would
    not lead the user. Raises OSError.
    """
    if identity is None:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    step_down(identity)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def owner_of(directory: Path) -> Identity | None:
    """Whom root has to become, or act as, to work in a state directory: its owner. None: this is not root, the
    directory is root's own, or is not there."""
    if not is_root():
        return None
    try:
        found = directory.lstat()
    except OSError:
        return None
    return Identity(found.st_uid, found.st_gid) if found.st_uid != 0 else None


def _mask(numbers: Collection[int]) -> int:
    return sum(1 << number for number in numbers)


def _permitted() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapPrm":
            return int(value, 16)
    return 0


def _bound(kept: int) -> None:
    """No program that runs from here on gets another capability than `kept`. Where that may not be set, as in some
    containers, no_new_privs alone sees to it."""
    if not _permitted() >> _SETPCAP & 1:
        return
    for number in range(_MORE_THAN_THERE_ARE):
        if not kept >> number & 1 and _asked(_PR_CAPBSET_READ, number) == 1:
            _prctl(_PR_CAPBSET_DROP, number)


def _set_capabilities(mask: int) -> None:
    """Effective, permitted and inheritable ones."""
    import ctypes

    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)(*[low] * 3, *[high] * 3)) != 0:
        raise _error(ctypes.get_errno(), "capset")


def _prctl(option: int, *arguments: int) -> None:
    """Raises OSError."""
    if _asked(option, *arguments) < 0:
        import ctypes

        raise _error(ctypes.get_errno(), f"prctl {option}")


def _asked(option: int, *arguments: int) -> int:
    import ctypes

    longs = [ctypes.c_ulong(number) for number in (*arguments, 0, 0, 0, 0)[:4]]
    return ctypes.CDLL(None, use_errno=True).prctl(option, *longs)


def _error(number: int, what: str) -> OSError:
    return OSError(number, f"{what}: {os.strerror(number)}")

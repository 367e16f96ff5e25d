"""System calls that Python has no name for; standard library only, loaded by path. All raise OSError.

Sources: mount(2), mount_setattr(2), pivot_root(2), prctl(2), unshare(2).
"""

from __future__ import annotations

import ctypes
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 0x1, 0x2, 0x4, 0x8
AT_FDCWD, AT_RECURSIVE = -100, 0x8000

SYS_MOUNT_SETATTR = 442  # the same on all machines, as is every number since 424
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 22, 24, 28, 38, 47


def checked(result: int, about: str = "") -> int:
    """`result`, unless it says that the call failed; `about` goes before the reason."""
    if result < 0:
        number = ctypes.get_errno()
        reason = os.strerror(number)
        raise OSError(number, f"{about}: {reason}" if about else reason)
    return result


def syscall(number: int, *arguments: object) -> int:
    """A system call by its number; integers go as C longs."""
    given = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    return checked(LIBC.syscall(ctypes.c_long(number), *given))


def prctl(option: int, *arguments: int) -> int:
    given = (*arguments, 0, 0, 0, 0)[:4]
    return checked(LIBC.prctl(option, *map(ctypes.c_ulong, given)))


def unshare(flags: int) -> None:
    checked(LIBC.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    checked(
        LIBC.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode() or None),
        f"mount {target}",
    )


def bind(source: str, target: str) -> None:
    """The tree at `source` with all that is mounted in it, at `target` too."""
    flags = ctypes.c_ulong(MS_BIND | MS_REC)
    checked(LIBC.mount(os.fsencode(source), os.fsencode(target), None, flags, None), f"bind {source}")


def add_attributes(path: str, attributes: int, *, recursive: bool = True) -> None:
    """Put flags on a mount, and on what is mounted in it. Unlike a remount it takes none away. Linux 5.12."""
    data = struct.pack("=QQQQ", attributes, 0, 0, 0)  # struct mount_attr: attr_set, attr_clr, propagation, userns_fd
    flags = AT_RECURSIVE if recursive else 0
    try:
        syscall(SYS_MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags, data, len(data))
    except OSError as error:
        raise OSError(error.errno, f"mount_setattr {path}: {error.strerror}") from None


def pivot_root(new: str, old: str) -> None:
    checked(LIBC.pivot_root(os.fsencode(new), os.fsencode(old)), "pivot_root")


def umount(path: str) -> None:
    """Take a mount away, with those in it; who uses it may go on."""
    checked(LIBC.umount2(os.fsencode(path), MNT_DETACH), f"umount {path}")

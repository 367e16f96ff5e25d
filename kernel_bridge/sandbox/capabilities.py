"""No capability, now or ever again; standard library only, loaded by path.

Without an exec they would remain: a process that makes a user namespace has all of them there.

Sources: capabilities(7), capset(2), prctl(2).
"""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel_bridge.sandbox import syscalls

VERSION_3 = 0x20080522
AMBIENT_CLEAR_ALL = 4
CAPABILITIES_MAX = 64
SECUREBITS = 0xEF
"""NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each with its lock, and the lock of KEEP_CAPS: user 0 is a user"""


def drop_all() -> None:
    """Empty all five sets. Whoever may not lower the bounding set has no capability to begin with. Raises OSError."""
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, AMBIENT_CLEAR_ALL)
    for number in range(CAPABILITIES_MAX):
        try:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM):  # beyond the last one; without CAP_SETPCAP
                raise
            break
    try:
        syscalls.prctl(syscalls.PR_SET_SECUREBITS, SECUREBITS)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
    header = struct.pack("=Ii", VERSION_3, 0)
    syscalls.checked(ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)), "capset")

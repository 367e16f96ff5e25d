"""Landlock: what a process and its descendants may do to files, and whom they may signal; standard library only,
loaded by path.

It also keeps them from tracing, and from reading the memory of, any process outside.

Source: landlock(7), Documentation/userspace-api/landlock.rst in Linux.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel_bridge.sandbox import syscalls

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = 1, 2, 4, 8, 16, 32
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 64, 128, 256, 512, 1024, 2048, 4096
REFER, TRUNCATE, IOCTL_DEV = 8192, 16384, 32768
FIRST = REFER - 1
"""all that the first version knows"""
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""what can be allowed for a path that is no directory"""

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = (FIRST | REFER | TRUNCATE | IOCTL_DEV) & ~(MAKE_CHAR | MAKE_BLOCK)
DEVICES = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV
SOCKETS = READ_FILE | READ_DIR | WRITE_FILE | REMOVE_FILE | MAKE_SOCK

CONNECT_TCP = 2
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1, 2
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1


def version() -> int:
    """What this machine has, 0 for nothing."""
    try:
        return syscalls.syscall(syscalls.SYS_LANDLOCK_CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(allowed: list[tuple[str, int]], *, tcp: bool = True) -> None:
    """Restrict this process to `allowed`: paths, and what may be done there and below; nothing anywhere else.

    `tcp` False: it may connect to no TCP port. A right that this version does not know is not restricted. Raises
    OSError. no_new_privs must be set.
    """
    has = version()
    known = FIRST | (REFER if has >= 2 else 0) | (TRUNCATE if has >= 3 else 0) | (IOCTL_DEV if has >= 5 else 0)
    attributes = struct.pack("=Q", known)
    if has >= 4:
        attributes += struct.pack("=Q", 0 if tcp else CONNECT_TCP)
    if has >= 6:
        attributes += struct.pack("=Q", SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL)
    rules = syscalls.syscall(syscalls.SYS_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, rights in allowed:
            _allow(rules, path, rights & known)
        syscalls.syscall(syscalls.SYS_LANDLOCK_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        there = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(there).st_mode):
            rights &= OF_FILES
        rule = struct.pack("=Qi", rights, there)
        syscalls.syscall(syscalls.SYS_LANDLOCK_ADD_RULE, rules, RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(there)

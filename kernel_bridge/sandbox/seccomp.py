"""System calls that no kernel needs and that have let people out of sandboxes: refused; standard library only, loaded
by path.

A deny-list, since numeric libraries, debuggers of Python and whatever users install must work. AF_INET and AF_NETLINK
stay, or libzmq aborts.

Sources: seccomp(2), Documentation/userspace-api/seccomp_filter.rst in Linux, its syscall tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel_bridge.sandbox import syscalls

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP_MODE_FILTER = 2
KILL_PROCESS, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
LOAD, EQUAL, AT_LEAST, AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16
"""where struct seccomp_data has them; both machines are little-endian, so an argument's low half comes first"""
X32_BIT = 0x40000000

NAMESPACES = 0x7E020000
"""CLONE_NEW* except CLONE_NEWTIME, which clone(2) has no bit for"""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK"""
SOCK_RAW, SOCK_PACKET, TYPE_MASK = 3, 10, 0xF

# name: (x86_64, aarch64), None where the machine has no such call
DENIED = {
    # the file system
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "fanotify_init": (300, 262),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    # keys, which all processes of a user share
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "acct": (163, 89),
    "syslog": (103, 116),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    # large, young, or the way of many exploits
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
}
ABSENT = {
    # programs know what to do on a Linux without these
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),  # its flags lie in memory, which a filter cannot read; glibc then uses clone
}
SYSV = {
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
}
"""shared by all processes of a user, unless they have an IPC namespace of their own"""
CLONE, IOCTL, SOCKET, PERSONALITY = (56, 220), (16, 29), (41, 198), (135, 92)
PERSONALITIES = (0, 8, 0xFFFFFFFF)
"""a plain Linux, 32 bits of it, and the question which one it is"""


def machine() -> int | None:
    """The column of the tables for this machine; None: there is no filter for it."""
    return {"x86_64": 0, "aarch64": 1}.get(os.uname().machine)


def program(column: int, *, shared_ipc: bool = False, datagrams: bool = True) -> bytes:
    """The filter, as struct sock_filter[]. `shared_ipc`: there is no IPC namespace; `datagrams` False: no UDP."""
    refuse = ERRNO | errno.EPERM
    code = [
        (LOAD, 0, 0, ARCH),
        (EQUAL, 1, 0, tuple(ARCHES.values())[column]),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
    ]
    if column == 0:
        code += [(AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    answers = dict.fromkeys(DENIED.values(), refuse) | dict.fromkeys(ABSENT.values(), ERRNO | errno.ENOSYS)
    if shared_ipc:
        answers |= dict.fromkeys(SYSV.values(), refuse)
    for numbers, answer in answers.items():
        number = numbers[column]
        if number is not None:
            code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, answer)]
    code += _when(CLONE[column], [*_argument(0), (AND, 0, 0, NAMESPACES), (EQUAL, 1, 0, 0), (RETURN, 0, 0, refuse)])
    injections = [part for request in (TIOCSTI, TIOCLINUX) for part in ((EQUAL, 0, 1, request), (RETURN, 0, 0, refuse))]
    code += _when(IOCTL[column], [*_argument(1), *injections])
    code += _when(PERSONALITY[column], [*_argument(0), *_one_of(PERSONALITIES, refuse)])
    code += _when(SOCKET[column], [*_argument(0), *_one_of(FAMILIES, ERRNO | errno.EAFNOSUPPORT)])
    code += _when(SOCKET[column], [*_argument(0), *_internet(refuse, datagrams=datagrams)])
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *part) for part in code)


def install(filter_: bytes) -> None:
    """Put the filter on this process for good; no_new_privs must be set. Raises OSError."""
    memory = ctypes.create_string_buffer(filter_, len(filter_))
    # struct sock_fprog: a count and, at its alignment, a pointer
    head = struct.pack("@HP", len(filter_) // 8, ctypes.addressof(memory))
    where = ctypes.create_string_buffer(head, len(head))
    syscalls.prctl(syscalls.PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(where))


def _when(number: int, then: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """`then` for one call only; the number is in the accumulator before and after it."""
    body = [*then, (LOAD, 0, 0, NUMBER)]
    return [(EQUAL, 0, len(body), number), *body]


def _argument(index: int) -> list[tuple[int, int, int, int]]:
    return [(LOAD, 0, 0, ARGUMENTS + 8 * index)]


def _one_of(values: tuple[int, ...], else_: int) -> list[tuple[int, int, int, int]]:
    checks = [(EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [*checks, (RETURN, 0, 0, else_)]


def _internet(refuse: int, *, datagrams: bool) -> list[tuple[int, int, int, int]]:
    """No raw packets, over AF_INET and AF_INET6 (netlink's sockets are all raw)."""
    types = (SOCK_RAW, SOCK_PACKET) if datagrams else (2, SOCK_RAW, SOCK_PACKET)
    checks = [part for kind in types for part in ((EQUAL, 0, 1, kind), (RETURN, 0, 0, refuse))]
    body = [*_argument(1), (AND, 0, 0, TYPE_MASK), *checks]
    return [(EQUAL, 1, 0, 2), (EQUAL, 0, len(body), 10), *body]

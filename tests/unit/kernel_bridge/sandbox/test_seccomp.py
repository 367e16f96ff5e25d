"""The filter, run by a small interpreter of classic BPF, on both machines."""

import errno
import struct

import pytest

from kernel_bridge.sandbox import seccomp

ALLOW = seccomp.ALLOW
EPERM = seccomp.ERRNO | errno.EPERM
ENOSYS = seccomp.ERRNO | errno.ENOSYS
EAFNOSUPPORT = seccomp.ERRNO | errno.EAFNOSUPPORT
X86_64, AARCH64 = 0, 1
NEW_USER, THREAD = 0x10000000, 0x3D0F00
"""flags of clone: of a namespace, and those of pthread_create"""


def answer(column: int, number: int, *arguments: int, arch: int | None = None, **options: bool) -> int:
    """What the filter answers to a system call. Source: seccomp(2), struct seccomp_data."""
    arch = tuple(seccomp.ARCHES.values())[column] if arch is None else arch
    given = [argument & (1 << 64) - 1 for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number, arch, 0, *given)
    code = list(struct.iter_unpack("=HBBI", seccomp.program(column, **options)))
    at, accumulator = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        match operation:
            case seccomp.LOAD:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case seccomp.AND:
                accumulator &= value
            case seccomp.EQUAL:
                at += yes if accumulator == value else no
            case seccomp.AT_LEAST:
                at += yes if accumulator >= value else no
            case seccomp.RETURN:
                return value
            case _:
                raise AssertionError(f"operation {operation:#x}")


@pytest.mark.parametrize("column", [X86_64, AARCH64])
def test_what_is_refused_and_what_is_not(column: int) -> None:
    for table, expected in ((seccomp.DENIED, EPERM), (seccomp.ABSENT, ENOSYS)):
        for name, numbers in table.items():
            number = numbers[column]
            assert number is None or answer(column, number) == expected, name
    denied = {numbers[column] for numbers in (*seccomp.DENIED.values(), *seccomp.ABSENT.values())}
    checked = {numbers[column] for numbers in (seccomp.CLONE, seccomp.IOCTL, seccomp.SOCKET, seccomp.PERSONALITY)}
    for number in set(range(460)) - denied - checked:
        assert answer(column, number) == ALLOW, number


@pytest.mark.parametrize("column", [X86_64, AARCH64])
def test_arguments_count(column: int) -> None:
    clone, ioctl, socket = seccomp.CLONE[column], seccomp.IOCTL[column], seccomp.SOCKET[column]
    assert answer(column, clone, THREAD) == ALLOW
    assert answer(column, clone, 17) == ALLOW, "fork"
    for flag in (NEW_USER, 0x20000, 0x40000000, NEW_USER | 17):
        assert answer(column, clone, flag) == EPERM
    assert answer(column, ioctl, 1, 0x5401) == ALLOW, "TCGETS"
    assert answer(column, ioctl, 1, seccomp.TIOCSTI) == EPERM
    assert answer(column, ioctl, 1, seccomp.TIOCSTI | 1 << 40) == EPERM, "Linux looks at 32 bits of it, as we do"
    for family, kind in ((1, 1), (2, 1), (10, 2), (2, 2 | 0x80800), (16, 3)):
        assert answer(column, socket, family, kind) == ALLOW, (family, kind)
    for family, kind in ((2, 3), (10, 3), (2, 3 | 0x80000), (2, 10)):
        assert answer(column, socket, family, kind) == EPERM, (family, kind)
    for family in (17, 38, 40):
        assert answer(column, socket, family, 3) == EAFNOSUPPORT
    persona = seccomp.PERSONALITY[column]
    assert [answer(column, persona, value) for value in (0, 0xFFFFFFFF, 0x0040000)] == [ALLOW, ALLOW, EPERM]


def test_without_namespaces_more_is_refused() -> None:
    socket, shmget = seccomp.SOCKET[X86_64], seccomp.SYSV["shmget"][X86_64]
    assert (answer(X86_64, shmget), answer(X86_64, shmget, shared_ipc=True)) == (ALLOW, EPERM)
    assert (answer(X86_64, socket, 2, 2), answer(X86_64, socket, 2, 2, datagrams=False)) == (ALLOW, EPERM)
    assert answer(X86_64, socket, 1, 2, datagrams=False) == ALLOW


def test_no_other_way_into_the_same_system() -> None:
    assert answer(X86_64, 0, arch=0x40000003) == seccomp.KILL_PROCESS, "the calls of 32 bits have other numbers"
    assert answer(X86_64, seccomp.X32_BIT | 101) == ENOSYS
    assert answer(AARCH64, 63, arch=0x40000028) == seccomp.KILL_PROCESS

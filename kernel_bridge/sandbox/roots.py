"""A root file system of its own for a kernel, which holds what is listed and nothing else; standard library only,
loaded by path.

Everything lies at the path that it has outside. What is mounted, in this order (parents before what is in them):

    ro PATH         as it is outside, read-only
    rw PATH         as it is outside
    link PATH       a symbolic link, as it is outside
    tmp PATH BYTES  an empty file system in memory, of that size
    hide PATH       an empty one that is read-only

Besides there are /proc, of the process's own PID namespace, a small /dev, and an /etc/passwd that knows one user.

Sources: mount_namespaces(7), user_namespaces(7), pivot_root(2), proc(5), tmpfs(5), devpts in Linux's documentation.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel_bridge.sandbox import syscalls

STAGE = "/tmp"  # noqa: S108  any directory that is there; only this process sees what is mounted on it
OLD, NEW = "/old", "/new"
ROOT_BYTES = 4 << 20
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
PROC_READ_ONLY = ("sys", "bus", "fs", "irq", "sysrq-trigger")
PROC_HIDDEN = ("kcore", "keys", "key-users", "timer_list", "sched_debug", "acpi", "scsi", "kmsg", "latency_stats")
NOBODY = "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
PASSWD = "root:x:0:0:root:/:/usr/sbin/nologin\n" + NOBODY
GROUP = "root:x:0:\nnogroup:x:65534:\n"


def build(mounts: list[tuple[str, str, int]], shm_bytes: int, home: str) -> None:
    """Make this process, alone in its mount namespace, stand at `/` of such a root. Raises OSError.

    `mounts`: kind, path, bytes.
    """
    umask = os.umask(0o022)
    syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", STAGE, "tmpfs", flags, f"mode=0755,size={ROOT_BYTES}")
    os.mkdir(STAGE + OLD)
    os.mkdir(STAGE + NEW)
    # The old root is looked at under another name from now on, so that nothing that is mounted hides a source.
    syscalls.pivot_root(STAGE, STAGE + OLD)
    os.chdir("/")
    syscalls.mount("tmpfs", NEW, "tmpfs", flags, f"mode=0755,size={ROOT_BYTES}")
    sealed = [place for kind, path, size in mounts if (place := _put(kind, path, size)) is not None]
    _proc()
    _dev(shm_bytes)
    _etc(home)
    for place in (NEW, *sealed):
        syscalls.add_attributes(place, syscalls.MOUNT_ATTR_RDONLY, recursive=False)
    os.chdir(NEW)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")
    os.umask(umask)


def _put(kind: str, path: str, size: int) -> str | None:
    """One mount; returns its place if it is to become read-only when everything is there."""
    old, new = OLD + path, NEW + path
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    if kind == "link":
        if not os.path.lexists(new):
            os.makedirs(os.path.dirname(new), exist_ok=True)
            os.symlink(os.readlink(old), new)
    elif kind == "tmp":
        os.makedirs(new, exist_ok=True)
        syscalls.mount("tmpfs", new, "tmpfs", flags, f"mode=01777,size={size}")
    elif kind == "hide":
        os.makedirs(new, exist_ok=True)
        syscalls.mount("tmpfs", new, "tmpfs", flags, f"mode=0755,size={ROOT_BYTES}")
        return new
    else:
        _bind(old, new, read_only=kind == "ro", devices=path.startswith("/dev/"))
    return None


def _bind(old: str, new: str, *, read_only: bool, devices: bool = False) -> None:
    if stat.S_ISDIR(os.stat(old).st_mode):
        os.makedirs(new, exist_ok=True)
    else:
        _make_file(new)
    syscalls.bind(old, new)
    attributes = syscalls.MOUNT_ATTR_NOSUID
    attributes |= syscalls.MOUNT_ATTR_RDONLY if read_only else 0
    attributes |= 0 if devices else syscalls.MOUNT_ATTR_NODEV
    syscalls.add_attributes(new, attributes)


def _make_file(path: str, text: str = "") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.lexists(path):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "w") as file:
            file.write(text)


def _proc() -> None:
    """User 0 outside may write to /proc/sys and others even without a capability: they are made read-only."""
    place = NEW + "/proc"
    os.makedirs(place, exist_ok=True)
    syscalls.mount("proc", place, "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    for name in PROC_READ_ONLY:
        path = f"{place}/{name}"
        if os.path.exists(path):
            syscalls.bind(path, path)
            syscalls.add_attributes(path, syscalls.MOUNT_ATTR_RDONLY)
    for name in PROC_HIDDEN:
        path = f"{place}/{name}"
        if os.path.isdir(path):
            syscalls.mount("tmpfs", path, "tmpfs", 1, "mode=0555,size=0")
        elif os.path.exists(path):
            syscalls.bind(OLD + "/dev/null", path)


def _dev(shm_bytes: int) -> None:
    place = NEW + "/dev"
    os.makedirs(place, exist_ok=True)
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", place, "tmpfs", flags, "mode=0755,size=64k")
    for name in DEVICES:
        if os.path.exists(f"{OLD}/dev/{name}"):
            _make_file(f"{place}/{name}")
            syscalls.bind(f"{OLD}/dev/{name}", f"{place}/{name}")
            syscalls.add_attributes(f"{place}/{name}", syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"{place}/{name}")
    os.mkdir(f"{place}/pts")
    syscalls.mount("devpts", f"{place}/pts", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")
    os.mkdir(f"{place}/shm")
    shm_flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("tmpfs", f"{place}/shm", "tmpfs", shm_flags, f"mode=01777,size={shm_bytes}")
    syscalls.add_attributes(place, syscalls.MOUNT_ATTR_RDONLY, recursive=False)


def _etc(home: str) -> None:
    """The users that there are: this one, and root, which owns nearly everything."""
    uid, gid = os.getuid(), os.getgid()
    passwd, group = PASSWD, GROUP
    if uid:
        passwd += f"user:x:{uid}:{gid}:user:{home}:/bin/sh\n"
    else:
        passwd = f"root:x:0:{gid}:root:{home}:/bin/sh\n" + NOBODY
    if gid:
        group += f"user:x:{gid}:\n"
    _make_file(NEW + "/etc/passwd", passwd)
    _make_file(NEW + "/etc/group", group)

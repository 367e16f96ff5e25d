"""How a kernel gets into its sandbox, between its fork and its first instruction; standard library only (Python >=
3.9), loaded by path by the shim, in which it is the one place that knows the order of things.

With namespaces the tree is

    shim                outside, writes the kernel's records
      first child       makes the namespaces, starts init, ends
      init              process 1 of the PID namespace: builds the root, reaps, says how the kernel ended
        kernel          process 2, a session leader

and the shim holds init: with it everything in the namespace ends. Without namespaces the first child is the kernel.

    shim                          first child                      init                   kernel
    Sandbox(fields), fork -->     enter() ------------fork------>  |
    adopt() <-- "<pid of init>" - |                                waits
      reaps the first child       ends
      lets go ------------------------------------------------->   builds, ---fork--->    enter() returns
      <---------------------------------------------------------------------- "ready"     stand_ready()
      opens the kernel's gate -------------------------------------------------------->   close_doors()
    ended_with() <----------------------------------------------- the kernel's status     ends

Sources: user_namespaces(7), pid_namespaces(7), prctl(2).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal
    from typing import NoReturn

    from kernel_bridge.sandbox import capabilities, landlock, roots, seccomp, syscalls
else:
    import _frozen_importlib_external as files
    import _signal as signal

    def load(name: str) -> Any:
        """A module of this folder, under no name that a cell could import. importlib.util would cost 15 ms."""
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
        module = type(sys)("_kernelwire_sandbox_" + name)
        module.__file__ = path
        files.SourceFileLoader(module.__name__, path).exec_module(module)
        return module

    syscalls = load("syscalls")
    capabilities, landlock, roots, seccomp = (load(n) for n in ("capabilities", "landlock", "roots", "seccomp"))
    for _user in (capabilities, landlock, roots, seccomp):
        _user.syscalls = syscalls

NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)
LOOPBACK = b"lo"
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LINE_BYTES = 64


class Refused(OSError):
    """The sandbox was not entered. What was printed says why."""


class Sandbox:
    """One kernel's sandbox, as the launch's fields say it should be:

    `sandbox_level` (namespaces or landlock), `sandbox_network` (1 or 0: the network of the machine),
    `sandbox_mount` (`KIND BYTES PATH`, see roots), `sandbox_sockets` (the directory of the kernel's own),
    `sandbox_shm_bytes`, `sandbox_home`.
    """

    def __init__(self, fields: dict[bytes, list[bytes]]) -> None:
        self._namespaces = fields[b"sandbox_level"][0] == b"namespaces"
        self._network = fields[b"sandbox_network"][0] == b"1"
        self._sockets = os.fsdecode(fields[b"sandbox_sockets"][0])
        self._shm_bytes = int(fields[b"sandbox_shm_bytes"][0])
        self._home = os.fsdecode(fields[b"sandbox_home"][0])
        self._mounts: list[tuple[str, str, int]] = []
        for line in fields.get(b"sandbox_mount", []):
            kind, size, path = line.split(b" ", 2)
            self._mounts.append((kind.decode(), os.fsdecode(path), int(size)))
        self._heard = b""
        self._news, self._tell = os.pipe2(os.O_CLOEXEC)
        self._leash, self._let_go = os.pipe2(os.O_CLOEXEC)

    # -- in the shim ---------------------------------------------------------------------------------------------

    def adopt(self, child: int) -> tuple[int, int]:
        """The process that the shim has to reap, and the kernel, as numbers out here. Raises Refused, OSError."""
        os.close(self._tell)
        os.close(self._leash)
        if not self._namespaces:
            os.close(self._let_go)
            self._line()
            return child, child
        init = int(self._line())
        os.waitpid(child, 0)
        # Init is our child now: as a subreaper we get it, and not the machine's process 1.
        os.write(self._let_go, b"\n")
        os.close(self._let_go)
        self._line()
        with open(f"/proc/{init}/task/{init}/children", "rb") as file:
            (kernel,) = file.read().split()
        return init, int(kernel)

    def ended_with(self, status: int) -> int:
        """The kernel's status, as of waitpid(2). `status`: that of the process which the shim has reaped."""
        if not self._namespaces:
            return status
        try:
            return int(self._line())
        except (Refused, ValueError):
            return status  # it was killed before it could say

    def _line(self) -> bytes:
        while b"\n" not in self._heard:
            chunk = os.read(self._news, LINE_BYTES)
            if not chunk:
                raise Refused("the sandbox was not entered")
            self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    # -- in its children -----------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Called in the shim's child, which has no rights to lose yet; returns in the kernel only. Raises OSError."""
        os.close(self._news)
        os.close(self._let_go)
        if os.getuid() == 0:
            os.setgroups([])
        if not self._namespaces:
            os.close(self._leash)
            capabilities.drop_all()
            return
        self._unshare()
        init = os.fork()
        if init:
            os.write(self._tell, b"%d\n" % init)
            os._exit(0)
        if not os.read(self._leash, 1):
            os._exit(1)  # no shim any more
        os.close(self._leash)
        # Not before: the end of the first child would have been taken for the shim's.
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if not self._network:
            raise_loopback()
        roots.build(self._mounts, self._shm_bytes, self._home)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        capabilities.drop_all()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        kernel = os.fork()
        if kernel:
            be_init(kernel, self._tell)
        os.setsid()

    def stand_ready(self) -> None:
        """Tell the shim that the kernel can go on."""
        os.write(self._tell, b"ready\n")
        os.close(self._tell)

    def close_doors(self) -> None:
        """The last thing before the kernel's own: from now on it is as restricted as it will be. Raises OSError."""
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        if landlock.version():
            landlock.restrict(list(self._allowed()), tcp=self._network or self._namespaces)
        column = seccomp.machine()
        if column is not None:
            open_net = self._namespaces or self._network
            seccomp.install(seccomp.program(column, shared_ipc=not self._namespaces, datagrams=open_net))
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)

    def _unshare(self) -> None:
        uid, gid = os.getuid(), os.getgid()
        syscalls.unshare(NAMESPACES | (0 if self._network else syscalls.CLONE_NEWNET))
        # The files below belong to root where a process is not dumpable.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        write("/proc/self/setgroups", b"deny")
        write("/proc/self/uid_map", b"%d %d 1" % (uid, uid))
        write("/proc/self/gid_map", b"%d %d 1" % (gid, gid))

    def _allowed(self) -> Any:
        """What Landlock allows where. With namespaces the root holds nothing else anyway: a second wall."""
        if self._namespaces:
            yield "/", landlock.READ
            yield "/proc", landlock.READ | landlock.WRITE_FILE
            yield "/dev/shm", landlock.WRITE  # noqa: S108
            yield "/dev/pts", landlock.DEVICES
        else:
            yield "/dev/shm", landlock.WRITE & ~landlock.READ_DIR  # noqa: S108  semaphores of multiprocessing
            yield from ((path, landlock.READ) for path in ("/proc", "/sys/devices/system"))
        for name in (*roots.DEVICES, "ptmx"):
            yield "/dev/" + name, landlock.DEVICES
        for kind, path, _ in self._mounts:
            if path == self._sockets:
                yield path, landlock.SOCKETS
            elif kind == "rw" or (kind == "tmp" and self._namespaces):
                yield path, landlock.WRITE | landlock.READ
            elif kind == "ro":
                yield path, landlock.READ


def write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def raise_loopback() -> None:
    """A new network namespace has a loopback device that is down. Source: netdevice(7)."""
    import fcntl
    import struct

    fd = syscalls.checked(syscalls.LIBC.socket(2, 2, 0), "socket")
    try:
        request = struct.pack("16sh22x", LOOPBACK, 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(fd, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(fd, SIOCSIFFLAGS, struct.pack("16sh22x", LOOPBACK, flags | IFF_UP))
    finally:
        os.close(fd)


def be_init(kernel: int, tell: int) -> NoReturn:
    """Reap whatever ends in this PID namespace until the kernel has; then end, and with this process all others."""
    try:
        reap_until(kernel, tell)
    finally:
        os._exit(1)


def reap_until(kernel: int, tell: int) -> None:
    """Only the shim can signal process 1: from inside no signal without a handler reaches it, see pid_namespaces(7)."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd != tell:
            try:
                os.close(fd)
            except OSError:
                continue  # the listing's own
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == kernel:
            os.write(tell, b"%d\n" % status)
            return

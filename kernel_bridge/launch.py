"""KernelLaunch: everything needed to start a kernel, and `start`, the one function through which every launch goes."""

import asyncio
import contextlib
import logging
import os
import py_compile
import signal
import socket
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from kernel_bridge import pidfd
from kernel_bridge.kernel_process import KernelProcess, attach, end_leftover
from kernel_bridge.kernel_record import ExitRecord, KernelRecord, read_exit, read_record
from kernel_bridge.sandbox.plan import Sandbox

__all__ = [
    "ExitRecord",
    "KernelLaunch",
    "KernelProcess",
    "KernelRecord",
    "LaunchFailed",
    "attach",
    "end_leftover",
    "read_exit",
    "read_record",
    "start",
]

SHIM = Path(__file__).with_name("shim.py")
SANDBOX = Path(__file__).with_name("sandbox") / "entry.py"
READY_S = 15.0
"""bound of a start, which takes 15 ms on an idle machine"""
GONE_S = 5.0
"""how long the end of what was killed is waited for"""
REPORT_BYTES = 64 * 1024

log = logging.getLogger("kernelwire.bridge.launch")


class LaunchFailed(OSError):
    """The machine could not start the kernel: no process, no memory, no room for its record. `str` says which."""


class KernelLaunch(Struct, frozen=True, kw_only=True):
    """What to start, and where. Paths are absolute."""

    argv: list[str]
    """the kernel's command; argv[0] is looked up in the PATH of `env`. Visible to every user of the machine"""
    env: dict[str, str]
    """the kernel's whole environment; on no command line and in no file"""
    workdir: str
    """the kernel's working directory, the user's files"""
    kernel_dir: str
    """where the shim writes kernel.json and exit.json; exists"""
    profile: Literal["plain", "fork"] = "plain"
    """the way of starting; `fork` becomes `plain` where there is no fork server to do it"""
    preload: tuple[str, ...] = ()
    """what a fork server has imported besides IPython: modules, or `scientific`"""
    sandbox: Sandbox | None = None
    """what the kernel is shut into, whichever way it starts"""
    kid: str
    """the kernel's id"""
    session: str
    """id of the session that the kernel serves"""
    lock_path: str
    """host.lock: without a holder of it the kernel is an orphan"""
    orphan_grace_s: float
    """seconds, > 0, that an orphan lives on"""
    limits: dict[str, int] = {}
    """by name, as sandbox/limits.py has them"""
    cgroup: tuple[str, ...] = ()
    """directories of the kernel's cgroup, which are there; its shim removes them at its end"""
    uid: int | None = None
    """user and group that it runs as; None: ours"""


class Forks(Protocol):
    """What starts shims by forking: ForkServers."""

    async def fork(self, launch: KernelLaunch, spec: int, stream: int) -> int:
        """The pidfd of a new shim, which the caller closes. Raises OSError: nothing was started.

        The shim reads `spec` and waits for one byte on `stream`, where it also reports; without it nothing starts.
        """
        ...

    def judge(self, launch: KernelLaunch, *, forked: bool, ready: bool) -> None:
        """Hear how a start went on."""
        ...


async def start(launch: KernelLaunch, forks: Forks | None = None) -> KernelProcess:
    """Start shim and kernel; returns when kernel.json is written. The caller closes what is returned.

    A kernel that cannot be executed (no such program, no such directory) is no error here: it ends at once, and its
    ExitRecord says why. Raises LaunchFailed, after which nothing runs, and ValueError for a NUL byte in `launch`.
    """
    spec = _memory_file(b"".join(_fields(launch)))
    try:
        if launch.profile == "fork" and forks is not None:
            try:
                return await _start_forked(launch, forks, spec)
            except OSError as error:
                log.info("launch_not_forked kernel=%s reason=%s", launch.kid, error)
                await asyncio.to_thread(_await_end, Path(launch.kernel_dir))
                os.lseek(spec, 0, os.SEEK_SET)
        return await _start_plain(launch, spec)
    finally:
        os.close(spec)


async def _start_plain(launch: KernelLaunch, spec: int) -> KernelProcess:
    report, sink = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            os.set_blocking(sink, True)
            shim_fd = _spawn(launch.kid, spec, sink)
        finally:
            os.close(sink)
        return await _started(launch, shim_fd, report)
    finally:
        os.close(report)


async def _start_forked(launch: KernelLaunch, forks: Forks, spec: int) -> KernelProcess:
    """As _start_plain. The shim gets its byte when we hold its pidfd: until then it can be given up without a trace."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            shim_fd = await forks.fork(launch, spec, theirs.fileno())
        ours.setblocking(False)
        with contextlib.suppress(OSError):  # the shim has ended: its report says so, or that it is missing
            ours.send(b"\n")
        try:
            process = await _started(launch, shim_fd, ours.fileno())
        except OSError:
            forks.judge(launch, forked=True, ready=False)
            raise
    process.forked = True
    return process


async def _started(launch: KernelLaunch, shim_fd: int, report: int) -> KernelProcess:
    """Wait for the shim's report. If it is not `ready`, or nobody waits any more, end shim and kernel."""
    kernel_dir = Path(launch.kernel_dir)
    try:
        try:
            async with asyncio.timeout(READY_S):
                words = await _read_all(report)
        except TimeoutError:
            words = b"the shim was not ready in time"
        record = read_record(kernel_dir) if words == b"ready\n" else None
        if record is None:
            raise LaunchFailed(words.decode(errors="replace").strip() or "the shim ended before it was ready")
        return KernelProcess(record, kernel_dir, shim_fd, pidfd.open_started(record.pid, record.start_time))
    except BaseException:
        await asyncio.shield(asyncio.to_thread(_discard, shim_fd))
        raise


def _fields(launch: KernelLaunch) -> Iterator[bytes]:
    """`launch` as the shim reads it, see shim.Launch. Raises ValueError."""
    sandbox = launch.sandbox
    env = launch.env if sandbox is None else sandbox.environment(launch.env)
    fields = [
        ("kid", launch.kid),
        ("session", launch.session),
        ("workdir", launch.workdir),
        ("kernel_dir", launch.kernel_dir),
        ("lock_path", launch.lock_path),
        ("orphan_grace_s", repr(float(launch.orphan_grace_s))),
        *(("arg", arg) for arg in launch.argv),
        *(("env", f"{name}={value}") for name, value in env.items()),
        *([] if sandbox is None else [("sandbox", str(SANDBOX)), *sandbox.fields()]),
        *(("limit", f"{name}:{value}") for name, value in launch.limits.items()),
        *(("cgroup", directory) for directory in launch.cgroup),
        *(("uid", str(uid)) for uid in (launch.uid,) if uid is not None),
    ]
    for name, value in fields:
        if "\0" in value:
            raise ValueError(f"`{name}` of a launch holds a NUL byte")
        yield os.fsencode(f"{name}={value}\0")


def _memory_file(data: bytes) -> int:
    """A descriptor to read `data` from: nothing on disk, no bound of a pipe, and the shim needs no writer."""
    fd = os.memfd_create("launch")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _spawn(kid: str, spec: int, sink: int) -> int:
    """A shim in a session of its own; returns its pidfd. Raises LaunchFailed.

    posix_spawn and subprocess alike hold the interpreter until the exec (vfork), so a thread would gain nothing;
    this one leaves no object behind that reaps, or complains, later.
    """
    # The dynamic linker may need this to start the interpreter at all; the shim needs nothing else.
    env = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-X", "utf8", "-I", "-S", _shim_program(), kid],
            env,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, target) for source, target in ((spec, 0), (sink, 1), (sink, 2))
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=[number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)],
        )
    except OSError as error:
        raise LaunchFailed(error.errno, f"no process can be started: {error.strerror}") from error
    try:
        return os.pidfd_open(pid)
    except OSError as error:  # no descriptors left; a shim that nobody holds must not go on
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise LaunchFailed(error.errno, f"no process can be watched: {error.strerror}") from error


@cache
def _shim_program() -> str:
    """The compiled shim, which spares each kernel 1 MiB and 3 ms; the source where nothing can be written beside it."""
    try:
        return py_compile.compile(str(SHIM), doraise=True) or str(SHIM)
    except OSError:
        return str(SHIM)


async def _read_all(fd: int) -> bytes:
    """All that comes from a pipe, REPORT_BYTES at most, until its last writer closes it."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    readable = asyncio.Event()
    loop.add_reader(fd, readable.set)
    try:
        while len(data) < REPORT_BYTES:
            await readable.wait()
            readable.clear()
            try:
                chunk = os.read(fd, REPORT_BYTES)
            except BlockingIOError:
                continue
            if not chunk:
                break
            data += chunk
    finally:
        loop.remove_reader(fd)
    return bytes(data)


def _await_end(kernel_dir: Path) -> None:
    """Wait for the end of a kernel whose shim was killed: the next one has the same directory and sockets."""
    record = read_record(kernel_dir)
    kernel_fd = pidfd.open_started(record.pid, record.start_time) if record is not None else None
    if kernel_fd is not None:
        try:
            if not pidfd.has_ended(kernel_fd, wait_s=GONE_S):
                raise LaunchFailed("the forked kernel does not end")
        finally:
            os.close(kernel_fd)


def _discard(shim_fd: int) -> None:
    """End a shim, and with it its kernel, whose start failed. Blocks until it is gone, GONE_S at most."""
    try:
        pidfd.send(shim_fd, signal.SIGKILL)
        pidfd.has_ended(shim_fd, wait_s=GONE_S)
        pidfd.reap(shim_fd)
    finally:
        os.close(shim_fd)

"""A kernel and its shim as the host holds them: to wait for, to signal, to end."""

import asyncio
import logging
import os
import signal
from pathlib import Path

from kernel_bridge import pidfd
from kernel_bridge.kernel_record import ExitRecord, KernelRecord, read_exit, read_record, write_assigned

KILLED_S = 5.0
"""how long a process may take to die of SIGKILL before we stop waiting: it then hangs in the kernel of the machine"""
LEFTOVER_GRACE_S = 10.0
SHIM_S = 5.0
"""what a shim is given after its kernel's end to clean up and say how it ended"""

log = logging.getLogger("kernelwire.bridge.kernel_process")


class KernelProcess:
    """One kernel process. Made by launch.start or `attach`, in a running event loop; `close` frees the descriptors.

    `record` is its kernel.json.
    """

    def __init__(self, record: KernelRecord, kernel_dir: Path, shim_fd: int, kernel_fd: int | None) -> None:
        """Takes the descriptors over. `kernel_fd` None: the kernel has ended, its shim is about to."""
        self.record = record
        self.forked = False
        """whether a fork server started it"""
        self._kernel_dir = kernel_dir
        self._shim_fd = shim_fd
        self._kernel_fd = kernel_fd
        self._closed = False
        self._exit: ExitRecord | None = None
        self._over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._overdue: asyncio.TimerHandle | None = None
        self._loop.add_reader(shim_fd, self._shim_ended)
        if kernel_fd is not None:
            self._loop.add_reader(kernel_fd, self._kernel_ended)

    @property
    def alive(self) -> bool:
        """Whether the kernel itself runs. False after `close`."""
        return not self._closed and self._kernel_fd is not None and not pidfd.has_ended(self._kernel_fd)

    @property
    def stopped(self) -> bool:
        """Whether kernel or shim is stopped, by SIGSTOP say, or dying, so that nothing will answer."""
        return self.alive and (_is_stopped(self.record.pid) or _is_stopped(self.record.shim_pid))

    def assign(self, session: str) -> None:
        """Have the record, on the disk too, say whose kernel it is from now on. Raises OSError."""
        self.record = write_assigned(self._kernel_dir, self.record, session)

    @property
    def ended(self) -> ExitRecord | None:
        """How it ended, once that is known."""
        return self._exit if self._over.is_set() else None

    async def wait(self) -> ExitRecord:
        """How the kernel ended, as soon as it and its shim have; any number of callers.

        Unbounded, for kernels run for days. Raises RuntimeError if `close` comes first.
        """
        await self._over.wait()
        if self._exit is None:
            raise RuntimeError("the kernel process was closed before it ended")
        return self._exit

    def signal(self, signum: int) -> bool:
        """Send a signal to the kernel's process group, as jupyter_client does; False if the kernel has ended."""
        if self._closed or self._kernel_fd is None:
            return False
        return pidfd.send_group(self._kernel_fd, self.record.pid, signum)

    async def kill(self, grace_s: float) -> ExitRecord:
        """End the kernel now. The shim gets `grace_s` seconds to do it and to say how it went, then SIGKILL follows.

        Raises TimeoutError if even that has not helped after KILLED_S, RuntimeError after `close`.
        """
        if not self._closed:
            pidfd.send(self._shim_fd, signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            # The group first: what the kernel started does not die with the shim.
            self.signal(signal.SIGKILL)
            if not self._closed:
                pidfd.send(self._shim_fd, signal.SIGKILL)
        async with asyncio.timeout(KILLED_S):
            return await self.wait()

    def close(self) -> None:
        """Free the descriptors, nothing else: shim and kernel live on. Idempotent. Who waits gets RuntimeError."""
        if self._closed:
            return
        self._closed = True
        if self._overdue is not None:
            self._overdue.cancel()
        for fd in (self._shim_fd, self._kernel_fd):
            if fd is not None:
                self._loop.remove_reader(fd)
                os.close(fd)
        self._over.set()

    def _shim_ended(self) -> None:
        self._loop.remove_reader(self._shim_fd)
        if self._overdue is not None:
            self._overdue.cancel()
        pidfd.reap(self._shim_fd)
        if self._kernel_fd is not None:  # a shim that was killed has not ended what its kernel had started
            pidfd.send_led_group(self._kernel_fd, signal.SIGKILL)
        if self._kernel_fd is None or pidfd.has_ended(self._kernel_fd):
            self._set_exit()
            return
        # The shim was killed and the kernel is dying of it; a set-user-ID program is not, see prctl(2).
        pidfd.send(self._kernel_fd, signal.SIGKILL)

    def _kernel_ended(self) -> None:
        assert self._kernel_fd is not None  # noqa: S101  its reader was called
        self._loop.remove_reader(self._kernel_fd)
        if pidfd.has_ended(self._shim_fd):
            self._set_exit()
        else:  # it is about to say how; one that was stopped never will
            self._overdue = self._loop.call_later(SHIM_S, pidfd.send, self._shim_fd, signal.SIGKILL)

    def _set_exit(self) -> None:
        self._exit = ExitRecord()
        try:
            self._exit = read_exit(self._kernel_dir) or self._exit
        except OSError as error:  # no descriptors left, say: whoever waits must hear of the end all the same
            log.warning("exit_record_unreadable kernel=%s error=%s", self.record.kid, error)
        finally:
            self._over.set()


async def attach(kernel_dir: Path) -> KernelProcess | None:
    """The kernel that another host started in `kernel_dir`, if it and its shim still run; the caller closes it."""
    record = read_record(kernel_dir)
    if record is None:
        return None
    shim_fd = pidfd.open_pid(record.shim_pid)
    if shim_fd is None:
        return None
    try:
        ours = await asyncio.to_thread(_is_shim_of, record)
        kernel_fd = pidfd.open_started(record.pid, record.start_time) if ours else None
    except BaseException:
        os.close(shim_fd)
        raise
    if ours:
        return KernelProcess(record, kernel_dir, shim_fd, kernel_fd)
    os.close(shim_fd)
    return None


async def end_leftover(kernel_dir: Path, grace_s: float = LEFTOVER_GRACE_S) -> ExitRecord | None:
    """End the kernel that a dead host left in `kernel_dir`; how it ended, None if there was nothing to end.

    Takes `grace_s` + KILLED_S at most, usually milliseconds. Raises TimeoutError as KernelProcess.kill does.
    """
    process = await attach(kernel_dir)
    if process is None:
        return None
    try:
        return await process.kill(grace_s)
    finally:
        process.close()


def _is_stopped(pid: int) -> bool:
    """Whether a process, or its main thread, is stopped by a signal or a debugger, or is dying, see proc_pid_stat(5).

    Of one that is dying the main thread may have ended before the others: its pidfd does not say so yet.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in (b"T", b"t", b"Z", b"X")
    except (OSError, IndexError):
        return True


def _is_shim_of(record: KernelRecord) -> bool:
    """The kid on its command line tells the shim from a process that got its number later, also after a reboot."""
    try:
        words = Path(f"/proc/{record.shim_pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return record.kid.encode() in words

"""Processes held by descriptor, so that no signal ever reaches a process that merely got the same number.

Source: pidfd_open(2), pidfd_send_signal(2), waitid(2). Whoever is given a descriptor closes it.
"""

import contextlib
import errno
import os
import select
import signal
from pathlib import Path

PIDFD_SIGNAL_PROCESS_GROUP = 4
"""Linux 6.9: the signal goes to the process group that the process leads"""


def open_started(pid: int, started: int) -> int | None:
    """A descriptor of process `pid` if it started at `started` (clock ticks since boot); None if it is gone."""
    fd = open_pid(pid)
    if fd is None:
        return None
    # Opened first, then looked at: what is in /proc now is what the descriptor holds, or it is dead.
    if start_time(pid) != started:
        os.close(fd)
        return None
    return fd


def open_pid(pid: int) -> int | None:
    """A descriptor of process `pid`, None if there is none. Raises OSError (no descriptors left)."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def has_ended(fd: int, wait_s: float = 0.0) -> bool:
    """Whether the process has ended (a zombie has), or does so within `wait_s`; blocks for that long."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(wait_s * 1000))


def send(fd: int, signum: int) -> bool:
    """Send a signal to the process; False if it is gone or belongs to another user."""
    try:
        signal.pidfd_send_signal(fd, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def send_group(fd: int, pid: int, signum: int) -> bool:
    """Send a signal to the group that the process (whose number is `pid`) leads; False as in `send`, or if it ended."""
    if has_ended(fd):
        return False
    try:
        try:
            signal.pidfd_send_signal(fd, signum, None, PIDFD_SIGNAL_PROCESS_GROUP)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Before Linux 6.9. Its parent, the shim, would have to reap it and the numbers to wrap since has_ended.
            os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def send_led_group(fd: int, signum: int) -> None:
    """Send a signal to the group that the process led, also after its end: the descriptor keeps the group's identity.

    Before Linux 6.9 nothing is sent, as the group's number could be another's by now.
    """
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(fd, signum, None, PIDFD_SIGNAL_PROCESS_GROUP)


def reap(fd: int) -> None:
    """Take the ended process off the table if it is our child; others are their parents' to reap. Never blocks."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)


def start_time(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("latin-1")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # field 22; the command before it may hold anything

"""The command line that `ps` and /proc/PID/cmdline show for this process; standard library only, run by path.

A forked process has its parent's. It is kept in the process's own memory, where it can be written over: no longer
than the first one was, so a process that means to do this is started with an argument that makes room.

Source: proc_pid_stat(5), fields 48 and 49; proc_pid_cmdline(5).
"""

import ctypes

ROOM = 1024
"""bytes that a server's first command line has to spare"""


def read() -> list[bytes]:
    """The words as others see them."""
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().rstrip(b"\0").split(b"\0")


def write(words: list[bytes]) -> None:
    """Show these words, cut where the room ends. Raises OSError when the system does not say where they are kept."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if not 0 < start < end:
        raise OSError("the place of the command line is not known")
    # The last byte stays NUL: another one there has a meaning of its own, see setproctitle(3).
    text = (b"\0".join(words) + b"\0")[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)

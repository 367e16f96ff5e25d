"""The files by which a host is known: its locks, and `host.json`. Importing them costs nothing of a host."""

from msgspec import Struct

HOST_LOCK = "host.lock"
SERVE_LOCK = "serve.lock"
HOST_FILE = "host.json"


class HostFile(Struct, frozen=True):
    """`host.json`: who holds the state directory. It is removed by a clean stop, so a new host knows a crash from it.

    owned: started by `kernelwire serve`, and ends with the serve that runs.
    """

    pid: int
    version: str
    owned: bool
    v: int = 1
    start_time: int = 0
    """field 22 of /proc/PID/stat, clock ticks since boot: with `pid` it names one process for good"""
    sandbox: str = ""
    """the profile that kernels run in, in words"""

"""The faults: the table of what is done to the real processes, and what each may cost."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos import strikes
from tests.chaos.checks import Loss
from tests.chaos.stage import Stage
from tests.chaos.strikes import Strike

PAUSE_S = 0.008
"""between two lines"""
DISK_BYTES = 24 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    what: str
    loss: Loss
    strike: Strike
    gaps: int = 0
    """`gap` events that it may cost each session"""
    pause_s: float = PAUSE_S
    lines: int = 1_000_000
    """a cell ends by itself after so many"""
    of_sessions: bool = False
    """it is done to each session by itself, so that one round strikes as often as there are sessions"""
    on_small_disk: bool = False
    """the state directory is a file system of its own"""
    absent: Callable[[Stage], str | None] = lambda _: None
    """why it cannot be done to this service"""


FAULTS: tuple[Fault, ...] = (
    Fault("front_kill", "SIGKILL to a front", "nothing", strikes.kill_front),
    Fault("front_stop", "SIGSTOP to a front, then SIGCONT", "nothing", strikes.stop_front),
    Fault("front_freeze", "SIGSTOP to a front, which is replaced", "nothing", strikes.freeze_front),
    Fault("supervisor_kill", "SIGKILL to the supervisor; a new `serve`", "nothing", strikes.kill_supervisor),
    Fault("host_kill", "SIGKILL to the host", "host", strikes.kill_host, gaps=1),
    Fault("host_kill_twice", "SIGKILL to the host and to its successor", "host", strikes.kill_host_twice, gaps=2),
    Fault("host_freeze", "SIGSTOP to the host, which is replaced", "host", strikes.freeze_host, gaps=1),
    Fault(
        "host_pause",
        "SIGSTOP to the host, then SIGCONT, in a flood",
        "nothing",
        strikes.pause_host,
        pause_s=0,
        lines=6000,
    ),
    Fault("all_kill", "SIGKILL to supervisor, fronts and host; a new `serve`", "host", strikes.kill_all, gaps=1),
    Fault("kernel_kill", "SIGKILL to a kernel", "kernel", strikes.kill_kernel, of_sessions=True),
    Fault("kernel_stop", "SIGSTOP to a kernel, then SIGCONT", "nothing", strikes.stop_kernel, of_sessions=True),
    Fault("shim_kill", "SIGKILL to a shim", "kernel", strikes.kill_shim, of_sessions=True),
    Fault("shim_stop", "SIGSTOP to a shim, then SIGCONT", "nothing", strikes.stop_shim, of_sessions=True),
    Fault(
        "fork_server_kill",
        "SIGKILL to a fork server",
        "nothing",
        strikes.kill_fork_server,
        absent=lambda stage: None if strikes.fork_servers(stage) else "this service has no fork server",
    ),
    Fault("cut", "every connection of the clients is broken", "nothing", strikes.cut_connections),
    Fault("disk_full", "no room on the disk, for a while", "disk", strikes.fill_disk, on_small_disk=True),
    Fault("database_gone", "the file of the database is away, for a while", "nothing", strikes.lose_database),
)

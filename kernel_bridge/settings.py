"""Settings of the host. Durations are seconds, sizes bytes. Defaults are those of the wire contract."""

from typing import Annotated

from msgspec import Meta, Struct

from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.sandbox.settings import SandboxSettings

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
CountOrNone = Annotated[int, Meta(ge=0)]


class BridgeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One host's settings; every session and kernel of it shares them."""

    kernel_start_s: Seconds = 60.0
    """from the launch of a kernel to its first answer"""
    kernel_stop_s: Seconds = 1.0
    """what a kernel is given to end by itself before it is killed"""
    introspection_s: Seconds = 2.0
    """deadline of complete and inspect, counted from the kernel's readiness"""
    idle_grace_s: Seconds = 5.0
    """how long a cell waits for the missing one of reply and idle"""
    interrupt_again_s: Seconds = 3.0
    """after this time without effect SIGINT is sent again"""
    interrupt_kill_s: Seconds = 5.0
    """after this time more the kernel is killed"""
    interrupt_kill: bool = True
    """whether an interrupt may end with killing the kernel; `timeout` always may"""
    fork_server: bool = True
    """whether kernels of Python are forked from a process that has imported what they need (Linux)"""
    fork_server_at_start: bool = True
    """whether that of the default kernelspec starts with the host, else with the first kernel, which is not forked"""
    preload: dict[str, list[str]] = {}
    """by kernelspec: modules that its kernels find imported; `scientific`: numpy, sympy, matplotlib where installed"""
    pool: CountOrNone = 1
    """kernels of the default kernelspec that wait, forked and ready, for sessions that need one; each takes memory"""
    pool_kernels: dict[str, CountOrNone] = {}
    """by kernelspec: as many wait, also of such as cannot be forked; in place of `pool` for the default one"""
    orphan_grace_s: Seconds = 600.0
    """kernels without a host, and an owned host without its owner, end after this time"""
    kernel_idle_s: Seconds = 3600.0
    """a kernel without activity for so long is stopped; its session stays"""
    session_idle_s: Seconds = 7 * 86400.0
    """a session without activity for so long is closed; log-in to it opens it again"""
    unused_session_s: Seconds = 3600.0
    """a session that nothing was done with for so long is deleted"""
    max_lifetime_s: Seconds | None = None
    """a kernel that lives for so long is ended, with the cell that runs; none: it lives on"""
    culling_notice_s: Seconds = 60.0
    """a `notice` event announces culling so long before it; at most half of the limit that it is about"""
    hop_silence_s: Seconds = 3.0
    """silence on the hop after which a front takes the host for unavailable"""

    queue_cells: Count = 1000
    """cells of one session that may wait"""
    sessions_per_user: Count = 64
    """open sessions of one user; one more closes the oldest that is not in use"""
    stored_bytes_per_user: Count = 32 << 30
    """records and logs of all sessions of one user; beyond it new cells and sessions are refused, reading goes on"""
    shares_per_session: Count = 100
    """users with whom one session is shared"""
    cell_output_bytes: Count = 1 << 20
    """bound of the folded outputs of one cell; the log has the rest"""
    export_bytes: Count = 64 << 20
    """of an exported notebook"""
    max_event_bytes: Count = 16 << 20
    """a larger event is stored as `omitted`"""
    segment_bytes: Count = 8 << 20
    """size of one file of a session's log; retention drops whole ones"""
    retention_bytes: Count = 256 << 20
    """of one session's log; the oldest events go"""
    retention_s: Seconds = 7 * 86400.0
    """how long events are kept"""

    sandbox: SandboxSettings = SandboxSettings()
    limits: LimitSettings = LimitSettings()

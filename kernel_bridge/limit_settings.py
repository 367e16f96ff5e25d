"""Settings of what one kernel may use. Sizes are bytes, durations seconds."""

from typing import Annotated

from msgspec import Meta, Struct


class LimitSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one kernel may use, with all that it starts. `docs/how-to/limits.md` says how each is enforced and what
    happens at it."""

    memory_bytes: Annotated[int, Meta(ge=256 << 20)] | None = None
    """memory, by cgroup; where there is none, as much address space of each process instead, but at least 2 GiB"""
    address_space_bytes: Annotated[int, Meta(ge=2 << 30)] | None = None
    """address space of each process (RLIMIT_AS), at least 2 GiB: a kernel that uses little memory has most of that"""
    processes: Annotated[int, Meta(ge=32)] | None = 1024
    """processes and threads, by cgroup, or of the kernel's own user; where there is neither, there is no such limit"""
    cpus: Annotated[float, Meta(ge=0.05)] | None = None
    """processors' time each second, by cgroup: 0.5 is half of one"""
    cpu_s: Annotated[int, Meta(ge=1)] | None = None
    """processor time of each process in its whole life (RLIMIT_CPU): the kernel ends then, so it is for batch work"""
    file_bytes: Annotated[int, Meta(ge=1 << 20)] | None = None
    """size of one file that is written (RLIMIT_FSIZE)"""
    open_files: Annotated[int, Meta(ge=128)] | None = 4096
    """open files of each process (RLIMIT_NOFILE)"""
    core_bytes: Annotated[int, Meta(ge=0)] = 0
    """size of a core dump (RLIMIT_CORE)"""
    workdir_bytes: Annotated[int, Meta(ge=1 << 20)] | None = None
    """disk blocks of one session's working directory; soft: looked at every 5 s while a cell runs. Beyond it the cell
    that writes is interrupted; others run, so that the user can delete files"""
    uid_base: Annotated[int, Meta(ge=1000, le=4_000_000_000)] | None = 1_900_000_001
    """where the service is root, or has its capabilities for that: each session gets a user of the system of its own,
    this number or a greater one, never one twice. None: kernels run as the user of the service"""
    uid_count: Annotated[int, Meta(ge=1, le=100_000_000)] = 10_000_000
    """how many users there are for sessions"""
    cgroup: Annotated[str, Meta(pattern="^(auto|off|/.*)$", description="auto, off or a path")] = "auto"
    """where cgroups are made: `auto`, wherever the service may; `off`, nowhere; or a cgroup of version 2 by its path,
    which the service may write to and which holds no processes"""

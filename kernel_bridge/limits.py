"""The limits of one kernel's launch, and what to say to whoever has reached one."""

import re

from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.results import Exit

LEAST_ADDRESS_SPACE = 2 << 30
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_BY_ERRNO = {11: ("processes",), 12: ("memory_bytes", "address_space_bytes"), 24: ("open_files",), 27: ("file_bytes",)}
"""EAGAIN of a fork, ENOMEM, EMFILE, EFBIG"""
_UNITS = {"memory_bytes": "bytes of memory", "cpu_s": "s of processor time", "file_bytes": "bytes in one file"}


def for_launch(settings: LimitSettings, *, by_cgroup: frozenset[str], counts_processes: bool) -> dict[str, int]:
    """Limits as a KernelLaunch has them. `by_cgroup`: the controllers that limit it already.

    counts_processes: the kernel has a user, or a user namespace, of its own: else RLIMIT_NPROC would count whatever
    the user of the service runs.
    """
    space = settings.address_space_bytes
    if settings.memory_bytes is not None and "memory" not in by_cgroup:
        space = min(space or settings.memory_bytes, settings.memory_bytes)
        space = max(space, LEAST_ADDRESS_SPACE)
    asked = {
        "as": space,
        "core": settings.core_bytes,
        "cpu": settings.cpu_s,
        "fsize": settings.file_bytes,
        "nofile": settings.open_files,
        "nproc": settings.processes if counts_processes else None,
        "memory": settings.memory_bytes if "memory" in by_cgroup else None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def shortfalls(settings: LimitSettings, *, by_cgroup: frozenset[str], counts_processes: bool) -> list[str]:
    """Which of the limits are not kept as they are set, in words that everybody may read."""
    found: list[str] = []
    if settings.memory_bytes is not None and "memory" not in by_cgroup:
        found.append("bridge.limits.memory_bytes limits the address space of each process only: no cgroup for memory")
    if settings.processes is not None and "pids" not in by_cgroup and not counts_processes:
        found.append("bridge.limits.processes is not in force: no cgroup for pids")
    if settings.cpus is not None and "cpu" not in by_cgroup:
        found.append("bridge.limits.cpus is not in force: no cgroup for cpu")
    return found


def ended_by(exit: Exit, settings: LimitSettings) -> str | None:
    """In words, by which limit a kernel that died was ended; None if it was not."""
    if exit.limit is not None:
        value = getattr(settings, exit.limit, None)
        what = f"{value} {_UNITS[exit.limit]}" if exit.limit in _UNITS and value is not None else exit.limit
        return f"bridge.limits.{exit.limit}: a kernel may use {what}; this one was ended, variables are gone"
    if exit.oom:
        return "the machine ran out of memory, and its system ended the kernel; variables are gone"
    return None


def reached(ename: str, evalue: str, settings: LimitSettings) -> str | None:
    """The limit that an exception in a cell probably comes from, by the name of its setting; None for others.

    What the system says when it refuses is the same for every reason, so this is a hint for people, no more.
    """
    names: tuple[str, ...] = ()
    found = _ERRNO.search(evalue)
    if ename == "MemoryError" or "cannot allocate memory" in evalue.lower():
        names = _BY_ERRNO[12]
    elif "can't start new thread" in evalue:
        names = _BY_ERRNO[11]
    elif found is not None and (ename == "BlockingIOError" or found[1] != "11"):
        names = _BY_ERRNO.get(int(found[1][:4]), ())
    return next((name for name in names if getattr(settings, name) is not None), None)

"""What a kernel may use, and as whom it runs: put on it in its own process, before it runs its first instruction.

Loaded by path into each shim, in any Python >= 3.9; standard library only. Nothing here is done to a shim, a fork
server or a host: a limit on a process that forks would end it together with all its kernels.

Order in the shim's child: `join` the cgroup, `put_on` the limits, `become` the user (or `drop_capabilities`, if it
stays an ordinary one), then the sandbox, then
`put_on_processes`: processes are counted by user, and in a user namespace of one's own by that.

Sources: getrlimit(2), cgroups(7), capabilities(7), the Linux kernel's documentation "Control Group v2" and
"cgroup-v1/memory.rst", "cgroup-v1/pids.rst".
"""

import ctypes
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

RLIMITS = (b"as", b"core", b"cpu", b"fsize", b"nofile")
"""names of limits for `put_on`: those of getrlimit(2), in lower case"""
PROCESSES = b"nproc"
MEMORY = b"memory"
"""a limit that the cgroup has already; it is named here so that its reaching can be told"""
CPU_GRACE_S = 5
"""a process that goes on after SIGXCPU has this long until SIGKILL"""
OOM_SCORE = 500
"""-1000 to 1000: when the machine itself runs out of memory, kernels go before anything of the service"""
REMOVE_S = 1.0
"""how long a cgroup may take to be empty after its last process was killed"""

PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522


def join(cgroup: "Sequence[str]") -> None:
    """Move this process into its cgroup: one directory, or with cgroup v1 one for each controller. Raises OSError."""
    for directory in cgroup:
        write(directory + "/cgroup.procs", b"0")


def put_on(limits: "Mapping[bytes, int]") -> None:
    """Limit this process and all that it starts. Raises OSError, ValueError."""
    import resource  # not in the shim itself, which lives as long as the kernel

    try:
        write("/proc/self/oom_score_adj", b"%d" % OOM_SCORE)
    except OSError:
        pass  # it is as high already, or /proc is none of ours to write
    for name in RLIMITS:
        if name in limits:
            which = getattr(resource, "RLIMIT_" + name.decode().upper())
            soft = limits[name]
            _set(which, soft, soft + CPU_GRACE_S if name == b"cpu" else soft)


def put_on_processes(limits: "Mapping[bytes, int]") -> None:
    """Limit how many processes and threads this user has, which the superuser is not subject to. Raises OSError."""
    if PROCESSES in limits:
        import resource

        _set(resource.RLIMIT_NPROC, limits[PROCESSES], limits[PROCESSES])


def _set(which: int, soft: int, hard: int) -> None:
    """As far as the limits that are there allow: they are never raised."""
    import resource

    _, most = resource.getrlimit(which)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(which, (soft, hard))


def become(uid: int, libc: ctypes.CDLL) -> None:
    """Run as user and group `uid` from now on, without other groups and without any capability. Raises OSError.

    Capabilities are dropped by hand: a change from one ordinary user to another keeps them.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    for number in range(64):
        if libc.prctl(PR_CAPBSET_DROP, *_longs(number, 0, 0, 0)) != 0:
            break  # there are no more, or it may not: then exec gives none either, as no_new_privs is set
    os.setresuid(uid, uid, uid)
    drop_capabilities(libc)


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Have none from now on: a service that is an ordinary user with some leaves them to all that it starts, also over
    an exec (the ambient set). Raises OSError."""
    libc.prctl(PR_CAP_AMBIENT, *_longs(PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _longs(*numbers: int) -> "list[ctypes.c_ulong]":
    return [ctypes.c_ulong(number) for number in numbers]


def ran_out(cgroup: "Sequence[str]") -> "bool | None":
    """Whether a process of the cgroup was ended because memory had run out; None where nobody counts that."""
    for directory in cgroup:
        for name in ("/memory.events", "/memory.oom_control"):  # v2, v1
            count = _number(directory + name, b"oom_kill")
            if count is not None:
                return count > 0
    return None


def reached(limits: "Mapping[bytes, int]", number: int, oom: "bool | None") -> "str | None":
    """Which of the limits ended a kernel that died of signal `number`, by the name of its setting."""
    if oom and MEMORY in limits:
        return "memory_bytes"
    if number == signal.SIGXCPU and b"cpu" in limits:
        return "cpu_s"
    if number == signal.SIGXFSZ and b"fsize" in limits:
        return "file_bytes"
    return None


def end(cgroup: "Sequence[str]") -> bool:
    """Kill what is left in a cgroup and remove it; False if something is left of it after REMOVE_S."""
    deadline = time.monotonic() + REMOVE_S
    left = list(cgroup)
    while True:
        left = [directory for directory in left if not end_at_once(directory)]
        if not left or time.monotonic() > deadline:
            return not left
        time.sleep(0.005)


def end_at_once(directory: str, *, kill: bool = True) -> bool:
    """Remove a cgroup that is empty, else kill what is in it; whether it is gone. Takes a moment and never waits."""
    try:
        os.rmdir(directory)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        if kill:
            _kill(directory)
        return False


def _kill(directory: str) -> None:
    try:
        write(directory + "/cgroup.kill", b"1")
        return
    except OSError:
        pass  # cgroup v1, or a Linux before 5.14
    try:
        with open(directory + "/cgroup.procs", "rb") as file:
            pids = [int(word) for word in file.read().split()]
    except OSError:
        return
    for pid in pids:
        if pid > 0:  # 0: of another PID namespace than ours
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue


def _number(path: str, name: bytes) -> "int | None":
    """The number behind `name` in a flat keyed file."""
    try:
        with open(path, "rb") as file:
            for line in file.read().splitlines():
                words = line.split()
                if len(words) == 2 and words[0] == name:
                    return int(words[1])
    except OSError:
        pass
    return None


def write(path: str, text: bytes) -> None:
    """Write to a file of the system. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)

"""Processes: started for the benchmark, ended for certain, their CPU time and their memory.

Sources: proc_pid_stat(5), proc_pid_smaps(5).
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
NOT_INHERITED = ("KERNELWIRE_", "PYTEST_", "JUPYTER", "IPYTHON")
MIB = 1024.0
"""kB in it"""


def environment(home: Path) -> dict[str, str]:
    """What every system is started with: ours without settings of kernelwire and Jupyter, and their files below `home`.

    So neither a user's profile nor a shared history database is measured.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    ours = {
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "jupyter-config",
        "JUPYTER_DATA_DIR": "jupyter-data",
        "JUPYTER_RUNTIME_DIR": "jupyter-runtime",
        "MPLCONFIGDIR": "matplotlib",
    }
    return clean | {name: str(home / folder) for name, folder in ours.items()} | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def spawn(argv: Sequence[str], directory: Path, env: Mapping[str, str], *, stdout: int) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that a terminal's Ctrl-C reaches the benchmark alone.

    Its stderr goes to `directory/stderr`. The caller ends it with `end`.
    """
    with (directory / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            argv,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM, and after `grace_s` (0: at once) SIGKILL to the process and all below it; returns when it has ended."""
    if process.poll() is None and grace_s > 0:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    if process.poll() is None:
        below = descendants(process.pid)
        process.kill()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds, user and system, that these processes with all their threads have used; to 1/SC_CLK_TCK (10 ms).

    Raises ProcessLookupError if one is gone.
    """
    return sum(sum(map(int, _stat(pid)[11:13])) for pid in pids) / TICKS_PER_S


def pss_mib(pids: Sequence[int]) -> float:
    """Proportional set size, MiB: a page that n processes share counts 1/n for each of them.

    Raises ProcessLookupError if one is gone, PermissionError for a process of somebody else.
    """
    return sum(_pss_kb(pid) for pid in pids) / MIB


def reset_peak(pid: int) -> None:
    """Forget the highest resident memory so far; see proc_pid_clear_refs(5). Raises ProcessLookupError, OSError."""
    _peak_file(pid, "clear_refs").write_text("5")


def peak_mib(pid: int) -> float:
    """Highest resident memory since the start or `reset_peak`, MiB. Raises ProcessLookupError."""
    lines = _peak_file(pid, "status").read_text(errors="replace").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def available_mib() -> float:
    """Memory that could be used without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / MIB
    return 0.0


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(ProcessLookupError):
                if int(_stat(int(entry.name))[1]) == pid:
                    found.append(int(entry.name))
    return found


def between(pid: int, ancestor: int) -> list[int]:
    """The parents of `pid` that are below `ancestor`, the nearest first; all of them, if that is none."""
    parent = int(_stat(pid)[1])
    return [] if parent in (ancestor, 0) else [parent, *between(parent, ancestor)]


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return below + [deeper for child in below for deeper in descendants(child)]


def _peak_file(pid: int, name: str) -> Path:
    path = Path(f"/proc/{pid}/{name}")
    if not path.exists():
        raise ProcessLookupError(f"no process {pid}")
    return path


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"no process {pid}") from None
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on: the second, the name, may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"no process {pid}") from None
    return text.rpartition(")")[2].split()

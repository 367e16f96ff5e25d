"""Processes as /proc knows them, so that a test can tell that none is left."""

import os
import select
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process for good: a pid may be given again, a pid with its start time is not."""

    pid: int
    parent: int = field(compare=False)
    """changes when the parent dies"""
    start_time: int
    command: tuple[str, ...]

    def alive(self) -> bool:
        found = read(self.pid)
        return found is not None and found.start_time == self.start_time

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, at the latest after `timeout_s`; any process, not only a child. See pidfd_open(2)."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive():
                return True
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            return bool(poller.poll(timeout_s * 1000))
        finally:
            os.close(descriptor)


def read(pid: int) -> Process | None:
    """The process, or None if there is none or it is a zombie, whose end only its parent has not looked at."""
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes()
        # proc_pid_stat(5): the name, in brackets, may hold anything
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    if fields[0] in "ZX":
        return None
    words = tuple(os.fsdecode(word) for word in command.rstrip(b"\0").split(b"\0"))
    return Process(pid, int(fields[1]), int(fields[19]), words)


def every() -> list[Process]:
    found = [read(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdecimal()]
    return [process for process in found if process is not None]


def of_state_dir(state_dir: Path) -> list[Process]:
    """Everything that runs for `state_dir`: what names it on its command line, works in it, or descends from such."""
    known = {process.pid: process for process in every()}
    found = {process.pid for process in known.values() if _belongs(process, state_dir)}
    kernels = {path.name for path in state_dir.glob("kernels/*")}
    found |= {process.pid for process in known.values() if kernels.intersection(process.command)}
    grown = True
    while grown:
        children = {process.pid for process in known.values() if process.parent in found}
        grown = not children <= found
        found |= children
    found.discard(os.getpid())
    return [known[pid] for pid in sorted(found)]


def _belongs(process: Process, state_dir: Path) -> bool:
    if any(str(state_dir) in word for word in process.command):
        return True
    try:
        return (PROC / str(process.pid) / "cwd").readlink().is_relative_to(state_dir)
    except OSError:
        return False

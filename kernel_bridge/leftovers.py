"""Kernels of a dead host that nobody takes over: ended, so that none works for a session that does not know it."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Iterable
from contextvars import Context
from pathlib import Path

from kernel_bridge import cgroups, host_id, kernel_process, runtime_dir
from kernel_bridge.connection import Connection
from kernel_bridge.kernel_record import read_record
from kernel_bridge.ownership import remove_tree
from kernel_bridge.record import load_all

log = logging.getLogger("kernelwire.bridge.leftovers")


class Leftovers:
    """Ends kernels while the host serves; `close` waits until they have ended, which is bounded."""

    def __init__(self, sockets: Path, leave: Callable[[str], None] = lambda _: None) -> None:
        """`sockets`: where they have their sockets, which go with them. `leave` is told the id of each that ended."""
        self._sockets = sockets
        self._leave = leave
        self._tasks: set[asyncio.Task[bool]] = set()

    def end(self, directories: Iterable[Path], *, workdirs: Iterable[Path] = ()) -> None:
        """End the kernels recorded in `directories`, which are removed, as are those of `workdirs` that are named like
        one of them; returns at once."""
        own = {workdir.name: workdir for workdir in workdirs}
        for directory in directories:
            ending = _end_one(directory, self._sockets, own.get(directory.name), self._leave)
            task = asyncio.create_task(ending, name=f"leftover-{directory.name}", context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks))


async def end(state_dir: Path, cgroup: str) -> int:
    """End every kernel that a dead host left in `state_dir` and remove the records; returns how many still ran.
    Bounded.

    The working directories of those that waited in the pool go too; and, unless a kernel could not be ended, cgroups
    and the directory of sockets. `cgroup`: `bridge.limits.cgroup`, where they are.
    """
    kernels = state_dir / "kernels"
    directories = await asyncio.to_thread(_directories, kernels)
    unowned = await asyncio.to_thread(_unowned_workdirs, directories)
    ended = await asyncio.gather(*(_end_one(path, None, unowned.get(path)) for path in directories))
    if not exist(kernels):
        await asyncio.to_thread(forget_host, state_dir, cgroup)
    return sum(ended)


def forget_host(state_dir: Path, cgroup: str) -> None:
    """Remove what a dead host had for all its kernels, which have ended; `cgroup` as in `end`."""
    try:
        own_id = host_id.read(state_dir)
        if own_id is not None:
            cgroups.remove_left(cgroup, own_id)
        runtime_dir.remove(runtime_dir.find(state_dir))
    except FileNotFoundError:  # never made, or gone
        return
    except OSError as error:
        log.warning("rest_not_removed error=%s", error)


def _unowned_workdirs(directories: Iterable[Path]) -> dict[Path, Path]:
    """By kernel: the working directory of each that has served no session, as neither its record nor a session says."""
    found: dict[Path, Path] = {}
    owned: set[str] | None = None
    for directory in directories:
        try:
            record = read_record(directory)
        except OSError:
            continue
        if record is not None and not record.session:
            state_dir = directory.parent.parent
            if owned is None:
                owned = {session.workdir for session in load_all(state_dir / "sessions")[0]}
            if directory.name not in owned:
                found[directory] = state_dir / "workdirs" / directory.name
    return found


def exist(kernels: Path) -> bool:
    """Whether any kernel is recorded below `kernels`."""
    return bool(_directories(kernels))


def forget(directory: Path, sockets: Path | None) -> None:
    """Remove what is left of a kernel that has ended."""
    shutil.rmtree(directory, ignore_errors=True)
    if sockets is None:
        return
    try:
        Connection.of(sockets, directory.name, "", "").remove_sockets()
    except OSError as error:  # code in the kernel can have put anything there
        log.warning("sockets_not_removed kernel=%s error=%s", directory.name, error)


def _directories(kernels: Path) -> list[Path]:
    return [path for path in kernels.iterdir() if path.is_dir()] if kernels.is_dir() else []


async def _end_one(
    directory: Path, sockets: Path | None, workdir: Path | None = None, leave: Callable[[str], None] = lambda _: None
) -> bool:
    try:
        record = await kernel_process.end_leftover(directory)
    except (OSError, TimeoutError):  # one bad record, or a process that cannot die, must not keep a host from starting
        log.exception("leftover_kernel_not_ended kernel=%s", directory.name)
        return False
    if record is not None:
        log.warning("leftover_kernel_ended kernel=%s", directory.name)
    if workdir is not None:  # first: the other one's name is all that leads to it
        with contextlib.suppress(OSError):
            await asyncio.to_thread(remove_tree, workdir)
    await asyncio.to_thread(forget, directory, sockets)
    leave(directory.name)
    return record is not None

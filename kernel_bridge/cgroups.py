"""A cgroup for each kernel, so that memory, processes and processor time are its own; made here, removed by its shim.

All of one host lie in `kernelwire-<host id>`, as `<kid>`; what a shim that was killed has left there goes too.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from kernel_bridge import cgroup_places
from kernel_bridge.cgroup_places import NoCgroups, Places, System
from kernel_bridge.limit_settings import LimitSettings
from kernel_bridge.sandbox import limits as in_shim

PERIOD_US = 100_000
WEIGHT = 10
"""of all kernels together against one other program, when processors are short; kernels among themselves have the same:
one that starts many processes gets no more for that"""

log = logging.getLogger("kernelwire.bridge.cgroups")


class Cgroups:
    """Of one host, which calls `tend` now and then, and `close` at its end."""

    def __init__(self, version: int, bases: dict[str, Path], controllers: frozenset[str]) -> None:
        """`bases`: by controller, where ours are; `controllers`: those that work there. See `open_cgroups`."""
        self.version = version
        self.controllers = controllers
        self._bases = bases
        self._left: set[str] = set()

    def create(self, kid: str, settings: LimitSettings) -> tuple[str, ...]:
        """The directories of a new cgroup with its limits, for KernelLaunch. Raises OSError; then there is none."""
        made: list[str] = []
        try:
            for controllers in self._groups():
                directory = self._bases[controllers[0]] / kid
                directory.mkdir(parents=True)
                made.append(str(directory))
                for controller in controllers:
                    _limit(self.version, directory, controller, settings)
        except OSError:
            self._left.add(kid)
            self.tend()
            raise
        return tuple(made)

    def leave(self, kid: str) -> None:
        """The kernel has ended: nothing of its cgroup stays, whatever became of its shim. Takes a moment."""
        self._left.add(kid)
        self._end(kid)

    def sweep(self, kids: Iterable[str]) -> None:
        """Remove what earlier hosts left, all but the cgroups of kernels in `kids`."""
        kept = frozenset(kids)
        for base in set(self._bases.values()):
            try:
                with os.scandir(base) as entries:
                    self._left.update(entry.name for entry in entries if entry.is_dir() and entry.name not in kept)
            except OSError as error:
                log.warning("cgroups_not_looked_at error=%s", error)
        self.tend()

    def tend(self) -> None:
        """Try again to remove what could not be removed."""
        for kid in list(self._left):
            self._end(kid)

    def close(self) -> None:
        """Remove what is empty."""
        self.tend()
        for base in set(self._bases.values()):
            in_shim.end_at_once(str(base), kill=False)

    def _end(self, kid: str) -> None:
        if all([in_shim.end_at_once(str(base / kid)) for base in self._bases.values()]):  # noqa: C419  each of them
            self._left.discard(kid)

    def _groups(self) -> list[list[str]]:
        """Controllers by directory."""
        return [sorted(self.controllers)] if self.version == 2 else [[name] for name in sorted(self.controllers)]


def open_cgroups(setting: str, host_id: str, owner: int, system: System | None = None) -> Cgroups:
    """Where this host makes its cgroups; see cgroup_places. Raises NoCgroups."""
    places = cgroup_places.find(setting, system)
    try:
        cgroup_places.prepare(places, owner, system)
        return _in_places(places, _name(host_id))
    except OSError as error:
        raise NoCgroups(f"cgroups cannot be made: {error.strerror}: {error.filename}") from None


def remove_left(setting: str, host_id: str, system: System | None = None) -> None:
    """Those of a host that was killed and has no next one. What cannot be removed at once is left."""
    try:
        places = cgroup_places.find(setting, system)
    except NoCgroups:
        return
    found = {controller: parent / _name(host_id) for controller, parent in places.parents.items()}
    bases = {controller: base for controller, base in found.items() if base.is_dir()}
    left = Cgroups(places.version, bases, frozenset(bases))
    left.sweep(())
    left.close()


def _name(host_id: str) -> str:
    return f"kernelwire-{host_id}"


def _in_places(places: Places, name: str) -> Cgroups:
    bases = {controller: parent / name for controller, parent in places.parents.items()}
    for base in bases.values():
        base.mkdir(exist_ok=True)
    if places.version == 1:
        if "cpu" in bases:
            _write(bases["cpu"] / "cpu.shares", 1024 * WEIGHT, needed=False)
        return Cgroups(1, bases, frozenset(bases))
    controllers = cgroup_places.give(next(iter(bases.values())))
    if not controllers:
        raise NoCgroups("no controller can be switched on")
    if "cpu" in controllers:
        _write(bases["cpu"] / "cpu.weight", 100 * WEIGHT, needed=False)
    return Cgroups(2, bases, controllers)


def _limit(version: int, directory: Path, controller: str, settings: LimitSettings) -> None:
    memory, cpus = settings.memory_bytes, settings.cpus
    match controller:
        case "memory" if memory is not None and version == 2:
            _write(directory / "memory.max", memory)
            _write(directory / "memory.swap.max", 0, needed=False)
        case "memory" if memory is not None:
            _write(directory / "memory.limit_in_bytes", memory)
            _write(directory / "memory.memsw.limit_in_bytes", memory, needed=False)
        case "pids" if settings.processes is not None:
            _write(directory / "pids.max", settings.processes)
        case "cpu" if cpus is not None and version == 2:
            _write(directory / "cpu.max", f"{int(cpus * PERIOD_US)} {PERIOD_US}")
        case "cpu" if cpus is not None:
            _write(directory / "cpu.cfs_period_us", PERIOD_US)
            _write(directory / "cpu.cfs_quota_us", int(cpus * PERIOD_US))
        case _:
            pass


def _write(path: Path, value: int | str, *, needed: bool = True) -> None:
    """`needed`: False for files of a Linux that counts swap, which not every one does."""
    try:
        in_shim.write(str(path), str(value).encode())
    except OSError:
        if needed:
            raise

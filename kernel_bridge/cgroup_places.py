"""Where on this machine cgroups for kernels can be made: looked for, and with cgroup v2 prepared.

A cgroup of v2 that gives controllers to others may hold no processes itself. So a service that was handed a cgroup, by
`Delegate=yes` of systemd or as the whole of a container, moves itself into a leaf of it; but only if nobody else is
in there.

Sources: cgroups(7); the Linux kernel's "Control Group v2", sections "No Internal Process Constraint" and "Delegation";
systemd's "Control Group APIs and Delegation".
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CONTROLLERS = ("memory", "pids", "cpu")
LEAF = "service"
"""where the service itself is, in a cgroup that is its own; also for DelegateSubgroup= of systemd"""
MOVES = 5
"""rounds of moving processes, as some may be started meanwhile"""


class NoCgroups(Exception):
    """No cgroups can be made here. `str` says why."""


@dataclass(frozen=True, slots=True)
class Places:
    """`parents`: by controller, the directory in which others can be made; one for all of them with version 2."""

    version: Literal[1, 2]
    parents: dict[str, Path]


@dataclass(frozen=True, slots=True)
class System:
    """Where Linux shows itself."""

    proc: Path = Path("/proc")


def find(setting: str, system: System | None = None) -> Places:
    """Look; nothing is changed. `setting`: `bridge.limits.cgroup`. Raises NoCgroups."""
    system = system or System()
    if setting == "off":
        raise NoCgroups("bridge.limits.cgroup is off")
    if setting != "auto":
        return _named(Path(setting))
    try:
        mounts, own = list(_mounts(system)), _own(system)
    except (OSError, ValueError, IndexError) as error:
        raise NoCgroups(f"/proc does not say which cgroup this is: {error}") from None
    places = _version_2(mounts, own) or _version_1(mounts, own)
    if places is None:
        raise NoCgroups("no cgroup file system with a controller for memory, pids or cpu is mounted")
    closed = [path for path in places.parents.values() if not os.access(path, os.W_OK | os.X_OK, effective_ids=True)]
    if closed:
        raise NoCgroups(f"{closed[0]} is not ours to write: run as root, or let systemd delegate it (Delegate=yes)")
    return places


def prepare(places: Places, owner: int, system: System | None = None) -> None:
    """Have the controllers given to what is made in the places, as far as they allow.

    `owner`: pid of the process that with its descendants is the service. Raises NoCgroups, OSError.
    """
    if places.version == 1:
        return
    parent = next(iter(places.parents.values()))
    if is_root(parent):
        pass  # the one that may hold processes
    elif inside := _pids(parent / "cgroup.procs"):
        _move_down(parent, inside, owner, system or System())
    give(parent)


def give(parent: Path) -> frozenset[str]:
    """Switch controllers on for the children of a cgroup of version 2; returns those that are."""
    offered = (parent / "cgroup.controllers").read_text().split()
    for controller in CONTROLLERS:
        if controller in offered:
            try:
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
            except OSError:
                continue  # the others may work all the same
    return frozenset((parent / "cgroup.subtree_control").read_text().split()) & frozenset(CONTROLLERS)


def is_root(cgroup: Path) -> bool:
    """Whether it is the root of the machine's hierarchy, which alone has no type."""
    return not (cgroup / "cgroup.type").exists()


def _named(parent: Path) -> Places:
    if (parent / "cgroup.controllers").exists():
        offered = (parent / "cgroup.controllers").read_text().split()
        return Places(2, {name: parent for name in CONTROLLERS if name in offered})
    raise NoCgroups(f"{parent} is no cgroup of version 2")


def _version_2(mounts: "list[_Mount]", own: dict[str, str]) -> Places | None:
    mount = next((mount for mount in mounts if mount.kind == "cgroup2"), None)
    path = mount.path_of(own.get("", "/")) if mount is not None else None
    if path is None:
        return None
    if path.name == LEAF:
        path = path.parent
    try:
        offered = (path / "cgroup.controllers").read_text().split()
    except OSError:
        return None
    usable = [name for name in CONTROLLERS if name in offered]
    return Places(2, dict.fromkeys(usable, path)) if usable else None


def _version_1(mounts: "list[_Mount]", own: dict[str, str]) -> Places | None:
    parents: dict[str, Path] = {}
    for controller in CONTROLLERS:
        mount = next((mount for mount in mounts if mount.kind == "cgroup" and controller in mount.options), None)
        path = mount.path_of(own.get(controller, "/")) if mount is not None else None
        if path is not None and path.is_dir():
            parents[controller] = path
    return Places(1, parents) if parents else None


@dataclass(frozen=True, slots=True)
class _Mount:
    kind: str
    root: str
    point: str
    options: list[str]

    def path_of(self, cgroup: str) -> Path | None:
        """Where a cgroup of the hierarchy is seen; None if it lies outside of what is mounted."""
        root = self.root.rstrip("/")
        if cgroup != root and not cgroup.startswith(f"{root}/"):
            return Path(self.point) if cgroup == "/" else None
        return Path(self.point + cgroup.removeprefix(root).rstrip("/"))


def _mounts(system: System) -> Iterator[_Mount]:
    """Source: proc_pid_mountinfo(5)."""
    for line in (system.proc / "self" / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            words = before.split(" ")
            yield _Mount(kind, words[3], words[4], options.split(","))


def _own(system: System) -> dict[str, str]:
    """The cgroup of this process by controller, "" for version 2. Source: cgroups(7)."""
    found: dict[str, str] = {}
    for line in (system.proc / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _move_down(parent: Path, inside: list[int], owner: int, system: System) -> None:
    leaf = parent / LEAF
    for _ in range(MOVES):
        strangers = [pid for pid in inside if not _descends(pid, owner, system)]
        if strangers:
            raise NoCgroups(
                f"other programs run in {parent} (pid {strangers[0]}): start the service in a cgroup of its own, "
                "`systemd-run --user --scope -p Delegate=yes kernelwire serve`"
            )
        leaf.mkdir(exist_ok=True)
        for pid in inside:
            try:
                (leaf / "cgroup.procs").write_text(str(pid))
            except ProcessLookupError:
                continue
        inside = _pids(parent / "cgroup.procs")
        if not inside:
            return
    raise NoCgroups(f"{parent} is never empty")


def _pids(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


def _descends(pid: int, owner: int, system: System) -> bool:
    """Whether a process is `owner` or descends from it; one that has ended is nobody's."""
    while pid not in (0, 1, owner):
        try:
            fields = (system.proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return True
        pid = int(fields[1])
    return pid == owner

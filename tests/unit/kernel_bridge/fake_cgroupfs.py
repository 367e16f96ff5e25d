"""A directory that behaves like a file system of cgroups, as far as this service asks it to."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from kernel_bridge.cgroup_places import System

V2_FILES = ("cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "cgroup.type")
BY_CONTROLLER = {
    "memory": ("memory.max", "memory.events"),
    "pids": ("pids.max",),
    "cpu": ("cpu.max",),
}
V1_FILES = {
    "memory": ("memory.limit_in_bytes", "memory.oom_control"),
    "pids": ("pids.max",),
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
}


class FakeCgroupfs:
    """`root` is the mount of version 2, or with `version` 1 has one directory a controller. `system` shows it."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch, version: int = 2) -> None:
        self.root = base / "cgroup"
        self.version = version
        self.system = System(base / "proc")
        self.offered = "memory pids cpu io"
        self._mkdir, self._write_text, self._rmdir = Path.mkdir, Path.write_text, os.rmdir
        (base / "proc" / "self").mkdir(parents=True)
        self.root.mkdir()
        if version == 2:
            self._fill(self.root)
            (self.root / "cgroup.type").unlink()
        else:
            for controller in V1_FILES:
                (self.root / controller).mkdir()
                self._fill(self.root / controller)
        self.stand("/")

        def mkdir(path: Path, *args: Any, **more: Any) -> None:
            self.mkdir(path, *args, **more)

        def write_text(path: Path, text: str) -> int:
            return self.write_text(path, text)

        def rmdir(path: str) -> None:
            self.rmdir(Path(path))

        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(Path, "write_text", write_text)
        monkeypatch.setattr(os, "rmdir", rmdir)

    def stand(self, cgroup: str) -> None:
        """Have the process under test in a cgroup."""
        mounts: list[str] = []
        own: list[str] = []
        if self.version == 2:
            mounts.append(f"30 24 0:26 / {self.root} rw - cgroup2 cgroup rw,nsdelegate")
            own.append(f"0::{cgroup}")
        else:
            for number, controller in enumerate(V1_FILES, 1):
                mounts.append(f"3{number} 24 0:2{number} / {self.root}/{controller} rw - cgroup cgroup rw,{controller}")
                own.append(f"{number}:{controller}:{cgroup}")
        self._write_text(
            self.system.proc / "self" / "mountinfo", "\n".join(["24 1 8:1 / / rw - ext4 disk rw", *mounts])
        )
        self._write_text(self.system.proc / "self" / "cgroup", "\n".join(own))

    def run(self, pid: int, parent: int, cgroup: Path) -> None:
        """Have a process in a cgroup."""
        self._mkdir(self.system.proc / str(pid), exist_ok=True)
        self._write_text(self.system.proc / str(pid) / "stat", f"{pid} (a) b) S {parent} 0 0")
        self._write_text(cgroup / "cgroup.procs", (cgroup / "cgroup.procs").read_text() + f"{pid}\n")

    def mkdir(self, path: Path, *args: Any, **more: Any) -> None:
        new = not path.exists()
        self._mkdir(path, *args, **more)
        if new and path.is_relative_to(self.root):
            self._fill(path)

    def write_text(self, path: Path, text: str) -> int:
        if path.is_relative_to(self.root):
            if path.name == "cgroup.subtree_control":
                return self._give(path, text.removeprefix("+"))
            if path.name == "cgroup.procs":
                for procs in self.root.rglob("cgroup.procs"):
                    left = [pid for pid in procs.read_text().split() if pid != text]
                    self._write_text(procs, "".join(f"{pid}\n" for pid in left))
                return self._write_text(path, path.read_text() + f"{text}\n")
        return self._write_text(path, text)

    def rmdir(self, path: Path) -> None:
        if not path.is_relative_to(self.root) or not path.exists():
            self._rmdir(path)
            return
        if (path / "cgroup.procs").read_text() or any(child.is_dir() for child in path.iterdir()):
            raise OSError(errno.EBUSY, "busy", str(path))
        for child in path.iterdir():
            child.unlink()
        self._rmdir(path)

    def _give(self, path: Path, controller: str) -> int:
        if controller not in (path.parent / "cgroup.controllers").read_text().split():
            raise OSError(errno.ENOENT, "no such controller", str(path))
        if (path.parent / "cgroup.type").exists() and (path.parent / "cgroup.procs").read_text():
            raise OSError(errno.EBUSY, "no internal processes", str(path))
        given = {*path.read_text().split(), controller}
        return self._write_text(path, " ".join(sorted(given)))

    def _fill(self, cgroup: Path) -> None:
        if self.version == 1:
            names = ("cgroup.procs", *V1_FILES[cgroup.relative_to(self.root).parts[0]])
        else:
            above = cgroup.parent / "cgroup.subtree_control"
            here = above.read_text() if above.exists() else self.offered
            self._write_text(cgroup / "cgroup.controllers", here)
            names = (*V2_FILES, *(name for one in here.split() for name in BY_CONTROLLER.get(one, ())))
        for name in names:
            self._write_text(cgroup / name, "")
